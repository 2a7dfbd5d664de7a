//! Erasing deleted entries whose retention has passed.

use super::Vault;
use super::events::event;
use crate::domain::{Actor, AuditAction, EntryId, Error, RequestId, Result, Timestamp};
use crate::store::records::DeletedEntryRow;
use uuid::Uuid;

/// So many entries are erased in one go.
const BATCH: i64 = 100;

impl Vault {
    /// Erases every entry that was deleted longer ago than the retention period; how many. Called every few minutes; several
    /// servers may do it at once.
    ///
    /// A row that fails authentication is left where it is and logged: its date may be forged, and
    /// an erasure would put an authentic event in the place of what shows it.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; what was erased stays erased.
    pub async fn sweep(&self) -> Result<u64> {
        let before = self.now().minus(self.0.retention);
        let mut swept = 0;
        let mut after = (Timestamp::from_millis(i64::MIN), EntryId(Uuid::nil()));
        // By place, so that rows that are left keep nobody from its turn.
        loop {
            let due = self.0.store.conn().await?.entries_deleted_before(before, after, BATCH).await?;
            let Some(last) = due.last() else { break };
            after = (last.deleted_at, last.id);
            for deleted in due {
                swept += u64::from(self.erase_due(&deleted, before).await?);
            }
        }
        if swept > 0 {
            self.forget_erased().await;
        }
        Ok(swept)
    }

    /// Erases a deleted entry, where it is still due and authentic; whether it was.
    async fn erase_due(&self, deleted: &DeletedEntryRow, before: Timestamp) -> Result<bool> {
        let DeletedEntryRow { id, project, .. } = deleted;
        let mut tx = self.begin_on(project).await?;
        tx.lock_project(project).await?;
        // It may have been restored or purged since.
        let still_due = |at| at < before;
        let Some(row) = tx.entry_row(*id).await?.filter(|row| row.deleted_at.is_some_and(still_due)) else {
            return Ok(false);
        };
        match self.check_for_change(&mut tx, &row).await {
            Ok(_) => {}
            Err(Error::Internal(error)) => {
                tracing::error!(
                    entry = %id,
                    %error,
                    "a deleted entry is not erased, because its row fails authentication; run `project-vault audit \
                     verify` and find out who changed the database"
                );
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        tx.erase_entries(&[*id]).await?;
        let event = event(&Actor::Sweeper, RequestId::new().as_str(), AuditAction::EntryPurged, self.now());
        self.append(&mut tx, &[event.of_erasure(row)]).await?;
        tx.commit().await?;
        Ok(true)
    }
}
