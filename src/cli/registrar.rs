//! `registrar`: adds and removes registrars.

use super::failure::Result;
use super::open::{self, DataLocation};
use crate::command::print;
use crate::config::SECRETS_HELP;
use crate::domain::ServiceId;

/// Adds and removes registrars: services that may register and manage projects.
#[derive(clap::Args)]
pub struct Registrar {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Lets a service register and manage projects
    #[command(after_help = SECRETS_HELP)]
    Add(Service),
    /// Takes away the permission to register and manage projects
    #[command(after_help = SECRETS_HELP)]
    Remove(Service),
}

#[derive(clap::Args)]
struct Service {
    /// The service, by the subject of its tokens
    #[arg(value_parser = |id: &str| ServiceId::parse(id))]
    id: ServiceId,
    #[command(flatten)]
    location: DataLocation,
}

impl Registrar {
    /// Runs the command and prints the result.
    pub async fn run(self) -> Result {
        let (Service { id, location }, may) = match self.command {
            Command::Add(service) => (service, true),
            Command::Remove(service) => (service, false),
        };
        let vault = location.vault().await?;
        let changed = open::recorded(&vault, vault.members().set_registrar(&id, may).await).await?;
        Ok(print(&match (may, changed) {
            (true, true) => format!("service:{id} may register projects now\n"),
            (true, false) => format!("service:{id} may register projects already; nothing was changed\n"),
            (false, true) => format!("service:{id} may no longer register projects\n"),
            (false, false) => format!("service:{id} may not register projects; nothing was changed\n"),
        })?)
    }
}
