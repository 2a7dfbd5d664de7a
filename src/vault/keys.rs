//! Data keys: made, wrapped, unwrapped and remembered for a while.

use super::Vault;
use super::data_keys::MAX_SEALED;
use crate::crypto::{Bound, DataKey, InstallationKey, KeyBytes, KeyringError, WrappedKey};
use crate::domain::{DataKeyId, Error, KeyPurpose, ProjectId, Result, Timestamp};
use crate::kms::MasterKeys;
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
    pub(super) fn new(master: MasterKeys) -> Self {
        Self {
            master,
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
        self.0.keys.seal_limit.store(limit, Ordering::Relaxed);
        self
    }

    /// Reads the master keys again, unless that was done a moment ago. Who comes while they are read waits for it.
    async fn reload_for_a_missing_key(&self) {
        let keys = &self.0.keys;
        let _reading = keys.reading.lock().await;
        let now = self.now();
        {
            let mut read_at = keys.read_at.lock().unwrap_or_else(PoisonError::into_inner);
            if read_at.is_some_and(|at| now < at.plus(RELOAD_EVERY)) {
                return;
            }
            *read_at = Some(now);
        }
        if let Err(error) = keys.master.reload().await {
            tracing::error!(%error, "the keyring cannot be read again; the one in memory stays");
        }
    }

    /// Unwraps, with master keys that are read again where one is missing.
    pub(super) async fn unwrap(&self, wrapped: &WrappedKey, bound: &Bound) -> Result<KeyBytes, KeyringError> {
        let master = &self.0.keys.master;
        match master.unwrap(wrapped, bound).await {
            Err(KeyringError::UnknownKey(_)) => {
                self.reload_for_a_missing_key().await;
                master.unwrap(wrapped, bound).await
            }
            unwrapped => unwrapped,
        }
    }

    /// A new data key for a project, wrapped with the encrypting master key.
    pub(super) async fn new_data_key(&self, project: &ProjectId) -> Result<(DataKeyRow, Arc<DataKey>)> {
        let id = DataKeyId::new();
        let key = DataKey::generate().map_err(Error::internal)?;
        let bound = Bound::to_data_key(project, id);
        let wrapped = self.0.keys.master.wrap(key.secret(), &bound).await.map_err(|error| of_keys(Arc::new(error)))?;
        Ok((DataKeyRow { id, master_key: wrapped.master_key, wrapped: wrapped.bytes }, Arc::new(key)))
    }

    /// Wraps a key of the installation with the encrypting master key.
    pub(super) async fn wrap_own_key(&self, key: &InstallationKey) -> Result<WrappedKey> {
        let bound = Bound::to_installation(key.purpose());
        self.0.keys.master.wrap(key.secret(), &bound).await.map_err(|error| of_keys(Arc::new(error)))
    }

    /// Unwraps a key of the installation.
    pub(super) async fn open_own_key(&self, purpose: KeyPurpose, wrapped: &WrappedKey) -> Result<InstallationKey> {
        let secret = self.unwrap(wrapped, &Bound::to_installation(purpose)).await;
        Ok(InstallationKey::unwrapped(purpose, secret.map_err(|error| of_keys(Arc::new(error)))?))
    }

    /// Unwraps a project's data key, once for all who ask at the same time.
    pub(super) async fn open_key(&self, project: &ProjectId, row: &DataKeyRow) -> Result<Arc<DataKey>> {
        let place = (project.clone(), row.id, row.wrapped.clone());
        let open = async {
            let wrapped = WrappedKey { master_key: row.master_key.clone(), bytes: row.wrapped.clone() };
            let secret = self.unwrap(&wrapped, &Bound::to_data_key(project, row.id)).await?;
            DataKey::unwrapped(secret).map(Arc::new)
        };
        self.0.keys.unwrapped.try_get_with(place, open).await.map_err(of_keys)
    }

    /// Reads the master keys again, at an operator's wish; gives the id of the one that encrypts from now on.
    ///
    /// # Errors
    /// When they cannot be read; those in memory stay then.
    pub async fn reload_keyring(&self) -> Result<String, KeyringError> {
        self.0.keys.master.reload().await
    }

    /// Whether the master keys open everything there is: each one in use is tried on a data key, and on the installation's keys.
    /// They are read again where one is missing.
    ///
    /// # Errors
    /// Names, by id, every master key that is missing or wrong.
    pub async fn check_keyring(&self) -> Result<()> {
        // A provider that cannot answer shows even where nothing is wrapped yet.
        self.0.keys.master.current().await.map_err(|error| of_keys(Arc::new(error)))?;
        let mut samples = Vec::new();
        let mut conn = self.0.store.conn().await?;
        for master_key in conn.master_keys_in_use().await? {
            if let Some((project, row)) = conn.data_key_under(&master_key).await? {
                let bound = Bound::to_data_key(&project, row.id);
                samples.push((WrappedKey { master_key: row.master_key, bytes: row.wrapped }, bound));
            }
        }
        for purpose in [KeyPurpose::Audit, KeyPurpose::Signing] {
            if let Some(row) = conn.installation_key(purpose).await? {
                let bound = Bound::to_installation(purpose);
                samples.push((WrappedKey { master_key: row.master_key, bytes: row.wrapped }, bound));
            }
        }
        drop(conn);
        let mut problems = Vec::new();
        for (wrapped, bound) in samples {
            match self.unwrap(&wrapped, &bound).await {
                Ok(_) => {}
                Err(error @ KeyringError::Provider(_)) => return Err(of_keys(Arc::new(error))),
                Err(error) => problems.push(self.explain_missing(error).await?),
            }
        }
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(Error::internal(problems.join("; "))) }
    }
}
