//! `audit`: verifies, signs and exports the audit log.

use super::failure::{Failure, Result};
use super::open::DataLocation;
use super::progress::Progress;
use crate::command::{CommandFailure, print, print_json, printable_json};
use crate::config::SECRETS_HELP;
use crate::crypto::{Statement, verify_statement};
use crate::domain::{ProjectId, Timestamp};
use crate::vault::{ExportFilter, Verification};
use jsonwebtoken::jwk::JwkSet;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Verifies, signs and exports the audit log.
#[derive(clap::Args)]
pub struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Verifies every chain of events, and prints where one is broken
    ///
    /// Exit status: 0 all events are as they were recorded, 1 some are not, 6 the check could not
    /// be made.
    #[command(after_help = SECRETS_HELP)]
    Verify {
        /// A file of heads that `audit head` printed, one a line, to check against as well. Only
        /// heads kept elsewhere reveal that the whole database was replaced by an older copy
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        #[command(flatten)]
        location: DataLocation,
    },
    /// Prints a signed head, which holds the ends of all chains; keep it elsewhere
    #[command(after_help = SECRETS_HELP)]
    Head {
        #[command(flatten)]
        location: DataLocation,
    },
    /// Writes events as JSON Lines, oldest first
    #[command(after_help = SECRETS_HELP)]
    Export {
        /// Only events of this project
        #[arg(long, value_name = "ID", value_parser = |id: &str| ProjectId::parse(id))]
        project: Option<ProjectId>,
        /// Only events from this time on, in RFC 3339
        #[arg(long, value_name = "INSTANT", value_parser = instant)]
        since: Option<Timestamp>,
        /// Only events before this time, in RFC 3339
        #[arg(long, value_name = "INSTANT", value_parser = instant)]
        until: Option<Timestamp>,
        /// Adds at the end what an independent verifier needs: the wrapped key of the chains, and
        /// where they begin and were cut
        #[arg(long)]
        chains: bool,
        #[command(flatten)]
        location: DataLocation,
    },
    /// Verifies the receipt of a resolve or a deletion, offline, and prints its content
    ///
    /// Exit status: 0 this installation signed it, 1 it did not, 6 a file could not be read.
    VerifyReceipt {
        /// The file of the receipt, a compact JWS; `-` reads standard input
        file: PathBuf,
        /// A file of the installation's public keys, saved from
        /// /.well-known/project-vault/jwks.json
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
    },
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "write a time such as 2030-01-31T00:00:00Z".to_owned())
}

impl Audit {
    /// Runs the command.
    pub async fn run(self) -> Result {
        match self.command {
            Command::Verify { head, location } => verify(head.as_deref(), &location).await,
            Command::Head { location } => {
                Ok(print(&format!("{}\n", location.open_without_authorizer().await?.0.audit().sign_head().await?))?)
            }
            Command::Export { project, since, until, chains, location } => {
                let project = project.map(|project| project.as_str().to_owned());
                export(&location, &ExportFilter { project, since, until }, chains).await
            }
            Command::VerifyReceipt { file, keys } => verify_receipt(&file, &keys),
        }
    }
}

/// Reads a file, or standard input for `-`.
fn read_text(path: &Path) -> Result<String> {
    let text =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    match text {
        // Some editors put a byte order mark before a text.
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').to_owned()),
        Err(error) => Err(Failure::CheckNotMade(Box::new(Failure::file(path)(error)))),
    }
}

async fn verify(head: Option<&Path>, location: &DataLocation) -> Result {
    let kept: Vec<String> = match head {
        Some(path) => {
            read_text(path)?.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        }
        None => Vec::new(),
    };
    let Verification { events, chains, heads, breaks } =
        verify_chains(&kept, location).await.map_err(|failure| Failure::CheckNotMade(Box::new(failure)))?;
    if breaks.is_empty() {
        return Ok(print(&format!(
            "{events} events in {chains} chains are as they were recorded; {heads} signed heads agree\n"
        ))?);
    }
    let lines: Vec<String> = breaks.iter().map(ToString::to_string).collect();
    print(&format!("{}\n", lines.join("\n")))?;
    Err(Failure::CheckFailed(format!("{} breaks in {events} events of {chains} chains", breaks.len())))
}

async fn verify_chains(kept_heads: &[String], location: &DataLocation) -> Result<Verification> {
    let (vault, _) = location.open_without_authorizer().await?;
    let (_, count) = vault.audit().export(&ExportFilter::default()).await?;
    let (progress, mut done) = (Progress::on_a_terminal("events"), 0);
    let seen = |more| {
        done += more;
        progress.report(done, count);
    };
    let found = vault.verifier().verify(kept_heads, seen).await?;
    // A result that cannot be stored is still reported.
    if let Err(error) = vault.verifier().store_result(&found).await {
        tracing::warn!(%error, "the result cannot be stored; the dashboard shows the one before");
    }
    Ok(found)
}

async fn export(location: &DataLocation, filter: &ExportFilter, chains: bool) -> Result {
    let (vault, _) = location.open_without_authorizer().await?;
    let (mut export, count) = vault.audit().export(filter).await?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut write = |lines: Vec<Value>| -> Result {
        let mut lines = lines.iter().map(Value::to_string);
        lines
            .try_for_each(|line| writeln!(out, "{}", printable_json(&line)))
            .and_then(|()| out.flush())
            .map_err(|error| CommandFailure::Output(error).into())
    };
    let (progress, mut done) = (Progress::on_a_terminal("events"), 0);
    while let Some(lines) = export.next().await? {
        done += lines.len() as u64;
        write(lines)?;
        progress.report(done, count);
    }
    drop(progress);
    if chains {
        write(vault.audit().export_chains().await?)?;
    }
    Ok(())
}

fn verify_receipt(file: &Path, keys: &Path) -> Result {
    let receipt = read_text(file)?;
    let keys: JwkSet = serde_json::from_str(&read_text(keys)?).map_err(|_| {
        Failure::CheckFailed(format!(
            "{} holds no JSON Web Key Set; save it from /.well-known/project-vault/jwks.json",
            keys.display()
        ))
    })?;
    let (kind, says) =
        verify_statement::<Value>(&receipt, &keys).map_err(|error| Failure::CheckFailed(error.to_string()))?;
    let kind = match kind {
        Statement::ResolveReceipt => "a resolve receipt",
        Statement::ErasureReceipt => "an erasure receipt",
        Statement::AuditHead => "an audit head",
    };
    Ok(print_json(&format!("{kind}, signed by this installation:\n{says:#}\n"))?)
}
