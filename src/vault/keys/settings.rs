//! The installation's settings: rows of the table `installation`, each with a MAC under the
//! installation's AUDIT key, so that an attacker who writes to the database cannot set one.

use super::installation::Installation;
use crate::crypto::{AuditKey, MacContext};
use crate::domain::{Error, Result};
use crate::store::records::SettingRow;
use crate::store::{self, Conn};

/// A setting that this installation did not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the setting {0:?} in the table `installation` was changed by hand: it has no valid MAC")]
pub struct ForgedSetting(pub String);

/// Why a setting cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Forged(#[from] ForgedSetting),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Forged(forged) => {
                tracing::error!(setting = forged.0, "a setting has no valid MAC; restore its row from a backup");
                Self::internal(forged)
            }
            ReadError::Store(error) => error.into(),
        }
    }
}

/// Checks the MAC of a setting's row.
pub(in crate::vault) fn verify(key: &AuditKey, row: &SettingRow) -> Result<(), ForgedSetting> {
    let mac = row.mac.as_deref().unwrap_or_default();
    key.verify(MacContext::Setting, [Some(row.name.as_str()), Some(&row.value)], mac)
        .map_err(|_| ForgedSetting(row.name.clone()))
}

/// Reads a setting and verifies its MAC; `None` if it does not exist.
pub(super) async fn read(conn: &mut Conn, key: &AuditKey, name: &str) -> Result<Option<String>, ReadError> {
    let Some(row) = conn.setting(name).await? else { return Ok(None) };
    verify(key, &row)?;
    Ok(Some(row.value))
}

/// Writes a setting with its MAC.
pub(super) async fn write(conn: &mut Conn, key: &AuditKey, name: &str, value: &str) -> store::Result<()> {
    let mac = key.mac(MacContext::Setting, [Some(name), Some(value)]);
    conn.save_setting(name, value, &mac).await
}

impl Installation {
    /// The value of a setting; `None` if it does not exist.
    ///
    /// # Errors
    /// INTERNAL for a setting that was changed by hand, UNAVAILABLE when the database cannot be
    /// reached.
    pub async fn setting(&self, name: &str) -> Result<Option<String>> {
        let mut conn = self.0.store.conn().await?;
        let key = self.audit_key(&mut conn).await?;
        Ok(read(&mut conn, &key, name).await?)
    }

    /// Writes a setting of the installation.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<()> {
        let mut conn = self.0.store.conn().await?;
        self.set_setting_in(&mut conn, name, value).await
    }

    /// As [`Self::setting`], on a connection or in its transaction.
    pub(in crate::vault) async fn setting_in(&self, conn: &mut Conn, name: &str) -> Result<Option<String>> {
        let key = self.audit_key(conn).await?;
        Ok(read(conn, &key, name).await?)
    }

    /// As [`Self::set_setting`], on a connection or in its transaction.
    pub(in crate::vault) async fn set_setting_in(&self, conn: &mut Conn, name: &str, value: &str) -> Result<()> {
        let key = self.audit_key(conn).await?;
        Ok(write(conn, &key, name, value).await?)
    }
}
