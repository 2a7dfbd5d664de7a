//! The installation's own keys, each wrapped by a master key. `migrate` makes the AUDIT key, once.
//! A missing AUDIT key is never made again: with a new one, genuine rows would look forged, and
//! forged rows could be signed.

use super::cache::keyring_error;
use super::installation::Installation;
use crate::crypto::{AuditKey, InstallationKey, KeyringError, SigningKey, WrapContext, WrappedKey};
use crate::domain::{Error, KeyPurpose, Result, Timestamp};
use crate::store::records::InstallationKeyRow;
use crate::store::{Conn, Tx};
use std::sync::{Arc, OnceLock};

/// The installation's keys that were opened.
#[derive(Default)]
pub(super) struct InstallationKeys {
    audit: OnceLock<Arc<AuditKey>>,
    signing: OnceLock<Arc<SigningKey>>,
}

/// A key of the installation is missing, but there are records made with it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the installation's {0} key is missing from the table `installation_keys`, but there are records made with it; put its row back \
     from a backup"
)]
struct Missing(KeyPurpose);

impl Installation {
    /// The installation's AUDIT key, opened once and then kept. A caller without a connection uses
    /// [`Self::open_audit_key`].
    ///
    /// # Errors
    /// INTERNAL when it is missing or the master keys do not open it; UNAVAILABLE when the database
    /// or the provider of the master keys does not answer.
    pub(in crate::vault) async fn audit_key(&self, conn: &mut Conn) -> Result<Arc<AuditKey>> {
        match self.0.installation_keys.audit.get() {
            Some(key) => Ok(key.clone()),
            None => self.unwrap_audit_key(self.audit_key_row(conn).await?).await,
        }
    }

    /// The AUDIT key, opened before a transaction that will need it begins. Holds no connection
    /// while the provider of the master keys works.
    ///
    /// # Errors
    /// As [`Self::audit_key`].
    pub(in crate::vault) async fn open_audit_key(&self) -> Result<Arc<AuditKey>> {
        if let Some(key) = self.0.installation_keys.audit.get() {
            return Ok(key.clone());
        }
        let mut conn = self.0.store.reader().await?;
        let row = self.audit_key_row(&mut conn).await?;
        drop(conn);
        self.unwrap_audit_key(row).await
    }

    async fn audit_key_row(&self, conn: &mut Conn) -> Result<InstallationKeyRow> {
        match conn.installation_key(KeyPurpose::Audit).await? {
            Some(row) => Ok(row),
            None => Err(self.missing_audit_key(conn).await?),
        }
    }

    async fn unwrap_audit_key(&self, row: InstallationKeyRow) -> Result<Arc<AuditKey>> {
        let key = self.unwrap_installation_key(KeyPurpose::Audit, row).await?;
        let key = Arc::new(AuditKey::new(&key).map_err(Error::internal)?);
        Ok(self.0.installation_keys.audit.get_or_init(|| key).clone())
    }

    /// As [`Self::audit_key`], for a set-up, one of which runs at a time: makes the key if no record
    /// needs an existing one.
    pub(super) async fn audit_key_for_set_up(&self, tx: &mut Tx) -> Result<Arc<AuditKey>> {
        if let Some(row) = tx.installation_key(KeyPurpose::Audit).await? {
            return self.unwrap_audit_key(row).await;
        }
        if tx.needs_audit_key().await? {
            return Err(Error::internal(Missing(KeyPurpose::Audit)));
        }
        let (key, row) = self.new_installation_key(KeyPurpose::Audit).await?;
        if !tx.insert_installation_key(KeyPurpose::Audit, &row, self.now()).await? {
            return Err(Error::internal("another set-up made the key for records at the same time; run it again"));
        }
        Ok(Arc::new(AuditKey::new(&key).map_err(Error::internal)?))
    }

    async fn missing_audit_key(&self, conn: &mut Conn) -> Result<Error> {
        Ok(if conn.needs_audit_key().await? {
            tracing::error!("{}", Missing(KeyPurpose::Audit));
            Error::internal(Missing(KeyPurpose::Audit))
        } else {
            Error::internal("the installation has no key for its records yet; run `project-vault migrate`")
        })
    }

    /// The key that signs receipts and heads. It is made at first use.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the provider of the master keys cannot be reached; INTERNAL
    /// when the master keys do not open it, or it is missing but statements were signed with it.
    pub async fn signing_key(&self) -> Result<Arc<SigningKey>> {
        if let Some(key) = self.0.installation_keys.signing.get() {
            return Ok(key.clone());
        }
        let key = match self.signing_key_row().await? {
            Some(row) => self.unwrap_installation_key(KeyPurpose::Signing, row).await?,
            None => self.make_signing_key().await?,
        };
        let key = Arc::new(SigningKey::new(&key).map_err(Error::internal)?);
        Ok(self.0.installation_keys.signing.get_or_init(|| key).clone())
    }

    async fn signing_key_row(&self) -> Result<Option<InstallationKeyRow>> {
        let mut conn = self.0.store.reader().await?;
        let row = conn.installation_key(KeyPurpose::Signing).await?;
        if row.is_none() && conn.needs_signing_key().await? {
            tracing::error!("{}", Missing(KeyPurpose::Signing));
            return Err(Error::internal(Missing(KeyPurpose::Signing)));
        }
        Ok(row)
    }

