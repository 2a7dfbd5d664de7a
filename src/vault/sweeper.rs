//! Erasing deleted entries whose retention has passed.

use super::Vault;
use super::events::event;
use crate::domain::{Actor, AuditAction, RequestId, Result};

/// So many entries are erased in one go.
const BATCH: i64 = 100;

impl Vault {
    /// Erases every entry that was deleted longer ago than the retention period; how many. Called every few minutes; several
    /// servers may do it at once.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; what was erased stays erased.
    pub async fn sweep(&self) -> Result<u64> {
        let mut swept = 0;
        loop {
            let before = self.now().minus(self.0.retention);
            let due = self.0.store.conn().await?.entries_deleted_before(before, BATCH).await?;
            if due.is_empty() {
                break;
            }
            for (id, project) in due {
                let mut tx = self.begin_on(&project).await?;
                tx.lock_project(&project).await?;
                // It may have been restored or purged since.
                let still_due = |at| at < before;
                let Some(row) = tx.entry_row(id).await?.filter(|row| row.deleted_at.is_some_and(still_due)) else {
                    continue;
                };
                tx.erase_entries(&[id]).await?;
                let event = event(&Actor::Sweeper, RequestId::new().as_str(), AuditAction::EntryPurged, self.now());
                self.append(&mut tx, &[event.of_erasure(row)]).await?;
                tx.commit().await?;
                swept += 1;
            }
        }
        if swept > 0 {
            self.forget_erased().await;
        }
        Ok(swept)
    }
}
