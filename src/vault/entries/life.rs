//! Disables, enables, deletes, restores and purges entries.

use super::Entries;
use super::change::NAME_TAKEN;
use super::insert::require_room;
use super::reading::Entry;
use crate::domain::{AuditAction, EntryId, Error, Result};
use crate::permission::{CanAdminister, CanWrite};
use crate::vault::Caller;

impl Entries {
    /// Disables an entry: for agents it no longer exists. Does nothing if it is disabled.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7.
    pub async fn disable(&self, caller: &Caller, id: String) -> Result<Entry> {
        self.set_disabled(caller, &id, true).await
    }

    /// Enables an entry again. Does nothing if it is not disabled.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7.
    pub async fn enable(&self, caller: &Caller, id: String) -> Result<Entry> {
        self.set_disabled(caller, &id, false).await
    }

    async fn set_disabled(&self, caller: &Caller, id: &str, disabled: bool) -> Result<Entry> {
        let action = if disabled { AuditAction::EntryDisabled } else { AuditAction::EntryEnabled };
        let mut changing = self.begin_change::<CanWrite>(caller, action, id, None).await?;
        changing.require_not_deleted()?;
        if changing.row.disabled == disabled {
            return self.end_unchanged(changing).await;
        }
        changing.row.disabled = disabled;
        self.save(changing).await
    }

    /// Deletes an entry; it can be restored during the retention period. Does nothing if it is
    /// deleted.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7.
    pub async fn delete(&self, caller: &Caller, id: String) -> Result<Entry> {
        let mut changing = self.begin_change::<CanAdminister>(caller, AuditAction::EntryDeleted, &id, None).await?;
        if changing.row.deleted_at.is_some() {
            return self.end_unchanged(changing).await;
        }
        changing.row.deleted_at = Some(changing.now);
        self.save(changing).await
    }

    /// Restores a deleted entry.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7; CONFLICT when another entry has its name by
    /// now.
    pub async fn restore(&self, caller: &Caller, id: String) -> Result<Entry> {
        let mut changing = self.begin_change::<CanAdminister>(caller, AuditAction::EntryRestored, &id, None).await?;
        if changing.row.deleted_at.is_none() {
            return Err(Error::Conflict("This entry is not deleted.".to_owned()));
        }
        require_room(&mut changing.change.tx, &changing.row.project, 1).await?;
        changing.require_name_free().await.map_err(|error| match error {
            Error::Conflict(text) if text == NAME_TAKEN => {
                Error::Conflict("Another entry has this name now; rename that one first.".to_owned())
            }
            error => error,
        })?;
        changing.verify_milestone().await?;
        changing.row.deleted_at = None;
        self.save(changing).await
    }

    /// Erases a deleted entry and its versions for good.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7.
    pub async fn purge(&self, caller: &Caller, id: String) -> Result<EntryId> {
        let changing = self.begin_change::<CanAdminister>(caller, AuditAction::EntryPurged, &id, None).await?;
        if changing.row.deleted_at.is_none() {
            return Err(Error::Conflict("This entry is not deleted; delete it before you purge it.".to_owned()));
        }
        let id = changing.row.id;
        let mut tx = changing.change.tx;
        tx.erase_entries(&[id]).await?;
        let event = caller.event(AuditAction::EntryPurged, changing.now).of_erasure(changing.row);
        self.audit.append(&mut tx, &[event]).await?;
        tx.commit().await?;
        self.wal.truncate().await;
        Ok(id)
    }
}