    /// Makes the signing key, unless another caller or server is faster: gives theirs then.
    async fn make_signing_key(&self) -> Result<InstallationKey> {
        let (key, row) = self.new_installation_key(KeyPurpose::Signing).await?;
        let mut conn = self.0.store.conn().await?;
        let is_first = conn.insert_installation_key(KeyPurpose::Signing, &row, self.now()).await?;
        drop(conn);
        if is_first {
            return Ok(key);
        }
        let row = self.signing_key_row().await?.ok_or_else(|| Error::internal(Missing(KeyPurpose::Signing)))?;
        self.unwrap_installation_key(KeyPurpose::Signing, row).await
    }

    /// The public keys for verifying receipts and heads of this installation, as a JWK set (RFC
    /// 7517).
    ///
    /// # Errors
    /// As [`Self::signing_key`].
    pub async fn statement_keys(&self) -> Result<serde_json::Value> {
        Ok(self.signing_key().await?.jwks())
    }

    async fn new_installation_key(&self, purpose: KeyPurpose) -> Result<(InstallationKey, InstallationKeyRow)> {
        let key = InstallationKey::generate(purpose).map_err(Error::internal)?;
        let wrapped = self.0.cache.master().wrap(key.secret(), &WrapContext::for_installation_key(purpose)).await;
        let WrappedKey { master_key, bytes } = wrapped.map_err(|error| keyring_error(Arc::new(error)))?;
        Ok((key, InstallationKeyRow { master_key, wrapped: bytes }))
    }

    async fn unwrap_installation_key(&self, purpose: KeyPurpose, row: InstallationKeyRow) -> Result<InstallationKey> {
        let wrapped = WrappedKey { master_key: row.master_key, bytes: row.wrapped };
        let secret = self.0.cache.unwrap(&wrapped, &WrapContext::for_installation_key(purpose)).await;
        Ok(InstallationKey::unwrapped(purpose, secret.map_err(|error| keyring_error(Arc::new(error)))?))
    }

    /// Checks that every master key in use is there and right, by unwrapping one data key of each,
    /// and the installation's keys. The keyring is reloaded when a master key is missing.
    ///
    /// # Errors
    /// INTERNAL, naming by id every master key that is missing or wrong, and every key of the
    /// installation that is missing; UNAVAILABLE when the database or the provider of the master
    /// keys does not answer.
    pub async fn check_keyring(&self) -> Result<()> {
        // Detects a provider that cannot answer even before anything is wrapped.
        self.0.cache.master().current().await.map_err(|error| keyring_error(Arc::new(error)))?;
        let mut samples = Vec::new();
        let mut problems = Vec::new();
        let mut conn = self.0.store.conn().await?;
        for master_key in conn.master_keys_in_use().await? {
            if let Some(row) = conn.data_key_under(&master_key).await? {
                let bound = WrapContext::for_data_key(&row.project, row.id);
                samples.push((WrappedKey { master_key: row.master_key, bytes: row.wrapped }, bound));
            }
        }
        for purpose in [KeyPurpose::Audit, KeyPurpose::Signing] {
            match conn.installation_key(purpose).await? {
                Some(row) => {
                    let bound = WrapContext::for_installation_key(purpose);
                    samples.push((WrappedKey { master_key: row.master_key, bytes: row.wrapped }, bound));
                }
                None if needs(&mut conn, purpose).await? => problems.push(Missing(purpose).to_string()),
                None => {}
            }
        }
        drop(conn);
        for (wrapped, bound) in samples {
            match self.0.cache.unwrap(&wrapped, &bound).await {
                Ok(_) => {}
                Err(error @ KeyringError::Provider(_)) => return Err(keyring_error(Arc::new(error))),
                Err(error) => problems.push(self.explain_missing(error).await?),
            }
        }
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(Error::internal(problems.join("; "))) }
    }

    /// The text of an error; for a missing master key that was retired, adds when. The setting is
    /// read without verifying its MAC, since the AUDIT key may be what cannot be opened; it only
    /// explains the error and decides nothing.
    async fn explain_missing(&self, error: KeyringError) -> Result<String> {
        let text = error.to_string();
        let KeyringError::UnknownKey(id) = error else { return Ok(text) };
        let retired = self.0.store.reader().await?.setting(&retired_setting(&id)).await?;
        Ok(match retired.and_then(|row| Timestamp::parse(&row.value)) {
            Some(at) => {
                let at = at.to_rfc3339();
                format!("{text} (it was retired at {at}: something from before then was put back)")
            }
            None => text,
        })
    }
}

/// Name of the setting that stores when a master key was retired.
pub(in crate::vault) fn retired_setting(id: &str) -> String {
    format!("retired master key {id}")
}

/// Whether there are records that were made with the installation's key for this purpose.
async fn needs(conn: &mut Conn, purpose: KeyPurpose) -> Result<bool> {
    Ok(match purpose {
        KeyPurpose::Audit => conn.needs_audit_key().await?,
        KeyPurpose::Signing => conn.needs_signing_key().await?,
    })
}
