//! Bearer tokens: JSON Web Tokens (RFC 7519) that name a principal, signed by one of the trusted
//! issuers.
//!
//! `aud` decides the kind of principal and `sub` its id. `issuers` reads the trusted issuers,
//! `jwks` parses one key set, `sets` keeps it fresh, `verifier` checks one token, `remembered`
//! keeps what it found, and `signer` makes tokens for development.

mod issuers;
mod jwks;
mod remembered;
mod sets;
mod signer;
#[cfg(test)]
mod tests;
mod verifier;

pub(super) use issuers::trustworthy_url;
pub use issuers::{IssuerConfig, JwksUrl, KeySource, check_issuers, parse_issuers};
pub use sets::check_key_file;
pub use signer::{Claims, Signer, SignerError};
pub use verifier::{TokenError, Verified, Verifier};
