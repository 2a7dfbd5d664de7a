//! Listening, and graceful shutdown.

use super::budget::MemoryBudget;
use super::connections::{Bounds, Permits, serve};
use super::dashboard::{self, Dashboard};
use super::endpoint::{Endpoint, Serves, graphql};
use super::health::{healthz, readyz, statement_keys};
use super::metrics;
use super::observe::{Routes, observe};
use super::rest;
use super::tokens::Verifier;
use crate::command::read_text;
use crate::domain::canonical_pem;
use crate::graphql::Api;
use crate::vault::Vault;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use futures::future::try_join_all;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How long running requests may take to finish once the server is told to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);
/// The limits of the connections of an address. Gateways keep idle connections for a minute.
const BOUNDS: Bounds = Bounds {
    slots: 4096,
    first_request: Duration::from_secs(10),
    next_request: Duration::from_secs(75),
    when_full: Duration::from_secs(1),
    body_when_full: Duration::from_secs(2),
    stall: Duration::from_secs(10),
    stall_under_pressure: Duration::from_secs(2),
    rate: 16 * 1024,
    slow: Duration::from_secs(100),
    age: Duration::from_secs(60 * 60),
    grace: SHUTDOWN_TIMEOUT,
    linger: Duration::from_millis(500),
};
/// Maximum number of open requests in the process, not counting four of each connection. A request
/// takes some 10 KB until its answer has been read.
const MAX_REQUESTS: usize = 8192;
/// The same for one caller, and for all unverified callers together, so that a few callers cannot
/// lock out the others.
const MAX_REQUESTS_EACH: usize = MAX_REQUESTS / 8;

/// The limits of the metrics address, to which few clients connect.
const METRICS_BOUNDS: Bounds = Bounds { slots: 64, ..BOUNDS };

/// The files of a certificate chain and its private key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The addresses the server listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The main address; port 0 takes a free port.
    pub listen: SocketAddr,
    /// A second address, for runtimes only; the main address then serves everybody else.
    pub runtime_listen: Option<SocketAddr>,
    /// The address of metrics and health, in plain HTTP and without tokens. Without it there are no
    /// metrics.
    pub metrics_listen: Option<SocketAddr>,
    /// The certificate and key with which the first two addresses serve https; without them, http.
    pub tls: Option<TlsFiles>,
}

/// The API to serve, the verifier of its tokens, and the page that uses it.
#[derive(Clone)]
pub struct ServerParts {
    /// The API, over its vault.
    pub api: Api,
    /// Verifies the callers' tokens.
    pub verifier: Verifier,
    /// The dashboard, if it is on. The runtimes' address does not have it.
    pub dashboard: Option<Dashboard>,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; give an address of this machine with a free port")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("cannot serve TLS with the certificate {} and the key {}: {source}", files.certificate.display(), files.key.display())]
    Tls {
        /// The files.
        files: TlsFiles,
        /// The problem with them.
        source: io::Error,
    },
}

/// A server that listens. It serves requests once [`Self::run`] is called.
pub struct Server {
    parts: ServerParts,
    tls: Option<RustlsConfig>,
    main: BoundSocket,
    runtimes: Option<BoundSocket>,
    metrics: Option<BoundSocket>,
}

struct BoundSocket {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Reads the certificate and binds the addresses.
    ///
    /// # Errors
    /// When an address cannot be bound, or the certificate or its key cannot be used.
    pub async fn bind(config: ServerConfig, parts: ServerParts) -> Result<Self, StartError> {
        let tls = match config.tls {
            None => None,
            Some(files) => match rustls_config(&files).await {
                Ok(tls) => Some(tls),
                Err(source) => return Err(StartError::Tls { files, source }),
            },
        };
        let main = BoundSocket::on(config.listen)?;
        let runtimes = config.runtime_listen.map(BoundSocket::on).transpose()?;
        let metrics = config.metrics_listen.map(BoundSocket::on).transpose()?;
        metrics::install();
        Ok(Self { parts, tls, main, runtimes, metrics })
    }

