//! Keeping an issuer's key set fresh.
//!
//! A set is re-read when it is older than the refresh period and when a `kid` is unknown. One read
//! runs at a time, in a task of its own: a caller that disconnects does not stop it, and all
//! callers that need it wait for the same read. Lookups of known keys never wait.

use super::issuers::KeySource;
use super::jwks::{self, Key, KeySet};
use crate::domain::{Clock, Timestamp, with_causes};
use jsonwebtoken::Algorithm;
use parking_lot::{Mutex, MutexGuard};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Minimum time between two reads caused by unknown keys, and between a failed read and the next.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How long a set is used when it cannot be read again.
const MAX_SET_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a key set, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// One issuer's keys.
pub(super) struct IssuerKeys {
    iss: String,
    source: Source,
    clock: Arc<dyn Clock>,
    refresh: Duration,
    state: Mutex<State>,
}

enum Source {
    File(PathBuf),
    Url(reqwest::Client, String),
    Set(String),
}

#[derive(Default)]
struct State {
    set: KeySet,
    /// When the last successful read began.
    read: Option<Timestamp>,
    /// When the last read began, successful or not.
    tried: Option<Timestamp>,
    /// When an unknown key last caused a read.
    asked: Option<Timestamp>,
    /// Why the last read failed; none if it succeeded.
    problem: Option<String>,
    /// Closes when the running read ends, however it ends.
    reading: Option<watch::Receiver<()>>,
}

/// The result of looking the keys of a `kid` and an algorithm up.
pub(super) enum Lookup {
    /// The keys: one, or a few that share a `kid`.
    Found(Vec<Arc<Key>>),
    /// The issuer has no key of this `kid`.
    Unknown,
    /// It has, but for other algorithms.
    OtherAlgorithm,
    /// There is no usable set: it was never read, or last more than 24 hours ago.
    Unavailable,
}

impl IssuerKeys {
    pub(super) fn new(
        iss: &str,
        source: KeySource,
        clock: Arc<dyn Clock>,
        refresh: Duration,
    ) -> Result<Self, reqwest::Error> {
        let source = match source {
            KeySource::File(path) => Source::File(path),
            KeySource::Set(document) => Source::Set(document),
            KeySource::Url(url) => {
                let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
                let client = if url.is_plain() {
                    // A proxy could substitute keys. Without TLS, no certificates are needed.
                    client.no_proxy().tls_certs_only([])
                } else {
                    client.https_only(true)
                };
                Source::Url(client.build()?, url.as_str().to_owned())
            }
        };
        Ok(Self { iss: iss.to_owned(), source, clock, refresh, state: Mutex::default() })
    }

    /// The keys of this `kid` and algorithm. Waits only when there are none, for at most two reads
    /// of at most [`READ_TIMEOUT`] each.
    pub(super) async fn find(self: &Arc<Self>, kid: &str, algorithm: Algorithm) -> Lookup {
        // A read that was already running may have begun before the key was published. Then read
        // once more, unless it is too early or the source does not answer.
        for round in 0..2 {
            let reading = {
                let now = self.clock.now();
                let mut state = self.state();
                if let Lookup::Found(keys) = state.find(kid, algorithm, now) {
                    if state.is_due(now, self.refresh) {
                        self.start(&mut state, now);
                    }
                    return Lookup::Found(keys);
                }
                match state.under_way() {
                    Some(reading) => reading,
                    None if round > 0 && state.problem.is_some() => break,
                    None if passed(state.asked, now, MIN_RETRY_INTERVAL) => {
                        state.asked = Some(now);
                        self.start(&mut state, now)
                    }
                    None => break,
                }
            };
            ended(reading).await;
        }
        let now = self.clock.now();
        self.state().find(kid, algorithm, now)
    }

    /// Reads the set now, or waits for the running read.
    ///
    /// # Errors
    /// Why the set could not be read, or that it has no usable key.
    pub(super) async fn read(self: &Arc<Self>) -> Result<(), String> {
        let reading = {
            let mut state = self.state();
            self.start(&mut state, self.clock.now())
        };
        ended(reading).await;
        let state = self.state();
        match &state.problem {
            Some(problem) => Err(problem.clone()),
            None => state.set.require_usable(),
        }
    }

