//! `auditor`: adds and removes auditors.

use super::failure::Result;
use super::open::{self, DataLocation};
use crate::command::print;
use crate::config::SECRETS_HELP;
use crate::domain::{ServiceId, UserId};
use crate::vault;

/// Adds and removes auditors, who may read every audit log.
#[derive(clap::Args)]
pub struct Auditor {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Lets a person or a service read every audit log
    #[command(after_help = SECRETS_HELP)]
    Add(Whom),
    /// Takes away the permission to read every audit log
    #[command(after_help = SECRETS_HELP)]
    Remove(Whom),
}

#[derive(clap::Args)]
struct Whom {
    /// The person or service, as `user:ID` or `service:ID`
    #[arg(value_name = "KIND:ID", value_parser = parse)]
    whom: vault::Auditor,
    #[command(flatten)]
    location: DataLocation,
}

fn parse(text: &str) -> Result<vault::Auditor, String> {
    let read = match text.split_once(':') {
        Some(("user", id)) => UserId::parse(id).map(vault::Auditor::User),
        Some(("service", id)) => ServiceId::parse(id).map(vault::Auditor::Service),
        _ => return Err("write user:ID or service:ID".to_owned()),
    };
    read.map_err(|error| error.to_string())
}

impl Auditor {
    /// Runs the command and prints the result.
    pub async fn run(self) -> Result {
        let (Whom { whom, location }, may) = match self.command {
            Command::Add(whom) => (whom, true),
            Command::Remove(whom) => (whom, false),
        };
        let vault = location.vault().await?;
        let changed = open::recorded(&vault, vault.members().set_auditor(&whom, may).await).await?;
        Ok(print(&match (may, changed) {
            (true, true) => format!("{whom} may read every audit log now\n"),
            (true, false) => format!("{whom} may read every audit log already; nothing was changed\n"),
            (false, true) => format!("{whom} may no longer read every audit log\n"),
            (false, false) => format!("{whom} may not read every audit log; nothing was changed\n"),
        })?)
    }
}
