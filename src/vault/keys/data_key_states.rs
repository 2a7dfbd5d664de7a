//! The rows of data keys, authenticated with a MAC under the installation's AUDIT key. A row states
//! which master key wraps the data key, whether it encrypts, and whether it is being replaced;
//! another row lists it as replaced. A MAC under the data key itself would prove nothing once that
//! key has leaked.

use super::installation::Installation;
use crate::crypto::{AuditKey, CryptoError, MacContext};
use crate::domain::{DataKeyId, Error, ProjectId, Result, Timestamp};
use crate::store::Tx;
use crate::store::records::{DataKeyRow, ReplacedKeyRow};

/// Maximum number of attempts to change a data key's row: a rotation of master keys writes the row
/// too, without the project's lock.
const MAX_ATTEMPTS: usize = 5;

/// A data key's row that is not as the vault wrote it, or that was put back after the key was
/// replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForgedKey {
    /// The row's MAC is missing or does not match its fields.
    #[error("the row of data key {0} was changed by hand: it has no valid MAC")]
    Changed(DataKeyId),
    /// The key was replaced and erased, and its row was put back.
    #[error("data key {0} was replaced and erased, and its row was put back")]
    PutBack(DataKeyId),
}

const fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// Calls `run` with the fields that the MAC covers, in order.
fn with_fields<T>(row: &DataKeyRow, run: impl FnOnce([Option<&str>; 5]) -> T) -> T {
    let id = row.id.to_string();
    run([id.as_str(), row.project.as_str(), &row.master_key, word(row.encrypting), word(row.outgoing)].map(Some))
}

/// Sets the row's MAC.
pub(in crate::vault) fn signed(key: &AuditKey, mut row: DataKeyRow) -> DataKeyRow {
    row.mac = Some(with_fields(&row, |fields| key.mac(MacContext::DataKey, fields)).to_vec());
    row
}

/// Verifies the MAC of a data key's row, and that the key was not replaced.
pub(in crate::vault) fn verify(key: &AuditKey, row: &DataKeyRow) -> Result<(), ForgedKey> {
    let mac = row.mac.as_deref().unwrap_or_default();
    with_fields(row, |fields| key.verify(MacContext::DataKey, fields, mac)).map_err(|_| ForgedKey::Changed(row.id))?;
    if row.replaced { Err(ForgedKey::PutBack(row.id)) } else { Ok(()) }
}

/// Makes the row that lists a data key as replaced, with its MAC.
pub(in crate::vault) fn replaced(key: &AuditKey, id: DataKeyId, project: &ProjectId, now: Timestamp) -> ReplacedKeyRow {
    let mut row = ReplacedKeyRow { id, project: project.clone(), replaced_at: now, mac: vec![] };
    row.mac = with_replaced_fields(&row, |fields| key.mac(MacContext::ReplacedDataKey, fields)).to_vec();
    row
}

/// Verifies the MAC of a row that lists a data key as replaced.
pub(in crate::vault) fn verify_replaced(key: &AuditKey, row: &ReplacedKeyRow) -> Result<(), CryptoError> {
    with_replaced_fields(row, |fields| key.verify(MacContext::ReplacedDataKey, fields, &row.mac))
}

fn with_replaced_fields<T>(row: &ReplacedKeyRow, run: impl FnOnce([Option<&str>; 3]) -> T) -> T {
    let (id, replaced_at) = (row.id.to_string(), row.replaced_at.to_rfc3339());
    run([id.as_str(), row.project.as_str(), &replaced_at].map(Some))
}

/// Logs a forged row of a data key, and gives the INTERNAL error for the caller.
pub(super) fn refused(error: ForgedKey) -> Error {
    tracing::error!(%error, "a data key is not used");
    Error::internal(error)
}

impl Installation {
    /// Verifies a data key's row, changes it and signs it again. Does nothing when the row does not
    /// exist.
    ///
    /// # Errors
    /// INTERNAL for a row that is not as the vault wrote it; UNAVAILABLE when others keep changing
    /// it.
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

    /// Marks these data keys as being replaced, or not.
    pub(in crate::vault) async fn set_outgoing(&self, tx: &mut Tx, rows: &[DataKeyRow], outgoing: bool) -> Result<()> {
        for row in rows.iter().filter(|row| row.outgoing != outgoing) {
            self.change_key_state(tx, row.id, |row| row.outgoing = outgoing).await?;
        }
        Ok(())
    }
}