    fn start(self: &Arc<Self>, state: &mut State, now: Timestamp) -> watch::Receiver<()> {
        if let Some(reading) = state.under_way() {
            return reading;
        }
        let (done, reading) = watch::channel(());
        state.tried = Some(now);
        state.reading = Some(reading.clone());
        let keys = Arc::clone(self);
        tokio::spawn(async move {
            let read = tokio::time::timeout(READ_TIMEOUT, keys.source.read()).await;
            keys.take(read.unwrap_or_else(|_| Err("it took longer than 5 seconds".to_owned())), now);
            drop(done);
        });
        reading
    }

    /// Stores the result of a read that began at `began`.
    fn take(&self, read: Result<Vec<u8>, String>, began: Timestamp) {
        let read = read.and_then(|document| jwks::parse(&document).map_err(str::to_owned));
        let mut state = self.state();
        match read {
            Ok(set) => {
                match set.require_usable() {
                    Ok(()) => {
                        let (keys, left_out) = (set.keys.len(), set.reasons());
                        tracing::debug!(issuer = self.iss, keys, left_out, "key set read");
                    }
                    Err(problem) => {
                        tracing::warn!(issuer = self.iss, problem, "every token of this issuer is refused");
                    }
                }
                state.set = set;
                state.read = Some(began);
                state.problem = None;
            }
            Err(problem) => {
                tracing::warn!(issuer = self.iss, problem, "the key set cannot be read; it is tried again");
                state.problem = Some(problem);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn find(&self, kid: &str, algorithm: Algorithm, now: Timestamp) -> Lookup {
        if self.read.is_none_or(|read| now >= read.plus(MAX_SET_AGE)) {
            return Lookup::Unavailable;
        }
        let Some(keys) = self.set.keys.get(kid) else { return Lookup::Unknown };
        let keys: Vec<_> = keys.iter().filter(|key| key.algorithm == algorithm).cloned().collect();
        if keys.is_empty() { Lookup::OtherAlgorithm } else { Lookup::Found(keys) }
    }

    fn is_due(&self, now: Timestamp, refresh: Duration) -> bool {
        passed(self.read, now, refresh) && passed(self.tried, now, MIN_RETRY_INTERVAL.min(refresh))
    }

    fn under_way(&self) -> Option<watch::Receiver<()>> {
        self.reading.clone().filter(|reading| reading.has_changed().is_ok())
    }
}

/// Whether `period` has passed since then. A clock that was set back counts as passed, so that it
/// does not stop the reading.
fn passed(since: Option<Timestamp>, now: Timestamp, period: Duration) -> bool {
    since.is_none_or(|since| now < since || now >= since.plus(period))
}

async fn ended(mut reading: watch::Receiver<()>) {
    // Nothing is sent on this channel: it closes when the read ends.
    while reading.changed().await.is_ok() {}
}

impl Source {
    async fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Set(document) => Ok(document.clone().into_bytes()),
            Self::Url(client, url) => fetch(client, url).await,
            Self::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || read_file(&path))
                    .await
                    .map_err(|_| "reading the file was interrupted".to_owned())?
            }
        }
    }
}

/// Checks that a file is a key set with a key that can be used now.
///
/// # Errors
/// Why it is not.
pub fn check_key_file(path: &Path) -> Result<(), String> {
    let named = |problem| format!("{}: {problem}", path.display());
    let set = jwks::parse(&read_file(path)?).map_err(|problem| named(problem.to_owned()))?;
    set.require_usable().map_err(named)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let explain = |error: std::io::Error| format!("{}: {error}", path.display());
    // Reading a pipe could block for ever.
    if !std::fs::metadata(path).map_err(explain)?.is_file() {
        return Err(format!("{}: is not a file", path.display()));
    }
    let mut document = Vec::new();
    let file = std::fs::File::open(path).map_err(explain)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut document).map_err(explain)?;
    within_limit(document)
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let explain = |error: reqwest::Error| with_causes(&error.without_url());
    let request = client.get(url).header(reqwest::header::ACCEPT, "application/json");
    let mut response = request.send().await.map_err(explain)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("the answer's status is {}", response.status().as_u16()));
    }
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(explain)? {
        document.extend_from_slice(&chunk);
        document = within_limit(document)?;
    }
    Ok(document)
}

fn within_limit(document: Vec<u8>) -> Result<Vec<u8>, String> {
    if document.len() > MAX_BYTES { Err("it is larger than 1 MiB".to_owned()) } else { Ok(document) }
}
