//! The HTTP layer: verifies bearer tokens and turns HTTP requests into calls of the API.
//!
//! `server` listens and shuts down gracefully. `connections` accepts connections and limits them,
//! `budget` limits the memory of requests and answers, and `shares` divides both limits among
//! callers. `observe` is the middleware around every request: its id (`noted`), log line and
//! metrics. `endpoint` is `/graphql`, with tokens verified by `tokens`; `health` and `metrics` are
//! for monitoring.

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
