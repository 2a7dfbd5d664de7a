//! The agent's side: the commands that run where an agent works, and what they share. It asks a
//! vault over HTTP, opens sealed answers, and keeps the token to itself.
//!
//! It uses nothing of the server but names of token claims, the reserved names and the parser of
//! .env text (all in `domain`), and `crypto/sealing`, so that `project-vault-agent` can be built
//! without the server (`--no-default-features`).

mod bounded;
mod claims;
mod client;
mod exec;
mod failure;
mod get;
mod headers;
mod hiding;
mod left_out;
mod program;
mod resolve;
mod settings;
mod wanted;
mod whoami;

#[doc(hidden)]
pub use exec::redaction;
pub use exec::run_as_helper;
pub use failure::{AgentFailure, Result};
pub use program::{AgentCommand, main};

use client::VaultClient;
use exec::Exec;
use get::Get;
use headers::Headers;
use whoami::Whoami;
