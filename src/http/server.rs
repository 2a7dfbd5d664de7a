//! Listening, and graceful shutdown.

use super::budget::MemoryBudget;
use super::connections::{Bounds, Permits, serve};
use super::endpoint::{Endpoint, Serves, graphql};
use super::health::{Readiness, healthz, readyz, statement_keys};
use super::metrics;
use super::observe::{Routes, observe};
use super::tokens::Verifier;
use crate::graphql::Api;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use futures::future::try_join_all;
use http::StatusCode;
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
/// The bounds of the connections of an address. Gateways keep theirs for a minute.
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
/// Maximum number of requests that are open in the process beside four of each connection. One
/// takes some 10 KB until it is answered and its answer read.
const MAX_REQUESTS: usize = 8192;
/// The same of one caller, and of all callers together who are not verified, so that few of them do
/// not lock the others out.
const MAX_REQUESTS_EACH: usize = MAX_REQUESTS / 8;

/// The same of the address for metrics, to which few connect.
const METRICS_BOUNDS: Bounds = Bounds { slots: 64, ..BOUNDS };

/// A certificate, with its chain, and its key; both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The file of the certificate and its chain.
    pub certificate: PathBuf,
    /// The file of the private key.
    pub key: PathBuf,
}

/// The addresses the server listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A second address, for runtimes alone; the first is for everybody else then.
    pub runtime_listen: Option<SocketAddr>,
    /// The address of metrics and health, in plain HTTP and without tokens; nobody is served
    /// metrics where there is none.
    pub metrics_listen: Option<SocketAddr>,
    /// With these files, the first two addresses are https.
    pub tls: Option<TlsFiles>,
}

/// The parts that the server serves.
#[derive(Clone)]
pub struct ServerParts {
    /// The API, over its vault.
    pub api: Api,
    /// Judges the tokens.
    pub verifier: Verifier,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address, as it was asked for.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The certificate and its key are no use.
    #[error("cannot serve TLS with the certificate {} and the key {}: {source}", files.certificate.display(), files.key.display())]
    Tls {
        /// The files.
        files: TlsFiles,
        /// The problem with them.
        source: io::Error,
    },
}

/// A server that listens; it answers once it runs.
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
    /// Reads the certificate and begins to listen.
    ///
    /// # Errors
    /// When an address cannot be had, or the certificate or its key cannot be used.
    pub async fn bind(config: ServerConfig, parts: ServerParts) -> Result<Self, StartError> {
        let tls = match config.tls {
            None => None,
            Some(files) => match RustlsConfig::from_pem_file(&files.certificate, &files.key).await {
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

    /// The address, with its actual port.
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

    /// Serves until `shutdown` is ready; then accepts nothing more, finishes what runs within 20
    /// seconds, and returns.
    ///
    /// # Errors
    /// When a socket cannot be used.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { parts, tls, main, runtimes, metrics } = self;
        let running = TaskTracker::new();
        let readiness = Arc::new(Readiness::new(parts.api.vault().clone()));
        let permits = Permits::new(MAX_REQUESTS, MAX_REQUESTS_EACH);
        let (requests, answers) = (MemoryBudget::of_requests(), MemoryBudget::of_answers());
        let pressure = answers.pressure();
        let processors = || Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from)));
        let (parsers, readers) = (processors(), processors());
        let router = |serves| {
            let ServerParts { api, verifier } = parts.clone();
            let (requests, answers) = (requests.clone(), answers.clone());
            let (parsers, readers) = (parsers.clone(), readers.clone());
            let running = running.clone();
            router(Endpoint { api, verifier, serves, requests, answers, parsers, readers, running }, readiness.clone())
        };
        let sockets = match runtimes {
            None => vec![(main, Serves::All)],
            Some(runtimes) => vec![(main, Serves::People), (runtimes, Serves::Runtimes)],
        };
        let stop = CancellationToken::new();
        let tls = tls.map(RustlsAcceptor::new);
        let apis =
            sockets.into_iter().map(|(socket, serves)| (socket, router(serves), tls.clone(), BOUNDS, permits.clone()));
        // With requests of its own, so that health is told when clients have taken all others.
        let own = Permits::new(METRICS_BOUNDS.slots, METRICS_BOUNDS.slots);
        let metrics = metrics.map(|socket| (socket, metrics_router(readiness.clone()), None, METRICS_BOUNDS, own));
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
            tracing::warn!("not all requests were finished in time");
            Ok(())
        })
    }
}

impl BoundSocket {
    fn on(address: SocketAddr) -> Result<Self, StartError> {
        let refused = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }
}

fn router(endpoint: Endpoint, readiness: Arc<Readiness>) -> Router {
    let vault = endpoint.api.vault().clone();
    let routes = Router::new()
        .route("/graphql", any(graphql).with_state(Arc::new(endpoint)))
        .route("/.well-known/project-vault/jwks.json", get(statement_keys).with_state(vault));
    observed(routes.merge(health(readiness)), &["/graphql", "/healthz", "/readyz"])
}

fn metrics_router(readiness: Arc<Readiness>) -> Router {
    observed(health(readiness).route("/metrics", get(metrics::page)), &["/metrics", "/healthz", "/readyz"])
}

fn health(readiness: Arc<Readiness>) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz).with_state(readiness))
}

/// Adds what is around every request. These routes are logged and counted by their names.
fn observed(routes: Router, named: &'static [&'static str]) -> Router {
    routes.fallback(async || (StatusCode::NOT_FOUND, "not found\n")).layer(from_fn_with_state(Routes(named), observe))
}
