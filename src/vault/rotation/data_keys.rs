//! Replacing the data keys of one project or of all: every entry is put under a new data key, and
//! the old ones are erased.

use super::KeyRotation;
use crate::domain::{Actor, AuditAction, DataKeyId, EntryId, Error, ProjectId, RequestId, Result};
use crate::permission::Operator;
use crate::store::records::EntryRow;
use crate::vault::audit::{data_key_subject, event};
use crate::vault::entries::{Tampered, rekeyed, verify_newest};
use crate::vault::keys::{self, OnProgress};

/// The setting that says how far the replacement of all data keys is, and the lock under which it
/// is read and written.
const ALL: &str = "data-key rotation";
/// Its value while the data keys are being marked that are to be replaced.
const MARKING: &str = "marking";
/// Its value while the marked ones are being replaced.
const MARKED: &str = "all";
/// Data keys that are marked in one transaction.
const KEYS: i64 = 100;
/// Number of projects read at once.
const PROJECTS: i64 = 100;

/// The result of replacing the data keys of one or all projects.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DataKeysReplaced {
    /// Number of projects that have new data keys only.
    pub projects: u64,
    /// Number of entries that were re-encrypted.
    pub entries: u64,
    /// Number of data keys that were erased.
    pub erased: u64,
    /// Entries that fail authentication; they are left as they are, and so are their data keys.
    pub left: Vec<EntryId>,
}

impl KeyRotation {
    /// Gives a project a new data key, puts every entry under it and erases the old ones. Goes on
    /// where an earlier run was cut off, and beside other runs and servers.
    ///
    /// # Errors
    /// NOT_FOUND for a project that has no vault. UNAVAILABLE when a part cannot be reached; run it
    /// again then.
    pub async fn replace_data_keys(
        &self,
        operator: &Operator,
        project: &ProjectId,
        progress: OnProgress<'_>,
    ) -> Result<DataKeysReplaced> {
        let mut tx = self.store.begin().await?;
        tx.lock_project(project).await?.ok_or(Error::NotFound("There is no project of this id."))?;
        let rows = tx.data_keys_of(project).await?;
        if !rows.iter().any(|key| key.outgoing) {
            self.installation.set_outgoing(&mut tx, &rows, true).await?;
        }
        tx.commit().await?;
        let mut replaced = DataKeysReplaced::default();
        self.finish_project(operator, project, progress, &mut replaced).await?;
        self.wal.truncate().await;
        Ok(replaced)
    }

    /// As [`Self::replace_data_keys`], for every project. Resumes an interrupted run, and skips the
    /// projects it had finished.
    ///
    /// # Errors
    /// UNAVAILABLE when a part cannot be reached; run it again then.
    pub async fn replace_all_data_keys(
        &self,
        operator: &Operator,
        progress: OnProgress<'_>,
    ) -> Result<DataKeysReplaced> {
        self.mark_all_outgoing().await?;
        let total = u64::try_from(self.store.conn().await?.count_projects_outgoing().await?).unwrap_or_default();
        let mut replaced = DataKeysReplaced::default();
        let mut after = String::new();
        let mut done = 0;
        progress(done, total);
        loop {
            let projects = self.store.conn().await?.projects_outgoing(&after, PROJECTS).await?;
            let Some(last) = projects.last() else { break };
            last.as_str().clone_into(&mut after);
            for project in &projects {
                self.finish_project(operator, project, &|_, _| {}, &mut replaced).await?;
                done += 1;
                progress(done, total.max(done));
            }
        }
        // The next run replaces all of them again.
        self.installation.set_setting(ALL, "").await?;
        self.wal.truncate().await;
        Ok(replaced)
    }

    /// Marks every data key as outgoing, in batches, unless an unfinished run has already marked
    /// them. A run that was interrupted while it marked keys is repeated. If nothing is outgoing,
    /// no run is unfinished, whatever the setting says.
    async fn mark_all_outgoing(&self) -> Result<()> {
        let mut tx = self.store.begin().await?;
        tx.lock_name(ALL).await?;
        if self.installation.setting_in(&mut tx, ALL).await?.as_deref() == Some(MARKED)
            && tx.count_projects_outgoing().await? > 0
        {
            return Ok(tx.commit().await?);
        }
        self.installation.set_setting_in(&mut tx, ALL, MARKING).await?;
        tx.commit().await?;
        let mut after = DataKeyId(uuid::Uuid::nil());
        loop {
            let mut tx = self.store.begin().await?;
            tx.lock_name(ALL).await?;
            // Another run may have finished the marking, and begun to replace.
            if self.installation.setting_in(&mut tx, ALL).await?.as_deref() != Some(MARKING) {
                return Ok(tx.commit().await?);
            }
            let rows = tx.data_keys_after(after, KEYS).await?;
            let Some(last) = rows.last() else {
                self.installation.set_setting_in(&mut tx, ALL, MARKED).await?;
                return Ok(tx.commit().await?);
            };
            after = last.id;
            // Before the rows of keys, as whoever changes a project locks them.
            let projects: Vec<_> = rows.iter().map(|row| row.project.clone()).collect();
            tx.lock_projects(&projects).await?;
            self.installation.set_outgoing(&mut tx, &rows, true).await?;
            tx.commit().await?;
        }
    }

