//! `audit`.

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
    /// Checks every chain of events, and prints where one breaks
    ///
    /// Exit status: 0 everything is as it was recorded, 1 something is not, 6 the check could not
    /// be made.
    #[command(after_help = SECRETS_HELP)]
    Verify {
        /// Checks against the heads in this file too, a line each, as `audit head` printed them:
        /// only what is kept elsewhere shows that the whole database was put back
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        #[command(flatten)]
        place: DataLocation,
    },
    /// Prints a signed head, the ends of all chains; keep it elsewhere
    #[command(after_help = SECRETS_HELP)]
    Head {
        #[command(flatten)]
        place: DataLocation,
    },
    /// Writes events as JSON Lines, oldest first
    #[command(after_help = SECRETS_HELP)]
    Export {
        /// Of this project alone
        #[arg(long, value_name = "ID", value_parser = |id: &str| ProjectId::parse(id))]
        project: Option<ProjectId>,
        /// From this instant on, RFC 3339
        #[arg(long, value_name = "INSTANT", value_parser = instant)]
        since: Option<Timestamp>,
        /// Before this instant, RFC 3339
        #[arg(long, value_name = "INSTANT", value_parser = instant)]
        until: Option<Timestamp>,
        /// Writes at the end what another verifier needs: the wrapped key of the chains, their
        /// beginnings and cuts
        #[arg(long)]
        chains: bool,
        #[command(flatten)]
        place: DataLocation,
    },
    /// Verifies the receipt of a resolve or a deletion, offline, and prints its content
    ///
    /// Exit status: 0 it is this installation's, 1 it is not, 6 a file could not be read.
    VerifyReceipt {
        /// The receipt, a compact JWS; `-` for standard input
        file: PathBuf,
        /// The installation's public keys, once saved from /.well-known/project-vault/jwks.json
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
    },
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "write an instant such as 2030-01-31T00:00:00Z".to_owned())
}

impl Audit {
    /// Runs the command.
    pub async fn run(self) -> Result {
        match self.command {
            Command::Verify { head, place } => verify(head.as_deref(), &place).await,
            Command::Head { place } => {
                Ok(print(&format!("{}\n", place.unasked().await?.0.audit().sign_head().await?))?)
            }
            Command::Export { project, since, until, chains, place } => {
                let project = project.map(|project| project.as_str().to_owned());
                export(&place, &ExportFilter { project, since, until }, chains).await
            }
            Command::VerifyReceipt { file, keys } => verify_receipt(&file, &keys),
        }
    }
}

fn read(path: &Path) -> Result<String> {
    let read =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    read.map_err(|error| Failure::CannotLook(Box::new(Failure::file(path)(error))))
}

async fn verify(head: Option<&Path>, place: &DataLocation) -> Result {
    let kept: Vec<String> = match head {
        Some(path) => read(path)?.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        None => Vec::new(),
    };
    let look = async {
        let (vault, _) = place.unasked().await?;
        let (_, count) = vault.audit().export(&ExportFilter::default()).await?;
        let (progress, mut done) = (Progress::on_a_terminal("events"), 0);
        let seen = |more| {
            done += more;
            progress.report(done, count);
        };
        Ok(vault.verifier().verify(&kept, seen).await?)
    };
    let Verification { events, chains, heads, breaks } =
        look.await.map_err(|failure| Failure::CannotLook(Box::new(failure)))?;
    if breaks.is_empty() {
        return Ok(print(&format!(
            "{events} events in {chains} chains are as they were recorded; {heads} signed heads agree\n"
        ))?);
    }
    let lines: Vec<String> = breaks.iter().map(ToString::to_string).collect();
    print(&format!("{}\n", lines.join("\n")))?;
    Err(Failure::Broken(format!("{} breaks in {events} events of {chains} chains", breaks.len())))
}

async fn export(place: &DataLocation, filter: &ExportFilter, chains: bool) -> Result {
    let (vault, _) = place.unasked().await?;
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
    let receipt = read(file)?;
    let keys: JwkSet = serde_json::from_str(&read(keys)?)
        .map_err(|_| Failure::Broken(format!("{} holds no JSON Web Key Set", keys.display())))?;
    let (kind, says) =
        verify_statement::<Value>(&receipt, &keys).map_err(|error| Failure::Broken(error.to_string()))?;
    let kind = match kind {
        Statement::ResolveReceipt => "a resolve receipt",
        Statement::ErasureReceipt => "an erasure receipt",
        Statement::AuditHead => "an audit head",
    };
    Ok(print_json(&format!("{kind}, signed by this installation:\n{says:#}\n"))?)
}
