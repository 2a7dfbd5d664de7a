//! The HTTP side: verifies the caller's bearer token and turns HTTP requests into calls of the API.
//!
//! `server` listens and ends in good order, `connections` accepts and bounds what is connected,
//! `budget` bounds the memory of answers, `observe` is around every request (its id, its log line,
//! its metrics), `endpoint` is `/graphql`, and `health` and `metrics` answer those who watch over
//! the vault.

mod budget;
mod connections;
mod endpoint;
mod health;
mod metrics;
mod noted;
mod observe;
mod server;
mod shares;
pub mod tokens;

pub use server::{Server, ServerConfig, ServerParts, StartError, TlsFiles};
