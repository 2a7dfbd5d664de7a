//! `serve`: runs the server.

use super::failure::Result;
use super::keyring_command::master_keys;
use super::server::{self, ServeSetup};
use super::{logs, open};
use crate::command::Problems;
use crate::config::{BackendSettings, Config, KeySettings, LogSettings, SECRETS_HELP, Secrets, ServerSettings};
use crate::domain::{Clock, SystemClock};
use crate::http::tokens::Verifier;
use crate::vault::{Installation, Vault};
use std::sync::Arc;

/// Runs the server.
#[derive(clap::Args)]
#[command(after_help = SECRETS_HELP)]
pub struct Serve {
    /// First brings the database and the authorization model up to date, as `migrate` does
    #[arg(long)]
    migrate: bool,
    #[command(flatten)]
    server: ServerSettings,
    #[command(flatten)]
    backend: BackendSettings,
    #[command(flatten)]
    keys: KeySettings,
    #[command(flatten)]
    log: LogSettings,
}

impl Serve {
    /// Serves until a signal stops the server.
    pub async fn run(self) -> Result {
        let Config { backend, keys, server, log } =
            Config::of_server(&self.backend, &self.keys, &self.server, &self.log, &Secrets::from_env())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let verifier = Verifier::new(server.issuers, clock.clone(), server.jwks_refresh).map_err(Problems)?;
        logs::begin(log);
        let store = open::store(&backend)?;
        let installation = Installation::new(store.clone(), master_keys(&keys)?, clock.clone());
        if self.migrate {
            open::migrate(&backend, &installation, &store, crate::vault::ExistingRows::Refuse).await?;
        }
        let authorizer = open::authorizer(&backend, &installation, &store).await?;
        let vault = Vault::of(installation, authorizer.with_max_age(server.authz_max_age, clock), server.retention);
        for problem in verifier.load().await {
            tracing::warn!(
                problem,
                "a key set cannot be read; its issuer's tokens are refused until a later read succeeds"
            );
        }
        let setup = ServeSetup {
            vault,
            verifier,
            introspection: server.introspection,
            audit_retention: server.audit_retention,
            listen: server.listen,
            runtime_listen: server.runtime_listen,
            metrics_listen: Some(server.metrics_listen),
            tls: server.tls,
        };
        server::run(setup, |_| Ok(())).await
    }
}
