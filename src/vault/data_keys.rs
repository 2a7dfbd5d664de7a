//! The data keys of a project: which one encrypts, how much it may, and replacing them.
//!
//! A value is sealed under a random nonce of 96 bits, and NIST SP 800-38D, section 8.3, allows a key 2^32 of them. Each data key
//! counts what it sealed, and another takes its place at half of that; entries follow it when they are next changed. Hints are
//! sealed with another subkey, one for each value, so that their count is the same.

use super::entries::{rekeyed, verify_newest};
use super::events::event;
use super::{Vault, key_states, keys::OnProgress};
use crate::authz::{Operator, Rekeying};
use crate::crypto::DataKey;
use crate::domain::{Actor, AuditAction, DataKeyId, EntryId, Error, ProjectId, RequestId, Result};
use crate::store::Tx;
use crate::store::records::{DataKeyRow, EntryRow};
use std::sync::Arc;

/// So many values one data key seals.
pub const MAX_SEALED: i64 = 1 << 31;
/// The setting that says how far the replacement of all data keys is, and the lock under which it
/// is read and written.
const ALL: &str = "data-key rotation";
/// Its value while the data keys are being marked that are to be replaced.
const MARKING: &str = "marking";
/// Its value while the marked ones are being replaced.
const MARKED: &str = "all";
/// Data keys that are marked in one transaction.
const KEYS: i64 = 100;
/// So many projects are looked for at once.
const PROJECTS: i64 = 100;

/// What became of the data keys of one or all projects.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DataKeysReplaced {
    /// How many projects have new ones alone.
    pub projects: u64,
    /// How many entries were re-encrypted.
    pub entries: u64,
    /// How many data keys were erased.
    pub erased: u64,
    /// Entries that fail authentication; they are left as they are, and so are their data keys.
    pub left: Vec<EntryId>,
}

/// A data key with its row.
pub(super) type OpenKey = (DataKeyRow, Arc<DataKey>);

impl Vault {
    /// The project's encrypting data key, for sealing so many values, which are counted; another one where it has sealed as many
    /// as it may. The caller holds the project's lock.
    pub(super) async fn key_for_sealing(&self, tx: &mut Tx, project: &ProjectId, count: i64) -> Result<OpenKey> {
        self.audit_key(tx).await?;
        let row = tx.encrypting_key(project).await?;
        // Where it is replaced it stays counted: what counts is that there are no more.
        if tx.count_sealed(row.id, count).await? <= self.keys().seal_limit() {
            let key = self.open_key(project, &row).await?;
            return Ok((row, key));
        }
        let (row, key) = self.replace_encrypting_key(tx, project).await?;
        tx.count_sealed(row.id, count).await?;
        Ok((row, key))
    }

    /// Makes a new data key the encrypting one. The caller holds the project's lock.
    async fn replace_encrypting_key(&self, tx: &mut Tx, project: &ProjectId) -> Result<OpenKey> {
        let old = tx.encrypting_key(project).await?;
        self.change_key_state(tx, old.id, |row| row.encrypting = false).await?;
        self.add_open_data_key(tx, project).await
    }

    /// Puts an entry under the encrypting data key, where it is not; gives its key. One that fails authentication below its row
    /// is left where it is. The caller holds the project's lock and has checked the entry's row.
    pub(super) async fn follow_encrypting_key(
        &self,
        tx: &mut Tx,
        by: &Rekeying,
        row: &mut EntryRow,
        key: Arc<DataKey>,
    ) -> Result<Arc<DataKey>> {
        let encrypting = tx.encrypting_key(&row.project).await?;
        if encrypting.id == row.data_key {
            return Ok(key);
        }
        let new = self.open_key(&row.project, &encrypting).await?;
        // The change that takes it along raises its revision.
        let to = EntryRow { data_key: encrypting.id, ..row.clone() };
        match rekeyed(tx, row, to, &key, &new).await? {
            Ok(moved) => {
                *row = moved.write(tx, by).await?;
                Ok(new)
            }
            Err(error) => {
                tracing::error!(entry = %row.id, %error, "an entry is not put under its project's encrypting data key");
                Ok(key)
            }
        }
    }

    /// Gives a project a new data key, puts every entry under it and erases the old ones. Goes on where an earlier run was cut
    /// off, and beside other runs and servers.
    ///
    /// # Errors
    /// NOT_FOUND for a project that has no vault. UNAVAILABLE when a part cannot be reached; run it again then.
    pub async fn replace_data_keys(
        &self,
        operator: &Operator,
        project: &ProjectId,
        progress: OnProgress<'_>,
    ) -> Result<DataKeysReplaced> {
        let mut tx = self.0.store.begin().await?;
        tx.lock_project(project).await?.ok_or(Error::NotFound("There is no project of this id."))?;
        let rows = tx.data_keys_of(project).await?;
        if !rows.iter().any(|key| key.outgoing) {
            self.set_outgoing(&mut tx, &rows, true).await?;
        }
        tx.commit().await?;
        let mut replaced = DataKeysReplaced::default();
        self.finish_project(operator, project, progress, &mut replaced).await?;
        self.forget_erased().await;
        Ok(replaced)
    }

