//! Readiness: probes of the database, the authorizer and the keyring.

use super::keys::{Installation, SIGNED};
use crate::authz::Authorizer;
use crate::domain::{Error, Result, with_causes};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::error::Elapsed;

/// Maximum time that one probe waits for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long findings are reused, so that frequent questions do not burden the parts.
const REUSE_TIME: Duration = Duration::from_secs(1);

/// Probes the vault's dependencies. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    installation: Installation,
    authorizer: Authorizer,
    running: Running,
    last: Arc<Mutex<Option<(Instant, Findings)>>>,
}

/// What was found about the parts.
#[derive(Debug, Clone)]
pub struct Findings {
    /// The name of each part, and whether it is ready.
    pub parts: Vec<(&'static str, bool)>,
    /// What an operator should repair, each in a sentence, although all parts are ready.
    pub to_repair: Vec<String>,
}

/// Held while a part is probed. A probe that hangs holds a connection, so the next one waits for it
/// instead of taking another.
#[derive(Clone, Default)]
struct Running {
    database: Arc<Mutex<()>>,
    authorizer: Arc<Mutex<()>>,
    keyring: Arc<Mutex<()>>,
    repairs: Arc<Mutex<()>>,
}

impl Health {
    pub(super) fn new(installation: Installation, authorizer: Authorizer) -> Self {
        Self { installation, authorizer, running: Running::default(), last: Arc::default() }
    }

    /// What is found about the parts, or was within the last second. Callers at the same time share
    /// it.
    pub async fn findings(&self) -> Findings {
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, found)) if at.elapsed() < REUSE_TIME => found.clone(),
            _ => {
                let parts = self.ready().await;
                let are_ready = parts.iter().all(|(_, is_ready)| *is_ready);
                let to_repair = if are_ready { self.to_repair().await } else { Vec::new() };
                let found = Findings { parts, to_repair };
                *last = Some((Instant::now(), found.clone()));
                found
            }
        }
    }

    /// Probes the database, the authorizer and the keyring concurrently, for at most three seconds each,
    /// and as many for an earlier probe that has not ended.
    /// Gives the name of each and whether it is ready; the log has the reason when one is not.
    pub async fn ready(&self) -> Vec<(&'static str, bool)> {
        let (database, authorizer, keyring) = (self.clone(), self.clone(), self.clone());
        let running = &self.running;
        let (database, authorizer, keyring) = tokio::join!(
            answers("database", &running.database, Box::pin(async move { database.write_probe().await })),
            answers("authorizer", &running.authorizer, Box::pin(async move { authorizer.authorizer_probe().await })),
            answers("keyring", &running.keyring, Box::pin(async move { keyring.installation.check_keyring().await })),
        );
        vec![("database", database), ("authorizer", authorizer), ("keyring", keyring)]
    }

    /// What an operator should repair although the vault is ready, each in a sentence; none if that
    /// cannot be found out.
    async fn to_repair(&self) -> Vec<String> {
        let store = self.installation.store().clone();
        let count = Box::pin(async move { store.reader().await?.count_set_aside().await });
        match probe(&self.running.repairs, count).await {
            Ok(Ok(Ok(count))) if count > 0 => vec![format!(
                "{count} changes of permissions cannot be applied and are set aside; run `project-vault outbox list`"
            )],
            _ => Vec::new(),
        }
    }

    /// Writes to the database, to detect one that is full or read-only.
    async fn write_probe(&self) -> Result<()> {
        let store = self.installation.store();
        store.conn().await?.touch_setting(SIGNED.0).await?;
        if store.refuses_records() {
            return Err(Error::unavailable("The database refused the last record; its disk may be full."));
        }
        Ok(())
    }

    /// Checks that the authorizer answers and still has the pinned store and model.
    async fn authorizer_probe(&self) -> Result<()> {
        self.installation.confirm_pinned(&self.authorizer).await?;
        self.authorizer.ready().await
    }
}

async fn answers(
    part: &'static str,
    running: &Arc<Mutex<()>>,
    question: impl Future<Output = Result<()>> + Send + 'static,
) -> bool {
    match probe(running, question).await {
        Ok(Ok(Ok(()))) => return true,
        Ok(Ok(Err(error))) => {
            let reason = with_causes(&error);
            tracing::warn!(part, reason, "a part of the vault does not answer");
        }
        Ok(Err(_)) => tracing::error!(part, "asking a part of the vault panicked"),
        Err(_) => tracing::warn!(part, "a part of the vault does not answer in time"),
    }
    false
}

/// Runs a probe in a separate task, once the one before it has ended; each has the time of one. A
/// timeout does not cancel it: a query that is dropped before its end may leave its connection
/// unusable.
async fn probe<T: Send + 'static>(
    running: &Arc<Mutex<()>>,
    question: impl Future<Output = T> + Send + 'static,
) -> std::result::Result<std::result::Result<T, JoinError>, Elapsed> {
    let running = tokio::time::timeout(PROBE_TIMEOUT, running.clone().lock_owned()).await?;
    let asked = tokio::spawn(async move {
        let answer = question.await;
        drop(running);
        answer
    });
    tokio::time::timeout(PROBE_TIMEOUT, asked).await
}
