//! `serve --check`: tries all that a server needs, without serving and without writing.

use super::failure::{Failure, Result};
use super::keyring_command::master_keys;
use crate::authz::Authorizer;
use crate::command::{Problems, print};
use crate::config::{Authz, Backend, KeyConfig, Parts, Server};
use crate::domain::SystemClock;
use crate::http::tokens::Verifier;
use crate::http::{ServerConfig, try_to_listen};
use crate::store::{self, Store, Tables};
use crate::trace::Exporter;
use crate::vault::{Installation, MasterKeys};
use secrecy::ExposeSecret as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Maximum time for each part. The longest wait of its own is for a command that prints the
/// keyring: 10 seconds.
const PART_TIMEOUT: Duration = Duration::from_secs(15);

/// What was tried.
#[derive(Default)]
struct Report {
    ready: Vec<&'static str>,
    problems: Vec<String>,
}

impl Report {
    /// Notes the outcome of trying a part; says whether it is ready.
    fn note(&mut self, part: &'static str, tried: Result) -> bool {
        let is_ready = tried.is_ok();
        match tried {
            Ok(()) => self.ready.push(part),
            Err(failure) => self.problems.extend(failure.to_string().lines().map(|line| format!("{part}: {line}"))),
        }
        is_ready
    }

    fn add(&mut self, other: Self) {
        self.ready.extend(other.ready);
        self.problems.extend(other.problems);
    }
}

/// Tries every part whose settings are right, and reports the problems of all.
pub async fn run(parts: Parts) -> Result {
    let Parts { backend, keys, server, log: _, problems: Problems(settings) } = parts;
    let (data, serving) = tokio::join!(data(backend, keys), async {
        match server {
            Some(server) => serving(server).await,
            None => Report::default(),
        }
    });
    let mut report = data;
    report.add(serving);
    let ready: String = report.ready.iter().map(|part| format!("{part}: ready\n")).collect();
    print(&ready)?;
    if !settings.is_empty() {
        return Err(Problems(settings.into_iter().chain(report.problems).collect()).into());
    }
    if report.problems.is_empty() { Ok(()) } else { Err(Failure::CheckFailed(report.problems.join("\n"))) }
}

/// The database, the keys and the authorizer. Keys and authorizer are tried alone where the
/// database cannot tell which of them the installation needs.
async fn data(backend: Option<Backend>, keys: Option<KeyConfig>) -> Report {
    let mut report = Report::default();
    let store = match &backend {
        Some(backend) => match in_time(database(backend)).await {
            Ok(store) => {
                report.note("database", Ok(()));
                Some(store)
            }
            Err(failure) => {
                report.note("database", Err(failure));
                None
            }
        },
        None => None,
    };
    let master = keys.as_ref().map(|keys| master_keys(keys).map_err(Failure::from));
    let mut installation = None;
    match master {
        Some(Ok(master)) => {
            let known = store.map(|store| Installation::new(store, master.clone(), Arc::new(SystemClock)));
            if report.note("keys", in_time(keys_open(&master, known.as_ref())).await) {
                installation = known;
            }
        }
        Some(Err(failure)) => drop(report.note("keys", Err(failure))),
        None => {}
    }
    if let Some(backend) = &backend {
        match &backend.authz {
            // Its tuples are in the database.
            Authz::Embedded if installation.is_none() => {}
            authz => drop(report.note("authorizer", in_time(authorizer(authz, installation.as_ref())).await)),
        }
    }
    report
}

/// Opens the database, which has to be durable, writable and up to date.
async fn database(backend: &Backend) -> Result<Store> {
    let url = backend.database_url.expose_secret();
    if let Some(path) = url.strip_prefix("sqlite:") {
        // Opening a file that is not there would create it.
        let path = path.strip_prefix("file:").unwrap_or(path);
        let path = path.split('?').next().unwrap_or(path);
        std::fs::metadata(Path::new(path)).map_err(|error| missing_file(path, &error))?;
    }
    let store = Store::open(url, None)?;
    match store.tables().await? {
        Tables::Current => {}
        Tables::Behind => return Err(Failure::NotMigrated),
        Tables::Newer(versions) => return Err(store::Error::Newer(versions).into()),
    }
    store.require_durable().await?;
    store.require_writable().await?;
    Ok(store)
}

fn missing_file(path: &str, error: &std::io::Error) -> Failure {
    Failure::CheckFailed(format!(
        "{path} cannot be read: {error}; create it with `project-vault migrate`, or correct DATABASE_URL"
    ))
}

/// Whether the keys open what the installation has wrapped; of an unknown installation, whether
/// their provider answers.
async fn keys_open(master: &MasterKeys, installation: Option<&Installation>) -> Result {
    // The provider itself says more of an outage.
    master.current().await?;
    match installation {
        Some(installation) => Ok(installation.check_keyring().await?),
        None => Ok(()),
    }
}

/// Whether the authorizer decides with the store and the model that the installation pins; of an
/// unknown installation, whether OpenFGA answers.
async fn authorizer(authz: &Authz, installation: Option<&Installation>) -> Result {
    if let Authz::OpenFga(config) = authz {
        Authorizer::reach_openfga(config).await.map_err(crate::vault::InstallationError::from)?;
    }
    let Some(installation) = installation else { return Ok(()) };
    let authorizer = match authz {
        Authz::Embedded => installation.embedded().await?,
        Authz::OpenFga(config) => installation.openfga(config).await?,
    };
    Ok(authorizer.ready().await?)
}

/// The issuers' key sets, the collector of traces, the certificate and the addresses.
async fn serving(server: Server) -> Report {
    let mut report = Report::default();
    let sets = match Verifier::new(server.issuers, Arc::new(SystemClock), server.jwks_refresh) {
        Ok(verifier) => in_time(async { Ok(verifier.load().await) }).await.map_err(|failure| failure.to_string()),
        Err(problems) => Ok(problems),
    };
    let problems = sets.unwrap_or_else(|late| vec![late]);
    let advice = "give the issuer's key set; until it can be read, its tokens are refused";
    let tried = problems.into_iter().map(|problem| format!("{problem}; {advice}")).collect::<Vec<_>>();
    report.note("issuers", if tried.is_empty() { Ok(()) } else { Err(Failure::CheckFailed(tried.join("\n"))) });
    if let Some(traces) = &server.traces {
        let tried = in_time(async { Ok(Exporter::try_collector(traces).await) }).await;
        let tried = tried.and_then(|tried| tried.map_err(|error| Failure::CheckFailed(error.to_string())));
        report.note("traces", tried);
    }
    let config = ServerConfig {
        listen: server.listen,
        runtime_listen: server.runtime_listen,
        metrics_listen: Some(server.metrics_listen),
        tls: server.tls,
    };
    let problems: Vec<String> = try_to_listen(config).await.iter().map(ToString::to_string).collect();
    let tried = if problems.is_empty() { Ok(()) } else { Err(Failure::CheckFailed(problems.join("\n"))) };
    report.note("addresses", tried);
    report
}

async fn in_time<T>(part: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PART_TIMEOUT, part).await.unwrap_or_else(|_| {
        let limit = PART_TIMEOUT.as_secs();
        Err(Failure::CheckFailed(format!("gave no answer within {limit} seconds; check its address and the network")))
    })
}