    /// The same for every project there is now. A run that was cut off is gone on with; the projects it had finished are not done
    /// again.
    ///
    /// # Errors
    /// UNAVAILABLE when a part cannot be reached; run it again then.
    pub async fn replace_all_data_keys(
        &self,
        operator: &Operator,
        progress: OnProgress<'_>,
    ) -> Result<DataKeysReplaced> {
        self.mark_all_outgoing().await?;
        let total = u64::try_from(self.0.store.conn().await?.count_projects_outgoing().await?).unwrap_or_default();
        let mut replaced = DataKeysReplaced::default();
        let mut after = String::new();
        let mut done = 0;
        progress(done, total);
        loop {
            let projects = self.0.store.conn().await?.projects_outgoing(&after, PROJECTS).await?;
            let Some(last) = projects.last() else { break };
            last.as_str().clone_into(&mut after);
            for project in &projects {
                self.finish_project(operator, project, &|_, _| {}, &mut replaced).await?;
                done += 1;
                progress(done, total.max(done));
            }
        }
        // The next run replaces all of them again.
        self.set_setting(ALL, "").await?;
        self.forget_erased().await;
        Ok(replaced)
    }

    /// Marks every data key as outgoing, in batches, unless a run that did is unended. A run that
    /// was cut off in the midst of marking is repeated. Where nothing is outgoing, no run is
    /// unended, whatever the setting says.
    async fn mark_all_outgoing(&self) -> Result<()> {
        let mut tx = self.0.store.begin().await?;
        tx.lock_name(ALL).await?;
        if self.setting_in(&mut tx, ALL).await?.as_deref() == Some(MARKED) && tx.count_projects_outgoing().await? > 0 {
            return Ok(tx.commit().await?);
        }
        self.set_setting_in(&mut tx, ALL, MARKING).await?;
        tx.commit().await?;
        let mut after = DataKeyId(uuid::Uuid::nil());
        loop {
            let mut tx = self.0.store.begin().await?;
            tx.lock_name(ALL).await?;
            // Another run may have finished the marking, and begun to replace.
            if self.setting_in(&mut tx, ALL).await?.as_deref() != Some(MARKING) {
                return Ok(tx.commit().await?);
            }
            let rows = tx.data_keys_after(after, KEYS).await?;
            let Some(last) = rows.last() else {
                self.set_setting_in(&mut tx, ALL, MARKED).await?;
                return Ok(tx.commit().await?);
            };
            after = last.id;
            self.set_outgoing(&mut tx, &rows, true).await?;
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
        let mut tx = self.0.store.begin().await?;
        if tx.lock_project(project).await?.is_none() {
            return Ok(tx.rollback().await?);
        }
        if tx.data_keys_of(project).await?.iter().any(|key| key.outgoing && key.encrypting) {
            self.replace_encrypting_key(&mut tx, project).await?;
        }
        tx.commit().await?;
        // Nothing is written under them from now on.
        let entries = self.0.store.conn().await?.entries_outgoing(project).await?;
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
        let mut tx = self.0.store.begin().await?;
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
        let audit = self.audit_key(&mut tx).await?;
        let old = tx.data_key(row.data_key).await?.ok_or_else(|| Error::internal("an entry's data key is gone"))?;
        let old = self.open_key(project, &old).await?;
        let new = self.open_key(project, &encrypting).await?;
        let newest = tx.newest_change(id).await?;
        let to = EntryRow { data_key: encrypting.id, revision: row.revision + 1, ..row.clone() };
        let moved = match verify_newest(&row, newest.as_ref(), &audit) {
            Ok(()) => rekeyed(&mut tx, &row, to, &old, &new).await?,
            // A row that was put back is not signed anew.
            Err(tampered) => Err(tampered),
        };
        if let Ok(moved) = moved {
            let row = moved.write(&mut tx, &operator.rekeying(project)).await?;
            let event = event(&Actor::Operator, RequestId::new().as_str(), AuditAction::KeysRotated, self.now());
            self.append(&mut tx, &[event.of_change(&row)]).await?;
            tx.commit().await?;
            return Ok(Moved::Yes);
        }
        tracing::error!(entry = %id, "an entry fails authentication; it is left under its old data key");
        tx.rollback().await?;
        Ok(Moved::Refused)
    }

    /// Erases what no entry is under any more. Whoever erases the last one records that it is done; where entries were left, the
    /// next run replaces what is there then.
    async fn erase_old_data_keys(
        &self,
        project: &ProjectId,
        complete: bool,
        replaced: &mut DataKeysReplaced,
    ) -> Result<()> {
        let mut tx = self.0.store.begin().await?;
        tx.lock_project(project).await?;
        let audit = self.audit_key(&mut tx).await?;
        let ids = tx.erase_unused_data_keys(project).await?;
        for id in &ids {
            tx.insert_replaced_key(&key_states::replaced(&audit, *id, project, self.now())).await?;
        }
        let erased = ids.len() as u64;
        let left = tx.data_keys_of(project).await?;
        let is_done = !left.iter().any(|key| key.outgoing);
        if erased > 0 && is_done {
            let encrypting = tx.encrypting_key(project).await?;
            let event = event(&Actor::Operator, RequestId::new().as_str(), AuditAction::KeysRotated, self.now());
            let event = event.in_project(project).about(format_args!("data-key:{}", encrypting.id.0));
            self.append(&mut tx, &[event]).await?;
        }
        if !complete {
            self.set_outgoing(&mut tx, &left, false).await?;
        }
        tx.commit().await?;
        self.keys().forget(project).await;
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
