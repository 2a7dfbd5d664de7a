//! `migrate`.

use super::failure::Result;
use super::{logs, open, print};
use crate::config::{self, Authz, BackendSettings, LogSettings, SECRETS_HELP, Secrets};
use crate::store::Kind;

/// Brings the database, and the authorization model in OpenFGA, up to date. Safe to repeat, and to run twice at once.
#[derive(clap::Args)]
#[command(after_help = SECRETS_HELP)]
pub struct Migrate {
    #[command(flatten)]
    backend: BackendSettings,
    #[command(flatten)]
    log: LogSettings,
}

impl Migrate {
    /// Does it, and says so.
    pub async fn run(self) -> Result {
        let (backend, log) = config::without_keys(&self.backend, &self.log, &Secrets::from_env())?;
        logs::begin(log);
        let store = open::store(&backend)?;
        let was_current = store.is_migrated().await?;
        open::migrate(&backend, &store).await?;
        let database = match store.kind() {
            Kind::Postgres => "PostgreSQL",
            Kind::Sqlite => "SQLite",
        };
        let done = if was_current { "is up to date already" } else { "was brought up to date" };
        let model = match &backend.authz {
            Authz::Embedded => "authorization model: built in, set up".to_owned(),
            Authz::OpenFga(openfga) => format!("authorization model: is in OpenFGA's store {:?}", openfga.store),
        };
        print(&format!("database: {database} {done}\n{model}\n"))
    }
}
