//! Data keys: making and opening them, and limiting how many values each one seals.
//!
//! Each value is sealed under a random 96-bit nonce, and NIST SP 800-38D, section 8.3, allows 2^32
//! random nonces per key. The row of a data key counts the values it sealed; at half of that limit
//! a new data key replaces it. Hints are sealed with another subkey, one for each value, so they
//! need no count of their own.

use super::cache::keyring_error;
use super::data_key_states::{self, ForgedKey, refused};
use super::installation::Installation;
use crate::crypto::{AuditKey, DataKey, KeyringError, WrapContext, WrappedKey};
use crate::domain::{DataKeyId, Error, ProjectId, Result};
use crate::store::Tx;
use crate::store::records::DataKeyRow;
use std::sync::Arc;

/// An opened data key with its row.
pub(in crate::vault) type OpenedKey = (DataKeyRow, Arc<DataKey>);

/// Why a data key cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub(in crate::vault) enum OpenError {
    /// Its row is not as the vault wrote it: the MAC does not match, or the key was replaced.
    #[error(transparent)]
    Forged(#[from] ForgedKey),
    /// The master keys do not open it, or their provider does not answer.
    #[error(transparent)]
    Keyring(#[from] Arc<KeyringError>),
    /// Its row belongs to another project.
    #[error("a data key was about to be opened for another project")]
    OtherProject,
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Forged(error) => refused(error),
            OpenError::Keyring(error) => keyring_error(error),
            error @ OpenError::OtherProject => Self::internal(error),
        }
    }
}

impl Installation {
    /// Makes a data key seal at most `limit` values instead of [`MAX_SEALED`](super::MAX_SEALED).
    pub(in crate::vault) fn set_seal_limit(&self, limit: i64) {
        self.0.cache.set_seal_limit(limit);
    }

    /// Maximum number of values that one data key of this installation seals.
    pub(in crate::vault) fn seal_limit(&self) -> i64 {
        self.0.cache.seal_limit()
    }

    /// Makes a data key for a project, wrapped with the current master key. Its row is neither
    /// signed nor written yet.
    ///
    /// # Errors
    /// UNAVAILABLE when the provider of the master keys does not answer.
    pub(in crate::vault) async fn make_data_key(&self, project: &ProjectId) -> Result<OpenedKey> {
        let id = DataKeyId::new();
        let key = DataKey::generate().map_err(Error::internal)?;
        let bound = WrapContext::for_data_key(project, id);
        let wrapped =
            self.0.cache.master().wrap(key.secret(), &bound).await.map_err(|error| keyring_error(Arc::new(error)))?;
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

    /// Signs and inserts a data key, which becomes the project's encrypting key. The caller holds
    /// the project's lock and has made sure that no other key is encrypting.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub(in crate::vault) async fn add_data_key(&self, tx: &mut Tx, (row, key): OpenedKey) -> Result<OpenedKey> {
        let audit = self.audit_key(tx).await?;
        let row = data_key_states::signed(&audit, row);
        tx.insert_data_key(&row, self.now()).await?;
        Ok((row, key))
    }

    /// Replaces the project's encrypting data key with `made`. The caller holds the project's lock.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub(in crate::vault) async fn replace_encrypting_key(
        &self,
        tx: &mut Tx,
        project: &ProjectId,
        made: OpenedKey,
    ) -> Result<OpenedKey> {
        let old = tx.encrypting_key(project).await?;
        self.change_key_state(tx, old.id, |row| row.encrypting = false).await?;
        self.add_data_key(tx, made).await
    }

    /// Opens a project's data key, once for concurrent callers. Refuses a key whose row was changed
    /// by hand, or that was replaced.
    ///
    /// # Errors
    /// INTERNAL for a row that is not as the vault wrote it; UNAVAILABLE when the provider of the
    /// master keys does not answer.
    pub(in crate::vault) async fn open_key(&self, project: &ProjectId, row: &DataKeyRow) -> Result<Arc<DataKey>> {
        let audit = self.open_audit_key().await?;
        Ok(self.try_open_key(&audit, project, row).await?)
    }

    /// As [`Self::open_key`], with an error that can be cloned and kept.
    pub(in crate::vault) async fn try_open_key(
        &self,
        audit: &AuditKey,
        project: &ProjectId,
        row: &DataKeyRow,
    ) -> Result<Arc<DataKey>, OpenError> {
        data_key_states::verify(audit, row)?;
        if row.project != *project {
            return Err(OpenError::OtherProject);
        }
        let open = async {
            let wrapped = WrappedKey { master_key: row.master_key.clone(), bytes: row.wrapped.clone() };
            let secret = self.0.cache.unwrap(&wrapped, &WrapContext::for_data_key(project, row.id)).await?;
            DataKey::unwrapped(secret).map(Arc::new)
        };
        Ok(self.0.cache.data_key((project.clone(), row.id, row.wrapped.clone()), open).await?)
    }

    /// Removes the data keys of a project from memory.
    pub(in crate::vault) async fn forget_keys_of(&self, project: &ProjectId) {
        self.0.cache.forget(project).await;
    }
}