    /// The main address, with its actual port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.main.address
    }

    /// The runtimes' address, with its actual port.
    #[must_use]
    pub fn runtime_address(&self) -> Option<SocketAddr> {
        self.runtimes.as_ref().map(|runtimes| runtimes.address)
    }

    /// The address of metrics and health, with its actual port.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }

    /// Serves until `shutdown` completes; then accepts nothing more, waits up to 20 seconds for the
    /// running requests, and returns.
    ///
    /// # Errors
    /// When a socket cannot be configured.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { parts, tls, main, runtimes, metrics } = self;
        let running = TaskTracker::new();
        let permits = Permits::new(MAX_REQUESTS, MAX_REQUESTS_EACH);
        let (requests, answers) = (MemoryBudget::of_requests(), MemoryBudget::of_answers());
        let pressure = answers.pressure();
        let processors = || Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from)));
        let (parsers, readers) = (processors(), processors());
        let router = |serves, address| {
            let ServerParts { api, verifier, dashboard } = parts.clone();
            let (requests, answers) = (requests.clone(), answers.clone());
            let (parsers, readers) = (parsers.clone(), readers.clone());
            let running = running.clone();
            let dashboard = dashboard
                .filter(|_| serves != Serves::Runtimes)
                .map(|dashboard| dashboard::routes(&dashboard, address, &requests))
                .unwrap_or_default();
            let endpoint = Endpoint { api, verifier, serves, requests, answers, parsers, readers, running };
            router(endpoint, dashboard)
        };
        let sockets = match runtimes {
            None => vec![(main, Serves::All)],
            Some(runtimes) => vec![(main, Serves::People), (runtimes, Serves::Runtimes)],
        };
        let stop = CancellationToken::new();
        let tls = tls.map(RustlsAcceptor::new);
        let apis = sockets.into_iter().map(|(socket, serves)| {
            let router = router(serves, socket.address);
            (socket, router, tls.clone(), BOUNDS, permits.clone())
        });
        // With permits of its own, so that health checks are answered when clients use up all
        // others.
        let own = Permits::new(METRICS_BOUNDS.slots, METRICS_BOUNDS.slots);
        let vault = parts.api.vault().clone();
        let metrics = metrics.map(|socket| (socket, metrics_router(vault), None, METRICS_BOUNDS, own));
        let listeners = apis.chain(metrics).map(|(socket, router, tls, bounds, permits)| {
            serve(socket.listener, tls, router, bounds, permits, pressure.clone(), stop.clone())
        });
        let _upkeep = AbortOnDropHandle::new(tokio::spawn(metrics::keep_up()));
        let mut served = pin!(try_join_all(listeners));
        tokio::select! {
            ended = &mut served => return ended.map(drop),
            () = shutdown => {}
        }
        tracing::info!("shutting down");
        stop.cancel();
        let end = async {
            let ended = served.await;
            // Requests whose client disconnected still finish.
            running.close();
            running.wait().await;
            ended.map(drop)
        };
        tokio::time::timeout(SHUTDOWN_TIMEOUT, end).await.unwrap_or_else(|_| {
            tracing::warn!("some requests did not finish within 20 seconds and are cut off");
            Ok(())
        })
    }
}

/// Tries to read the certificate and to bind the addresses, all of them at once; serves nothing and
/// gives them up again. Gives every reason why a server could not start.
pub async fn try_to_listen(config: ServerConfig) -> Vec<StartError> {
    let mut problems = Vec::new();
    if let Some(files) = config.tls
        && let Err(source) = rustls_config(&files).await
    {
        problems.push(StartError::Tls { files, source });
    }
    let addresses = [Some(config.listen), config.runtime_listen, config.metrics_listen];
    let bound: Vec<_> = addresses.into_iter().flatten().map(BoundSocket::on).collect();
    problems.extend(bound.into_iter().filter_map(Result::err));
    problems
}

async fn rustls_config(files: &TlsFiles) -> io::Result<RustlsConfig> {
    let read = |path| {
        let text = read_text(path).map_err(io::Error::other)?;
        let pem =
            canonical_pem(&text).ok_or_else(|| io::Error::other("a file holds a block of PEM without its end"))?;
        Ok::<_, io::Error>(pem.as_bytes().to_vec())
    };
    RustlsConfig::from_pem(read(&files.certificate)?, read(&files.key)?).await
}

impl BoundSocket {
    fn on(address: SocketAddr) -> Result<Self, StartError> {
        let refused = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }
}

/// The routes of the API's and health's addresses, and the dashboard's.
const ROUTES: &[&str] = &[
    "/graphql",
    rest::SECRET,
    rest::OPENAPI,
    "/healthz",
    "/readyz",
    dashboard::PAGE,
    dashboard::ASSET,
    dashboard::CONFIG,
    dashboard::SIGN_IN,
];

fn router(endpoint: Endpoint, dashboard: Router) -> Router {
    let vault = endpoint.api.vault().clone();
    let endpoint = Arc::new(endpoint);
    let routes = Router::new()
        .route("/graphql", any(graphql).with_state(endpoint.clone()))
        .route(rest::SECRET, any(rest::secret).with_state(endpoint))
        .route(rest::OPENAPI, any(rest::openapi))
        .route(dashboard::KEYS, get(statement_keys).with_state(vault.clone()));
    observed(routes.merge(health(vault)).merge(dashboard), ROUTES)
}

fn metrics_router(vault: Vault) -> Router {
    observed(
        health(vault.clone()).route("/metrics", get(metrics::page).with_state(vault)),
        &["/metrics", "/healthz", "/readyz"],
    )
}

fn health(vault: Vault) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz).with_state(vault))
}

/// Adds the middleware around every request. Logs and metrics name these routes.
fn observed(routes: Router, named: &'static [&'static str]) -> Router {
    routes.fallback(rest::no_such_path).layer(from_fn_with_state(Routes(named), observe))
}
