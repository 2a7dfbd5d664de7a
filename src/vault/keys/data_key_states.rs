//! The states of data keys, each under a MAC of the installation's key: what a data key is used
//! for, which master key wraps it, and that it was not replaced. A MAC under the data key itself
//! would prove nothing once that key has leaked.

use super::installation::Installation;
use crate::crypto::{AuditKey, CryptoError, MacContext};
use crate::domain::{DataKeyId, Error, ProjectId, Result, Timestamp};
use crate::store::Tx;
use crate::store::records::{DataKeyRow, ReplacedKeyRow};

/// Maximum number of attempts to change a data key's row: a rotation of master keys writes it
/// without the project's lock.
const MAX_ATTEMPTS: usize = 5;

/// A data key's row that is not as the vault wrote it, or that was put back after the key was
/// replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForgedKey {
    /// The row's MAC is missing or not that of what it says.
    #[error("the row of data key {0} was changed by hand: it has no valid MAC")]
    Changed(DataKeyId),
    /// The key was replaced, and its row put back.
    #[error("data key {0} was replaced and erased, and its row was put back")]
    PutBack(DataKeyId),
}

const fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// The fields that the MAC covers.
fn with_fields<T>(row: &DataKeyRow, run: impl FnOnce([Option<&str>; 5]) -> T) -> T {
    let id = row.id.to_string();
    run([id.as_str(), row.project.as_str(), &row.master_key, word(row.encrypting), word(row.outgoing)].map(Some))
}

/// The row under its MAC.
pub(in crate::vault) fn signed(key: &AuditKey, mut row: DataKeyRow) -> DataKeyRow {
    row.mac = Some(with_fields(&row, |fields| key.mac(MacContext::DataKey, fields)).to_vec());
    row
}

/// Checks a data key's row.
pub(in crate::vault) fn verify(key: &AuditKey, row: &DataKeyRow) -> Result<(), ForgedKey> {
    let mac = row.mac.as_deref().unwrap_or_default();
    with_fields(row, |fields| key.verify(MacContext::DataKey, fields, mac)).map_err(|_| ForgedKey::Changed(row.id))?;
    if row.replaced { Err(ForgedKey::PutBack(row.id)) } else { Ok(()) }
}

/// The row that lists a data key as replaced.
pub(in crate::vault) fn replaced(key: &AuditKey, id: DataKeyId, project: &ProjectId, now: Timestamp) -> ReplacedKeyRow {
    let mut row = ReplacedKeyRow { id, project: project.clone(), replaced_at: now, mac: vec![] };
    row.mac = with_replaced_fields(&row, |fields| key.mac(MacContext::ReplacedDataKey, fields)).to_vec();
    row
}

/// Checks a row that lists a data key as replaced.
pub(in crate::vault) fn verify_replaced(key: &AuditKey, row: &ReplacedKeyRow) -> Result<(), CryptoError> {
    with_replaced_fields(row, |fields| key.verify(MacContext::ReplacedDataKey, fields, &row.mac))
}

fn with_replaced_fields<T>(row: &ReplacedKeyRow, run: impl FnOnce([Option<&str>; 3]) -> T) -> T {
    let (id, replaced_at) = (row.id.to_string(), row.replaced_at.to_rfc3339());
    run([id.as_str(), row.project.as_str(), &replaced_at].map(Some))
}

/// A row that is not as the vault wrote it, as an error of the caller that needed the key.
pub(super) fn refused(error: ForgedKey) -> Error {
    tracing::error!(%error, "a data key is not used");
    Error::internal(error)
}

impl Installation {
    /// Changes a data key's row, once it was checked; one that is gone stays gone.
    pub(in crate::vault) async fn change_key_state(
        &self,
        tx: &mut Tx,
        id: DataKeyId,
        change: impl Fn(&mut DataKeyRow),
    ) -> Result<()> {
        let key = self.audit_key(tx).await?;
        for _ in 0..MAX_ATTEMPTS {
            let Some(row) = tx.data_key(id).await? else { return Ok(()) };
            verify(&key, &row).map_err(refused)?;
            let mut changed = row.clone();
            change(&mut changed);
            if tx.update_data_key(&row, &signed(&key, changed)).await? {
                return Ok(());
            }
        }
        Err(Error::unavailable("The master keys are being rotated; nothing was changed. Try again."))
    }

    /// Sets whether these data keys are being replaced.
    pub(in crate::vault) async fn set_outgoing(&self, tx: &mut Tx, rows: &[DataKeyRow], outgoing: bool) -> Result<()> {
        for row in rows.iter().filter(|row| row.outgoing != outgoing) {
            self.change_key_state(tx, row.id, |row| row.outgoing = outgoing).await?;
        }
        Ok(())
    }
}
