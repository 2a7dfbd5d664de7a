//! `serve`: runs the server, or checks whether it could.

use super::failure::Result;
use super::keyring_command::master_keys;
use super::server::{self, ServeSetup};
use super::{check, logs, open};
use crate::command::Problems;
use crate::config::{BackendSettings, Config, KeySettings, LogSettings, Parts, SECRETS_HELP, Secrets, ServerSettings};
use crate::domain::{Clock, SystemClock};
use crate::http::tokens::Verifier;
use crate::trace::Exporter;
use crate::vault::{Installation, Vault};
use crate::webhook::Webhook;
use std::sync::Arc;

/// Runs the server.
#[derive(clap::Args)]
#[command(after_help = SECRETS_HELP)]
pub struct Serve {
    /// First brings the database and the authorization model up to date, as `migrate` does
    #[arg(long)]
    migrate: bool,
    /// Starts no server: tries every setting, the database, the authorizer, the keys, the issuers'
    /// key sets, the addresses and the certificate, and reports all problems at once. Writes
    /// nothing. Exits with 0 when `serve` would start, 2 when a setting is wrong, else 1
    #[arg(long, conflicts_with = "migrate")]
    check: bool,
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
    /// Serves until a signal stops the server; with `--check`, tries everything and ends.
    pub async fn run(self) -> Result {
        let parts = Parts::of_server(&self.backend, &self.keys, &self.server, &self.log, &Secrets::from_env());
        if self.check {
            return Box::pin(check::run(parts)).await;
        }
        let Config { backend, keys, server, log } = parts.complete()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let verifier = Verifier::new(server.issuers, clock.clone(), server.jwks_refresh).map_err(Problems)?;
        let traces = server.traces.as_ref().map(Exporter::start).transpose();
        let (layer, exporter) = traces.map_err(|error| Problems(vec![error.to_string()]))?.unzip();
        logs::begin(log, layer);
        let store = open::store(&backend)?;
        let installation = Installation::new(store.clone(), master_keys(&keys)?, clock.clone());
        if self.migrate {
            open::migrate(&backend, &installation, &store, crate::vault::ExistingRows::Refuse).await?;
        }
        let authorizer = open::authorizer(&backend, &installation, &store).await?;
        let vault = Vault::of(installation, authorizer.with_max_age(server.authz_max_age, clock), server.retention)
            .with_resolve_limit(server.resolves_per_minute);
        for problem in verifier.load().await {
            tracing::warn!(
                problem,
                "a key set cannot be read; its issuer's tokens are refused until a later read succeeds"
            );
        }
        let notices = server.notices.as_ref().map(Webhook::new).transpose();
        let notices = notices.map_err(|error| Problems(vec![error.to_string()]))?;
        let setup = ServeSetup {
            vault,
            verifier,
            notices,
            introspection: server.introspection,
            audit_retention: server.audit_retention,
            listen: server.listen,
            runtime_listen: server.runtime_listen,
            metrics_listen: Some(server.metrics_listen),
            tls: server.tls,
            dashboard: server.dashboard,
        };
        let served = server::run(setup, |_| Ok(())).await;
        if let Some(exporter) = exporter {
            exporter.end().await;
        }
        served
    }
}
