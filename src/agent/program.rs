//! The program `project-vault-agent`: the agent's commands without the server, for sandboxes.

use super::{Exec, Get, Headers, Result, Whoami, run_as_helper};
use crate::command::{parse_arguments, report};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The agent's side of Project Vault, a credential vault for AI agents: fetches secrets for a
/// sandbox.
#[derive(Parser)]
#[command(name = "project-vault-agent", version, arg_required_else_help = true, subcommand_required = true)]
struct Program {
    #[command(subcommand)]
    command: AgentCommand,
}

/// The commands of the agent's side, in both programs.
#[derive(Subcommand)]
pub enum AgentCommand {
    /// Runs a command with the project's secrets in its environment, and keeps them out of its
    /// output
    Exec(Box<Exec>),
    /// Resolves one secret for a tool, and writes its value to standard output
    Get(Box<Get>),
    /// Resolves one secret for an HTTP header, and writes it as JSON to standard output
    Headers(Box<Headers>),
    /// Shows the claims of a token: principal, issuer, expiry and limits
    Whoami(Whoami),
}

/// Runs the command that the arguments ask for; gives the exit status.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(status) = run_as_helper() {
        return status;
    }
    match parse_arguments::<Program>() {
        Ok(program) => program.command.run().unwrap_or_else(|failure| report(&failure, failure.status())),
        Err(status) => status,
    }
}

impl AgentCommand {
    /// Runs the command; gives the exit status, for `exec` that of the program it runs.
    ///
    /// # Errors
    /// When it cannot; [`AgentFailure::status`](super::AgentFailure::status) is the exit status.
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::Exec(command) => return command.run(),
            Self::Get(command) => command.run(),
            Self::Headers(command) => command.run(),
            Self::Whoami(command) => command.run(),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}
