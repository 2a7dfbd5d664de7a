//! The command line, one file per command. A command parses its arguments, assembles what it needs
//! and runs; the rules of the vault are elsewhere.

mod audit;
mod auditor;
mod check;
mod completions;
mod data_dir;
mod demo;
mod dev;
mod duration;
mod failure;
mod jobs;
mod keyring_command;
mod keys;
mod logs;
mod migrate;
mod open;
mod outbox;
mod private_file;
mod progress;
mod registrar;
mod schema;
mod serve;
mod server;
mod token;

use crate::agent::{AgentCommand, run_as_helper};
use crate::command::{CommandFailure, parse_arguments, report};
use clap::{Parser, Subcommand};
use failure::Result;
use std::process::ExitCode;
use std::time::Duration;

/// How long blocked threads may run on after a command has ended.
const BLOCKED_THREADS_TIMEOUT: Duration = Duration::from_secs(2);
/// The stack size of a worker thread, in bytes. In a debug build the most deeply nested accepted
/// document needs more than the default 2 MiB, and an overflow ends the process. Unused stack takes
/// no memory.
const STACK: usize = 16 * 1024 * 1024;

/// A credential vault for AI agents that work on one project: a GraphQL federation subgraph.
#[derive(Parser)]
#[command(
    name = "project-vault",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Every setting is an environment variable and, unless it is secret, a flag; `project-vault serve --help` names them.
Exit status: 0 done, 1 failed while working, 2 wrong usage or configuration; get and exec have more, see their --help."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a complete vault with demo data in one process, for trying it out
    ///
    /// It keeps everything in one directory: a SQLite database, a keyring, and the key of its own
    /// token issuer, with which `project-vault token` makes tokens.
    Dev(dev::Dev),
    /// Runs the server
    ///
    /// Every setting is an environment variable and, unless it is secret, a flag. A flag wins over
    /// its variable; an empty variable counts as not set. SIGTERM and SIGINT stop the server: it
    /// accepts nothing new, waits up to 20 seconds for running requests, and exits with 0. A second
    /// signal stops it at once. SIGHUP makes it reload its keyring.
    Serve(Box<serve::Serve>),
    /// Brings the database, and the authorization model in OpenFGA, up to date
    ///
    /// It can be repeated, and run concurrently.
    Migrate(migrate::Migrate),
    /// Prints the subgraph's SDL
    Schema,
    /// Prints a token for a `dev` vault, and nothing else
    Token(token::Token),
    /// Adds and removes registrars: services that may register and manage projects
    Registrar(registrar::Registrar),
    /// Adds and removes auditors, who may read every audit log
    Auditor(auditor::Auditor),
    /// Shows changes of permissions that cannot be applied, and retries or discards them
    Outbox(outbox::Outbox),
    /// Verifies, signs and exports the audit log
    Audit(audit::Audit),
    /// Makes, replaces and retires keys, and shows which are in use
    Keys(keys::Keys),
    #[command(flatten)]
    Agent(AgentCommand),
    /// Prints completions for a shell
    Completions(completions::Completions),
}

/// Runs the command of the arguments; gives the exit status.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(status) = run_as_helper() {
        return status;
    }
    match parse_arguments::<Cli>() {
        Ok(cli) => run(cli.command).unwrap_or_else(|failure| report(&failure, failure.status())),
        Err(status) => status,
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Agent(command) => return Ok(command.run()?),
        Command::Dev(command) => in_runtime(command.run()),
        Command::Serve(command) => in_runtime(command.run()),
        Command::Migrate(command) => in_runtime(command.run()),
        Command::Schema => schema::run(),
        Command::Token(command) => command.run(),
        Command::Registrar(command) => in_runtime(command.run()),
        Command::Auditor(command) => in_runtime(command.run()),
        Command::Outbox(command) => in_runtime(command.run()),
        Command::Audit(command) => in_runtime(command.run()),
        Command::Keys(command) => in_runtime(command.run()),
        Command::Completions(command) => command.run(),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn in_runtime(work: impl Future<Output = Result>) -> Result {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().thread_stack_size(STACK).build().map_err(CommandFailure::Runtime)?;
    let result = runtime.block_on(work);
    // A blocked thread, such as one that waits for the database, does not keep the process alive.
    runtime.shutdown_timeout(BLOCKED_THREADS_TIMEOUT);
    result
}
