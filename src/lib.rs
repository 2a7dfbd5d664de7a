//! Project Vault: a credential vault for AI agents that work on one project together.
//!
//! A request goes one way down and comes back: `http`, `graphql`, `vault`, then `authz`, `crypto`
//! and `store`, over the plain values of `domain`. `docs/architecture.md` says where things live
//! and why.

// A dependency that nothing uses costs every build.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

// For its feature: SQLite is built into the program.
#[cfg(feature = "server")]
use libsqlite3_sys as _;
// The program's allocator, in main.rs.
#[cfg(feature = "server")]
use mimalloc as _;
// For its feature: hpke uses it.
use x25519_dalek as _;

pub mod agent;
mod command;
pub mod crypto;
pub mod domain;
#[cfg(test)]
mod fuzzing;

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod graphql;
#[cfg(feature = "server")]
mod groups;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod kms;
#[cfg(feature = "server")]
mod measures;
#[cfg(feature = "server")]
pub mod permission;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod trace;
#[cfg(feature = "server")]
pub mod vault;
#[cfg(feature = "server")]
pub mod webhook;

#[cfg(feature = "server")]
pub use permission::authz;
