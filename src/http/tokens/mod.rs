//! Bearer tokens: JSON Web Tokens (RFC 7519) that name a principal, signed by one of the trusted
//! issuers.
//!
//! `aud` decides the kind of principal and `sub` who it is. `issuers` holds what is trusted, `jwks`
//! reads one key set, `sets` keeps it fresh, `verifier` applies the rules to one token, and
//! `signer` makes tokens for development.

mod issuers;
mod jwks;
mod sets;
mod signer;
#[cfg(test)]
mod tests;
mod verifier;

pub use issuers::{IssuerConfig, JwksUrl, KeySource, check_issuers, parse_issuers};
pub use signer::{Claims, Signer, SignerError};
pub use verifier::{TokenError, Verified, Verifier};
