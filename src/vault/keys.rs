//! Data keys: made, wrapped, unwrapped and remembered for a while.

use super::Vault;
use crate::crypto::{DataKey, Keyring, KeyringError, WrappedKey};
use crate::domain::{Clock, DataKeyId, Error, ProjectId, Result, Timestamp};
use crate::store::records::DataKeyRow;
use moka::sync::Cache;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So many unwrapped data keys are kept in memory at most, each for this long after it was unwrapped.
const REMEMBERED: u64 = 10_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// A keyring that lacks a key is read again at most this often.
const RELOAD_EVERY: Duration = Duration::from_secs(10);

/// Where the keyring comes from: read at the start, and again when a key is missing.
pub type KeySource = Arc<dyn Fn() -> Result<Keyring, KeyringError> + Send + Sync>;

/// A key by the project and row it was unwrapped for, so that a row that was changed is not answered from memory.
type Unwrapped = Cache<(ProjectId, DataKeyId, Vec<u8>), Arc<DataKey>>;

pub(super) struct Keys {
    source: KeySource,
    ring: Mutex<Option<Arc<Keyring>>>,
    read_at: Mutex<Option<Timestamp>>,
    unwrapped: Unwrapped,
}

impl Keys {
    pub(super) fn new(source: KeySource) -> Self {
        Self {
            source,
            ring: Mutex::new(None),
            read_at: Mutex::new(None),
            unwrapped: Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR).build(),
        }
    }

    fn ring(&self) -> Result<Arc<Keyring>> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ring) = ring.as_ref() {
            return Ok(ring.clone());
        }
        let read = Arc::new((self.source)().map_err(Error::internal)?);
        *ring = Some(read.clone());
        Ok(read)
    }

    /// The keyring as it is now: read again, unless that was done a moment ago. Who comes while it is read waits for it.
    fn reload(&self, clock: &dyn Clock) -> Result<Arc<Keyring>> {
        let now = clock.now();
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        if read_at.is_some_and(|at| now < at.plus(RELOAD_EVERY)) {
            return self.ring();
        }
        *read_at = Some(now);
        self.read_again().or_else(|error| {
            tracing::error!(%error, "the keyring cannot be read again; the one in memory stays");
            self.ring()
        })
    }

    fn read_again(&self) -> Result<Arc<Keyring>, KeyringError> {
        let read = Arc::new((self.source)()?);
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
        Ok(read)
    }

    /// A new data key for a project, wrapped with the encrypting master key.
    pub(super) fn create(&self, project: &ProjectId) -> Result<DataKeyRow> {
        let id = DataKeyId::new();
        let key = DataKey::generate().map_err(Error::internal)?;
        let wrapped = self.ring()?.wrap(project, id, &key).map_err(Error::internal)?;
        Ok(DataKeyRow { id, master_key: wrapped.master_key, wrapped: wrapped.bytes })
    }

    /// Unwraps a project's data key.
    pub(super) fn open(&self, clock: &dyn Clock, project: &ProjectId, row: &DataKeyRow) -> Result<Arc<DataKey>> {
        let place = (project.clone(), row.id, row.wrapped.clone());
        if let Some(key) = self.unwrapped.get(&place) {
            return Ok(key);
        }
        let key = Arc::new(self.unwrap(clock, project, row)?);
        self.unwrapped.insert(place, key.clone());
        Ok(key)
    }

    /// Unwraps with the keyring itself; where that lacks the key, with what it is by now.
    fn unwrap(&self, clock: &dyn Clock, project: &ProjectId, row: &DataKeyRow) -> Result<DataKey> {
        let wrapped = WrappedKey { master_key: row.master_key.clone(), bytes: row.wrapped.clone() };
        let opened = match self.ring()?.unwrap(project, row.id, &wrapped) {
            Err(KeyringError::UnknownKey(_)) => self.reload(clock)?.unwrap(project, row.id, &wrapped),
            opened => opened,
        };
        opened.map_err(Error::internal)
    }

    /// Forgets the keys of a project that is gone.
    pub(super) fn forget(&self, project: &ProjectId) {
        for (place, _) in &self.unwrapped {
            if place.0 == *project {
                self.unwrapped.invalidate(&*place);
            }
        }
    }
}

impl Vault {
    pub(super) fn open_key(&self, project: &ProjectId, row: &DataKeyRow) -> Result<Arc<DataKey>> {
        self.0.keys.open(&*self.0.clock, project, row)
    }

    /// Reads the keyring again, at an operator's wish; gives the id of the key that encrypts from now on.
    ///
    /// # Errors
    /// When it cannot be read; the one in memory stays then.
    pub async fn reload_keyring(&self) -> Result<String, KeyringError> {
        let vault = self.clone();
        // Reading a file, or running a command, blocks.
        let read = tokio::task::spawn_blocking(move || vault.0.keys.read_again()).await;
        let ring = read.map_err(|error| KeyringError::Source(error.into()))??;
        Ok(ring.current_id().to_owned())
    }

    /// Whether the keyring opens the data keys there are: each master key in use is tried on one of them. As everywhere, a
    /// keyring that lacks one is read again.
    ///
    /// # Errors
    /// Names, by id, the first master key that is missing or wrong.
    pub async fn check_keyring(&self) -> Result<()> {
        let mut conn = self.0.store.conn().await?;
        for master_key in conn.master_keys_in_use().await? {
            if let Some((project, row)) = conn.data_key_under(&master_key).await? {
                self.0.keys.unwrap(&*self.0.clock, &project, &row)?;
            }
        }
        // There is one to be read, whether it is needed or not.
        self.0.keys.ring().map(drop)
    }
}
