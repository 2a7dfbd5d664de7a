//! The installation's own keys: made at first use, wrapped by a master key like any other, and remembered once they are durable.

use super::Vault;
use crate::crypto::{AuditKey, InstallationKey, SigningKey, WrappedKey};
use crate::domain::{Error, KeyPurpose, Result};
use crate::store::records::InstallationKeyRow;
use crate::store::{End, Tx};
use std::sync::{Arc, OnceLock};

/// What of them is in memory.
#[derive(Default)]
pub(super) struct OwnKeys {
    audit: OnceLock<Arc<AuditKey>>,
    signing: OnceLock<Arc<SigningKey>>,
}

impl Vault {
    /// The key of the chains of events, for what is written in a transaction.
    pub(super) async fn audit_key(&self, tx: &mut Tx) -> Result<Arc<AuditKey>> {
        if let Some(key) = self.0.own_keys.audit.get() {
            return Ok(key.clone());
        }
        let key = Arc::new(AuditKey::new(&self.own_key(tx, KeyPurpose::Audit).await?).map_err(Error::internal)?);
        let (vault, made) = (self.clone(), key.clone());
        // It may have been made in this transaction, which may come to nothing.
        tx.at_end(move |end| {
            if end == End::Committed {
                let _ = vault.0.own_keys.audit.set(made);
            }
        });
        Ok(key)
    }

    /// The key that signs receipts and heads.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached, INTERNAL when the keyring does not open it.
    pub async fn signing_key(&self) -> Result<Arc<SigningKey>> {
        if let Some(key) = self.0.own_keys.signing.get() {
            return Ok(key.clone());
        }
        let mut tx = self.0.store.begin().await?;
        let key =
            Arc::new(SigningKey::new(&self.own_key(&mut tx, KeyPurpose::Signing).await?).map_err(Error::internal)?);
        tx.commit().await?;
        Ok(self.0.own_keys.signing.get_or_init(|| key).clone())
    }

    async fn own_key(&self, tx: &mut Tx, purpose: KeyPurpose) -> Result<InstallationKey> {
        loop {
            if let Some(row) = tx.installation_key(purpose).await? {
                let wrapped = WrappedKey { master_key: row.master_key, bytes: row.wrapped };
                return self.open_own_key(purpose, &wrapped).await;
            }
            let key = InstallationKey::generate(purpose).map_err(Error::internal)?;
            let WrappedKey { master_key, bytes } = self.wrap_own_key(&key).await?;
            let row = InstallationKeyRow { master_key, wrapped: bytes };
            if tx.insert_installation_key(purpose, &row, self.now()).await? {
                return Ok(key);
            }
            // Another server was faster.
        }
    }
}
