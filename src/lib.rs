//! Project Vault: a credential vault for AI agents that work on one project together.
//!
//! A request goes one way down and comes back: `http`, `graphql`, `vault`, then `authz`, `crypto` and `store`, over the plain
//! values of `domain`. `docs/architecture.md` says where things live and why.

pub mod cli;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod graphql;
pub mod http;
pub mod kms;
pub mod permission;
pub mod store;
pub mod trace;
pub mod vault;

pub use permission::authz;
