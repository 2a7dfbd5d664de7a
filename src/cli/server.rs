//! Runs a vault: the HTTP server, the background jobs, and the signals that stop the server or make
//! it reload its keyring.

use super::failure::{Failure, Result};
use super::jobs;
use crate::command::CommandFailure;
use crate::domain::with_causes;
use crate::graphql::Api;
use crate::http::dashboard::Dashboard;
use crate::http::tokens::Verifier;
use crate::http::{self, Server, ServerConfig, TlsFiles};
use crate::vault::Vault;
use crate::webhook::Webhook;
use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the background jobs may run on after the server has stopped.
const JOBS_GRACE: Duration = Duration::from_secs(5);

/// What [`run`] needs to serve a vault.
pub struct ServeSetup {
    /// The vault.
    pub vault: Vault,
    /// The verifier of tokens.
    pub verifier: Verifier,
    /// Whether clients may query the schema.
    pub introspection: bool,
    /// How long audit events are kept; for ever if `None`.
    pub audit_retention: Option<Duration>,
    /// Where notices are sent, if anywhere.
    pub notices: Option<Webhook>,
    /// The address it listens on.
    pub listen: SocketAddr,
    /// The address for runtimes, if they have one of their own.
    pub runtime_listen: Option<SocketAddr>,
    /// The address of metrics and health, if any.
    pub metrics_listen: Option<SocketAddr>,
    /// The certificate and key, to serve https.
    pub tls: Option<TlsFiles>,
    /// The dashboard, if it is on.
    pub dashboard: Option<Dashboard>,
}

/// The addresses of a server.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The main address.
    pub address: SocketAddr,
    /// The address for runtimes, if they have one of their own.
    pub runtime_address: Option<SocketAddr>,
    /// The address of metrics and health, if any.
    pub metrics_address: Option<SocketAddr>,
}

/// A server that listens.
struct Listening {
    addresses: Addresses,
    /// Completes when the server has stopped and its requests have finished.
    serving: BoxFuture<'static, Result>,
}

/// Serves until SIGTERM or SIGINT; calls `ready` once the server accepts requests. A second signal
/// stops it at once.
pub async fn run(setup: ServeSetup, ready: impl FnOnce(Addresses) -> Result) -> Result {
    let (vault, audit_retention, notices) = (setup.vault.clone(), setup.audit_retention, setup.notices.clone());
    let mut signals = Signals::new().map_err(CommandFailure::Runtime)?;
    let stop = CancellationToken::new();
    let Listening { addresses, serving } = listen(setup, stop.clone()).await?;
    let mut serving = tokio::spawn(serving);
    let stop_jobs = CancellationToken::new();
    let jobs = tokio::spawn(jobs::run(vault.clone(), audit_retention, notices, stop_jobs.clone()));
    let runtimes = addresses.runtime_address.map(tracing::field::display);
    let metrics = addresses.metrics_address.map(tracing::field::display);
    tracing::info!(address = %addresses.address, runtimes, metrics, "listening");
    if let Some(address) = addresses.metrics_address.filter(|address| !address.ip().is_loopback()) {
        tracing::warn!(%address, "metrics are reachable from other machines, without tokens; let only your monitoring connect");
    }
    ready(addresses)?;

    let served = tokio::select! {
        served = &mut serving => Some(served),
        () = signals.stop(&vault) => {
            tracing::info!("stopping once running requests have finished");
            stop.cancel();
            tokio::select! {
                served = &mut serving => Some(served),
                // A second signal means not to wait.
                () = signals.stop(&vault) => None,
            }
        }
    };
    stop_jobs.cancel();
    if tokio::time::timeout(JOBS_GRACE, jobs).await.is_err() {
        tracing::warn!("a background job did not end within 5 seconds and is cut off");
    }
    match served {
        Some(Ok(served)) => served,
        Some(Err(error)) => Err(Failure::Stopped(error.to_string())),
        None => {
            tracing::warn!("running requests were cut off by a second signal");
            Ok(())
        }
    }
}

/// Binds the addresses, so that errors with them are reported first; the result serves until `stop`
/// is cancelled.
async fn listen(setup: ServeSetup, stop: CancellationToken) -> Result<Listening> {
    let scheme = if setup.tls.is_some() { "https" } else { "http" };
    let config = ServerConfig {
        listen: setup.listen,
        runtime_listen: setup.runtime_listen,
        metrics_listen: setup.metrics_listen,
        tls: setup.tls,
    };
    let api = Api::new(setup.vault, setup.introspection);
    let parts = http::ServerParts { api, verifier: setup.verifier, dashboard: setup.dashboard };
    let server = Server::bind(config, parts).await?;
    let addresses = Addresses {
        scheme,
        address: server.address(),
        runtime_address: server.runtime_address(),
        metrics_address: server.metrics_address(),
    };
    let serving = async move { Ok(server.run(stop.cancelled_owned()).await.map_err(CommandFailure::Runtime)?) };
    Ok(Listening { addresses, serving: Box::pin(serving) })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that stops the server; reloads the keyring at every SIGHUP meanwhile.
    async fn stop(&mut self, vault: &Vault) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => drop(tokio::spawn(reload_keyring(vault.clone()))),
            }
        }
    }
}

async fn reload_keyring(vault: Vault) {
    match vault.installation().reload_keyring().await {
        Ok(id) => tracing::info!(key = id, "the keyring was read again; this key encrypts"),
        Err(error) => {
            tracing::error!(
                error = with_causes(&error),
                "the keyring cannot be read again; the one in memory stays in use"
            );
            return;
        }
    }
    if let Err(error) = vault.installation().check_keyring().await {
        let error = with_causes(&error);
        tracing::error!(
            error,
            "the reloaded keyring does not open every data key; add the missing keys and send SIGHUP again"
        );
    }
}