    async fn finish_project(
        &self,
        operator: &Operator,
        project: &ProjectId,
        progress: OnProgress<'_>,
        replaced: &mut DataKeysReplaced,
    ) -> Result<()> {
        // Before the transactions: the provider of the master keys may be slow. A key that turns
        // out not to be needed is dropped, and what is opened stays in memory for `rekey_entry`.
        let made = self.installation.make_data_key(project).await?;
        self.installation.open_project_keys(project).await?;
        let mut tx = self.store.begin().await?;
        if tx.lock_project(project).await?.is_none() {
            return Ok(tx.rollback().await?);
        }
        if tx.data_keys_of(project).await?.iter().any(|key| key.outgoing && key.encrypting) {
            self.installation.replace_encrypting_key(&mut tx, project, made).await?;
        }
        tx.commit().await?;
        // Nothing is written under them from now on.
        let entries = self.store.conn().await?.entries_outgoing(project).await?;
        let total = entries.len() as u64;
        let mut left = Vec::new();
        progress(0, total);
        for (index, id) in entries.into_iter().enumerate() {
            match self.rekey_entry(operator, project, id).await? {
                Moved::Yes => replaced.entries += 1,
                Moved::NotThere => {}
                Moved::Refused => left.push(id),
            }
            progress(index as u64 + 1, total);
        }
        self.erase_old_data_keys(project, left.is_empty(), replaced).await?;
        replaced.left.append(&mut left);
        Ok(())
    }

    /// Re-encrypts one entry, in a transaction of its own, so that nobody waits long.
    async fn rekey_entry(&self, operator: &Operator, project: &ProjectId, id: EntryId) -> Result<Moved> {
        let audit = self.installation.open_audit_key().await?;
        let mut tx = self.store.begin().await?;
        tx.lock_project(project).await?;
        // It may have been erased, or moved by its own change, since.
        let Some(row) = tx.entry_row(id).await?.filter(|row| row.project == *project) else {
            tx.rollback().await?;
            return Ok(Moved::NotThere);
        };
        let encrypting = tx.encrypting_key(project).await?;
        if row.data_key == encrypting.id {
            tx.rollback().await?;
            return Ok(Moved::NotThere);
        }
        let old = tx.data_key(row.data_key).await?.ok_or_else(|| Error::internal("an entry's data key is gone"))?;
        let old = self.installation.open_key(project, &old).await?;
        let new = self.installation.open_key(project, &encrypting).await?;
        let newest = tx.newest_change(id).await?;
        let mut open = match self.installation.open_project(&mut tx, project).await {
            Ok(open) => open,
            // A project whose row was changed by hand stays under its old data keys.
            Err(Error::Internal(_)) => {
                tx.rollback().await?;
                return Ok(Moved::Refused);
            }
            Err(error) => return Err(error),
        };
        let to = EntryRow { data_key: encrypting.id, revision: row.revision + 1, ..row.clone() };
        let moved = match verify_newest(&row, newest.as_ref(), &audit) {
            Ok(()) if open.take_entry(&row).is_ok() => rekeyed(&mut tx, &row, to, &old, &new).await?,
            // A row that was put back is not signed anew.
            Ok(()) => Err(Tampered),
            Err(tampered) => Err(tampered),
        };
        if let Ok(moved) = moved {
            let row = moved.write(&mut tx, &operator.rekeying(project)).await?;
            open.put_entry(&row)?;
            open.save(&mut tx).await?;
            let event = event(&Actor::Operator, RequestId::new().as_str(), AuditAction::KeysRotated, self.now());
            self.audit.append(&mut tx, &[event.of_change(&row)]).await?;
            tx.commit().await?;
            return Ok(Moved::Yes);
        }
        tracing::error!(entry = %id, "an entry fails authentication; it is left under its old data key");
        crate::vault::measures::count_unauthentic();
        tx.rollback().await?;
        Ok(Moved::Refused)
    }

    /// Erases the data keys that no entry uses any more. The run that erases the last one records
    /// that the project is done; where entries were left, the next run replaces what is there then.
    async fn erase_old_data_keys(
        &self,
        project: &ProjectId,
        complete: bool,
        replaced: &mut DataKeysReplaced,
    ) -> Result<()> {
        let audit = self.installation.open_audit_key().await?;
        let mut tx = self.store.begin().await?;
        tx.lock_project(project).await?;
        let ids = tx.erase_unused_data_keys(project).await?;
        for id in &ids {
            tx.insert_replaced_key(&keys::replaced(&audit, *id, project, self.now())).await?;
        }
        let erased = ids.len() as u64;
        let left = tx.data_keys_of(project).await?;
        let is_done = !left.iter().any(|key| key.outgoing);
        if erased > 0 && is_done {
            let encrypting = tx.encrypting_key(project).await?;
            let event = event(&Actor::Operator, RequestId::new().as_str(), AuditAction::KeysRotated, self.now());
            let event = event.in_project(project).about(data_key_subject(encrypting.id));
            self.audit.append(&mut tx, &[event]).await?;
        }
        if !complete {
            self.installation.set_outgoing(&mut tx, &left, false).await?;
        }
        tx.commit().await?;
        self.installation.forget_keys_of(project).await;
        replaced.erased += erased;
        replaced.projects += u64::from(is_done);
        Ok(())
    }
}

enum Moved {
    Yes,
    NotThere,
    Refused,
}
