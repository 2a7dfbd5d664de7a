//! The command line: one file per command. Each parses, puts the pieces together and runs; rules of the vault are elsewhere.

mod auditor;
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
mod private_file;
mod progress;
mod registrar;
mod schema;
mod serve;
mod server;
mod token;

use clap::{Parser, Subcommand};
use failure::{Failure, Result};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// How long threads that are blocked may go on when a command has ended.
const STRAGGLERS: Duration = Duration::from_secs(2);

/// A credential vault for AI agents that work on one project: a GraphQL federation subgraph.
#[derive(Parser)]
#[command(
    name = "project-vault",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Every setting is an environment variable and, unless it is secret, a flag; `project-vault serve --help` names them.
Exit status: 0 done, 1 failed while working, 2 wrong usage or configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the whole vault in one process, with a demo in it, for trying it
    ///
    /// It keeps everything in one directory: a SQLite database, a keyring, and the key of an issuer of its own, whose tokens
    /// `project-vault token` makes.
    Dev(dev::Dev),
    /// Runs the server
    ///
    /// Every setting is an environment variable and, unless it is secret, a flag. A flag wins over its variable; an empty
    /// variable counts as not set. SIGTERM and SIGINT stop the server: it accepts nothing new, finishes what runs within 20
    /// seconds, and exits with 0. At SIGHUP it reads its keyring again.
    Serve(Box<serve::Serve>),
    /// Brings the database, and the authorization model in OpenFGA, up to date
    ///
    /// Safe to repeat, and to run twice at once.
    Migrate(migrate::Migrate),
    /// Prints the subgraph's SDL
    Schema,
    /// Prints a token for a `dev` vault, and nothing else
    Token(token::Token),
    /// Says which services may register and manage projects
    Registrar(registrar::Registrar),
    /// Says who may read every audit log
    Auditor(auditor::Auditor),
    /// Makes and replaces keys, and says which are in use
    Keys(keys::Keys),
}

/// Runs the command that the arguments ask for; gives the status to exit with.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => match run(cli.command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        },
        Err(error) => {
            // Nothing is left to be told when not even this can be printed.
            let _ = error.print();
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

fn run(command: Command) -> Result {
    match command {
        Command::Dev(command) => in_runtime(command.run()),
        Command::Serve(command) => in_runtime(command.run()),
        Command::Migrate(command) => in_runtime(command.run()),
        Command::Schema => schema::run(),
        Command::Token(command) => command.run(),
        Command::Registrar(command) => in_runtime(command.run()),
        Command::Auditor(command) => in_runtime(command.run()),
        Command::Keys(command) => in_runtime(command.run()),
    }
}

fn in_runtime(work: impl Future<Output = Result>) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    let result = runtime.block_on(work);
    // What blocks a thread, such as a database that does not answer, does not keep the process.
    runtime.shutdown_timeout(STRAGGLERS);
    result
}

/// Prints to standard output.
fn print(text: &str) -> Result {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}
