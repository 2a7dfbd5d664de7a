//! Data keys: made, wrapped, unwrapped and remembered for a while.

use super::Vault;
use super::data_keys::{MAX_SEALED, OpenKey};
use super::key_states::{self, refused};
use crate::crypto::{Bound, DataKey, KeyBytes, KeyringError, WrappedKey};
use crate::domain::{Clock, DataKeyId, Error, ProjectId, Result, Timestamp};
use crate::kms::MasterKeys;
use crate::store::Tx;
use crate::store::records::DataKeyRow;
use moka::future::Cache;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So many unwrapped data keys are kept in memory at most, each for this long after it was unwrapped.
const REMEMBERED: u64 = 10_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// Master keys of which one is missing are read again at most this often.
const RELOAD_EVERY: Duration = Duration::from_secs(10);

/// A key by the project and row it was unwrapped for, so that a row that was changed is not answered from memory.
type Unwrapped = Cache<(ProjectId, DataKeyId, Vec<u8>), Arc<DataKey>>;

/// Told how much of how much is done, as it goes on.
pub type OnProgress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

pub(super) struct Keys {
    master: MasterKeys,
    clock: Arc<dyn Clock>,
    seal_limit: AtomicI64,
    read_at: Mutex<Option<Timestamp>>,
    /// Held while they are read again, so that whoever comes meanwhile waits for that.
    reading: tokio::sync::Mutex<()>,
    unwrapped: Unwrapped,
}

/// What a caller is told: to come again where the keeper of the master keys does not answer; else nothing.
pub(super) fn of_keys(error: impl AsRef<KeyringError> + Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    match error.as_ref() {
        KeyringError::Provider(reason) => {
            tracing::warn!(%reason, "the keeper of the master keys cannot answer");
            Error::unavailable("The keeper of the vault's master keys cannot answer now; nothing was done. Try again.")
        }
        _ => Error::internal(error),
    }
}

impl Keys {
    pub(super) fn new(master: MasterKeys, clock: Arc<dyn Clock>) -> Self {
        Self {
            master,
            clock,
            seal_limit: AtomicI64::new(MAX_SEALED),
            read_at: Mutex::new(None),
            reading: tokio::sync::Mutex::default(),
            unwrapped: Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR).build(),
        }
    }
    pub(super) const fn master(&self) -> &MasterKeys {
        &self.master
    }

    pub(super) fn seal_limit(&self) -> i64 {
        self.seal_limit.load(Ordering::Relaxed)
    }

    /// Reads the master keys again, unless that was done a moment ago. Who comes while they are read waits for it.
    async fn reload_for_a_missing_key(&self) {
        let _reading = self.reading.lock().await;
        let now = self.clock.now();
        {
            let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
            if read_at.is_some_and(|at| now < at.plus(RELOAD_EVERY)) {
                return;
            }
            *read_at = Some(now);
        }
        if let Err(error) = self.master.reload().await {
            tracing::error!(%error, "the keyring cannot be read again; the one in memory stays");
        }
    }

    /// Unwraps, with master keys that are read again where one is missing.
    pub(super) async fn unwrap(&self, wrapped: &WrappedKey, bound: &Bound) -> Result<KeyBytes, KeyringError> {
        match self.master.unwrap(wrapped, bound).await {
            Err(KeyringError::UnknownKey(_)) => {
                self.reload_for_a_missing_key().await;
                self.master.unwrap(wrapped, bound).await
            }
            unwrapped => unwrapped,
        }
    }

    /// Forgets the keys of a project that is gone.
    pub(super) async fn forget(&self, project: &ProjectId) {
        for (place, _) in &self.unwrapped {
            if place.0 == *project {
                self.unwrapped.invalidate(&*place).await;
            }
        }
    }
}

impl Vault {
    /// Has a data key seal no more values than this, in the place of [`MAX_SEALED`].
    #[must_use]
    pub fn with_seal_limit(self, limit: i64) -> Self {
        self.keys().seal_limit.store(limit, Ordering::Relaxed);
        self
    }

    /// A new data key for a project, wrapped with the encrypting master key. Its row is not written
    /// yet, nor signed.
    pub(super) async fn new_data_key(&self, project: &ProjectId) -> Result<(DataKeyRow, Arc<DataKey>)> {
        let id = DataKeyId::new();
        let key = DataKey::generate().map_err(Error::internal)?;
        let bound = Bound::to_data_key(project, id);
        let wrapped = self.keys().master.wrap(key.secret(), &bound).await.map_err(|error| of_keys(Arc::new(error)))?;
        let row = DataKeyRow {
            id,
            project: project.clone(),
            master_key: wrapped.master_key,
            wrapped: wrapped.bytes,
            encrypting: true,
            outgoing: false,
            mac: None,
            replaced: false,
        };
        Ok((row, Arc::new(key)))
    }

    /// Adds a data key to a project, which encrypts from now on. The caller holds the project's
    /// lock, and has seen to it that no other one encrypts.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the keeper of the master keys cannot answer.
    pub async fn add_data_key(&self, tx: &mut Tx, project: &ProjectId) -> Result<()> {
        self.add_open_data_key(tx, project).await.map(drop)
    }

    /// As [`Self::add_data_key`]; gives the key.
    pub(super) async fn add_open_data_key(&self, tx: &mut Tx, project: &ProjectId) -> Result<OpenKey> {
        let audit = self.audit_key(tx).await?;
        let (row, key) = self.new_data_key(project).await?;
        let row = key_states::signed(&audit, row);
        tx.insert_data_key(&row, self.now()).await?;
        Ok((row, key))
    }

    /// Unwraps a project's data key, once for all who ask at the same time. One whose row was
    /// changed by hand, or that was replaced, is not opened.
    pub(super) async fn open_key(&self, project: &ProjectId, row: &DataKeyRow) -> Result<Arc<DataKey>> {
        let audit = self.0.installation.audit_key_alone().await?;
        key_states::verify(&audit, row).map_err(refused)?;
        if row.project != *project {
            return Err(Error::internal("a data key was about to be opened for another project"));
        }
        let place = (project.clone(), row.id, row.wrapped.clone());
        let open = async {
            let wrapped = WrappedKey { master_key: row.master_key.clone(), bytes: row.wrapped.clone() };
            let secret = self.keys().unwrap(&wrapped, &Bound::to_data_key(project, row.id)).await?;
            DataKey::unwrapped(secret).map(Arc::new)
        };
        self.keys().unwrapped.try_get_with(place, open).await.map_err(of_keys)
    }

    /// Reads the master keys again, at an operator's wish; gives the id of the one that encrypts from now on.
    ///
    /// # Errors
    /// When they cannot be read; those in memory stay then.
    pub async fn reload_keyring(&self) -> Result<String, KeyringError> {
        self.keys().master.reload().await
    }
}
