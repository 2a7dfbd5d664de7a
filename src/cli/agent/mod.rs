//! What the agent's commands share: asking a vault over HTTP, sealed delivery, and keeping the token to themselves.

mod bounded;
pub mod claims;
mod client;
mod failure;
pub mod hiding;
pub mod left_out;
pub mod resolve;

pub use client::VaultClient;
pub use failure::AgentFailure;
