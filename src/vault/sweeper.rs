//! Erases deleted entries after their retention period.

use super::audit::{Audit, event};
use super::entries::Entries;
use super::keys::Installation;
use super::tuples::Tuples;
use super::wal::Wal;
use crate::domain::{Actor, AuditAction, EntryId, Error, RequestId, Result, Timestamp};
use crate::store::Store;
use crate::store::records::DeletedEntryRow;
use std::time::Duration;
use uuid::Uuid;

/// Maximum number of entries read at once.
const BATCH: i64 = 100;

/// Erases deleted entries. Cheap to clone.
#[derive(Clone)]
pub struct Sweeper {
    store: Store,
    installation: Installation,
    audit: Audit,
    tuples: Tuples,
    entries: Entries,
    wal: Wal,
    /// How long a deleted entry can be restored.
    retention: Duration,
}

impl Sweeper {
    pub(super) fn new(
        installation: Installation,
        audit: Audit,
        tuples: Tuples,
        entries: Entries,
        wal: Wal,
        retention: Duration,
    ) -> Self {
        Self { store: installation.store().clone(), installation, audit, tuples, entries, wal, retention }
    }

    /// Erases every entry that was deleted longer ago than the retention period, and gives their
    /// number. Called every few minutes; several servers may call it at once.
    ///
    /// A row that fails authentication is kept and logged: its date may be forged, and erasing it
    /// would record an authentic event that hides the forgery.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; what was erased stays erased.
    pub async fn sweep(&self) -> Result<u64> {
        let before = self.installation.now().minus(self.retention);
        let mut swept = 0;
        let mut after = (Timestamp::from_millis(i64::MIN), EntryId(Uuid::nil()));
        // Continues after the last row read, so that rows that are kept do not block the others.
        loop {
            let due = self.store.conn().await?.entries_deleted_before(before, after, BATCH).await?;
            let Some(last) = due.last() else { break };
            after = (last.deleted_at, last.id);
            for deleted in due {
                swept += u64::from(self.erase_due(&deleted, before).await?);
            }
        }
        if swept > 0 {
            self.wal.truncate().await;
        }
        Ok(swept)
    }

    /// Erases a deleted entry if it is still due and authentic. Gives whether it was erased.
    async fn erase_due(&self, deleted: &DeletedEntryRow, before: Timestamp) -> Result<bool> {
        let DeletedEntryRow { id, project, .. } = deleted;
        let mut keys = self.installation.open_project_keys(project).await?;
        let mut tx = self.tuples.begin_without_tuples(project).await?;
        tx.lock_project(project).await?;
        if !keys.accept(tx.data_keys_of(project).await?) {
            // A data key was added meanwhile; the next call erases the entry.
            return Ok(false);
        }
        // The entry may have been restored or purged meanwhile.
        let still_due = |at| at < before;
        let Some(row) = tx.entry_row(*id).await?.filter(|row| row.deleted_at.is_some_and(still_due)) else {
            return Ok(false);
        };
        match self.entries.check_for_change(&mut tx, &keys, &row).await {
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
        let event =
            event(&Actor::Sweeper, RequestId::new().as_str(), AuditAction::EntryPurged, self.installation.now());
        self.audit.append(&mut tx, &[event.of_erasure(row)]).await?;
        tx.commit().await?;
        Ok(true)
    }
}
