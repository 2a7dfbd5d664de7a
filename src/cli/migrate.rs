//! `migrate`: brings the database and the authorization model up to date.

use super::failure::Result;
use super::open::DataLocation;
use crate::command::print;
use crate::config::{Authz, SECRETS_HELP};
use crate::store::Kind;

/// Brings the database, and the authorization model in OpenFGA, up to date. It can be repeated, and
/// run concurrently
///
/// It signs the settings that it pins for all servers with the installation's key, so it needs the
/// master keys as `serve` does.
#[derive(clap::Args)]
#[command(after_help = SECRETS_HELP)]
pub struct Migrate {
    /// Signs settings, data keys, projects and milestones without MACs as they are: you accept
    /// their contents. Only for the upgrade from a release before these MACs, once
    #[arg(long)]
    sign_existing_rows: bool,
    #[command(flatten)]
    location: DataLocation,
}

impl Migrate {
    /// Runs the command and prints the result.
    pub async fn run(self) -> Result {
        let (backend, store, was_current) = self.location.migrate(self.sign_existing_rows).await?;
        let database = match store.kind() {
            Kind::Postgres => "PostgreSQL",
            Kind::Sqlite => "SQLite",
        };
        let done = if was_current { "is up to date already" } else { "was brought up to date" };
        let model = match &backend.authz {
            Authz::Embedded => "authorization model: built in, set up".to_owned(),
            Authz::OpenFga(openfga) => format!("authorization model: is in OpenFGA's store {:?}", openfga.store),
        };
        Ok(print(&format!("database: {database} {done}\n{model}\n"))?)
    }
}
