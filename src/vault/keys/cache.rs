//! The master keys, and a cache of the data keys that were opened with them.

use crate::crypto::{DataKey, KeyBytes, KeyringError, WrapContext, WrappedKey};
use crate::domain::{Clock, DataKeyId, Error, ProjectId, Result, Timestamp};
use crate::kms::MasterKeys;
use moka::future::Cache;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Maximum number of opened data keys in memory.
const MAX_OPENED: u64 = 10_000;
/// How long an opened data key stays in memory.
const OPENED_TTL: Duration = Duration::from_secs(300);
/// Minimum time between two reloads of the keyring because of a missing master key.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum number of values that one data key seals.
pub const MAX_SEALED: i64 = 1 << 31;

/// The project, id and wrapped bytes a data key was opened from: a changed row is opened anew.
type OpenedFrom = (ProjectId, DataKeyId, Vec<u8>);

/// Progress callback of a long command: takes the number of steps done and the total.
pub type OnProgress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

pub(super) struct KeyCache {
    master: MasterKeys,
    clock: Arc<dyn Clock>,
    seal_limit: AtomicI64,
    read_at: Mutex<Option<Timestamp>>,
    /// Held during a reload of the master keys; requests that need one meanwhile wait.
    reading: tokio::sync::Mutex<()>,
    opened: Cache<OpenedFrom, Arc<DataKey>>,
}

/// Maps a keyring's error: UNAVAILABLE when the provider of the master keys does not answer,
/// INTERNAL otherwise.
pub(in crate::vault) fn keyring_error(
    error: impl AsRef<KeyringError> + Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    match error.as_ref() {
        KeyringError::Provider(reason) => {
            tracing::warn!(%reason, "the provider of the master keys does not answer");
            Error::unavailable("The provider of the vault's master keys does not answer; nothing was done. Try again.")
        }
        _ => Error::internal(error),
    }
}

impl KeyCache {
    pub(super) fn new(master: MasterKeys, clock: Arc<dyn Clock>) -> Self {
        Self {
            master,
            clock,
            seal_limit: AtomicI64::new(MAX_SEALED),
            read_at: Mutex::new(None),
            reading: tokio::sync::Mutex::default(),
            opened: Cache::builder().max_capacity(MAX_OPENED).time_to_live(OPENED_TTL).build(),
        }
    }

    pub(super) const fn master(&self) -> &MasterKeys {
        &self.master
    }

    pub(super) fn seal_limit(&self) -> i64 {
        self.seal_limit.load(Ordering::Relaxed)
    }

    pub(super) fn set_seal_limit(&self, limit: i64) {
        self.seal_limit.store(limit, Ordering::Relaxed);
    }

    /// A data key from the cache; a missing one is opened with `open` and cached.
    pub(super) async fn data_key(
        &self,
        from: OpenedFrom,
        open: impl Future<Output = Result<Arc<DataKey>, KeyringError>>,
    ) -> Result<Arc<DataKey>, Arc<KeyringError>> {
        self.opened.try_get_with(from, open).await
    }

    /// Reloads the master keys, unless the last reload for a missing key was less than
    /// [`RELOAD_INTERVAL`] ago. Concurrent callers wait for one reload.
    async fn reload_for_a_missing_key(&self) {
        let _reading = self.reading.lock().await;
        let now = self.clock.now();
        {
            let mut read_at = self.read_at.lock();
            if read_at.is_some_and(|at| now < at.plus(RELOAD_INTERVAL)) {
                return;
            }
            *read_at = Some(now);
        }
        if let Err(error) = self.master.reload().await {
            tracing::error!(%error, "the keyring cannot be read again; the one in memory stays");
        }
    }

    /// Unwraps a key. Where its master key is missing, the keyring is read again first.
    pub(super) async fn unwrap(&self, wrapped: &WrappedKey, bound: &WrapContext) -> Result<KeyBytes, KeyringError> {
        match self.master.unwrap(wrapped, bound).await {
            Err(KeyringError::UnknownKey(_)) => {
                self.reload_for_a_missing_key().await;
                self.master.unwrap(wrapped, bound).await
            }
            unwrapped => unwrapped,
        }
    }

    /// Removes the data keys of a project from the cache.
    pub(super) async fn forget(&self, project: &ProjectId) {
        for (from, _) in &self.opened {
            if from.0 == *project {
                self.opened.invalidate(&*from).await;
            }
        }
    }
}
