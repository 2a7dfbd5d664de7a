//! The HTTP layer: verifies bearer tokens and turns HTTP requests into calls of the API.
//!
//! `server` listens and shuts down gracefully. `connections` accepts connections and limits them,
//! `budget` limits the memory of requests and answers, and `shares` divides both limits among
//! callers. `observe` is the middleware around every request: its id (`noted`), log line and
//! metrics. `endpoint` is `/graphql`, with tokens verified by `tokens`; `rest` answers single
//! secrets to callers that do not speak GraphQL; `dashboard` serves the page for people; `health`,
//! `metrics` and `process` are for monitoring.

mod budget;
mod conditional;
mod connections;
pub mod dashboard;
mod endpoint;
mod health;
mod metrics;
mod noted;
mod observe;
mod process;
mod rest;
mod server;
mod shares;
pub mod tokens;

pub use server::{Server, ServerConfig, ServerParts, StartError, TlsFiles, try_to_listen};
