//! The data keys of a project: which one encrypts, how much it may, and replacing them.
//!
//! A value is sealed under a random nonce of 96 bits, and NIST SP 800-38D, section 8.3, allows a key 2^32 of them. Each data key
//! counts what it sealed, and another takes its place at half of that; entries follow it when they are next changed. Hints are
//! sealed with another subkey, one for each value, so that their count is the same.

use super::entries::rekeyed;
use super::events::event;
use super::{Vault, keys::OnProgress};
use crate::authz::{Operator, Rekeying};
use crate::crypto::DataKey;
use crate::domain::{Actor, AuditAction, EntryId, Error, ProjectId, RequestId, Result};
use crate::store::Tx;
use crate::store::records::{DataKeyRow, EntryRow};
use std::sync::Arc;

/// So many values one data key seals.
pub const MAX_SEALED: i64 = 1 << 31;
/// What is pinned while all data keys are being replaced, and its name.
const ALL: (&str, &str) = ("data-key rotation", "all");
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
        let row = tx.encrypting_key(project).await?;
        // Where it is replaced it stays counted: what counts is that there are no more.
        if tx.count_sealed(row.id, count).await? <= self.0.keys.seal_limit() {
            let key = self.open_key(project, &row).await?;
            return Ok((row, key));
        }
        let (row, key) = self.replace_encrypting_key(tx, project).await?;
        tx.count_sealed(row.id, count).await?;
        Ok((row, key))
    }

    /// Makes a new data key the encrypting one. The caller holds the project's lock.
    async fn replace_encrypting_key(&self, tx: &mut Tx, project: &ProjectId) -> Result<OpenKey> {
        let (row, key) = self.new_data_key(project).await?;
        tx.stop_encrypting(project).await?;
        tx.insert_data_key(project, &row, self.now()).await?;
        Ok((row, key))
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
        match rekeyed(tx, row, &key, (encrypting.id, &new)).await? {
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
        if !tx.data_key_states(project).await?.iter().any(|key| key.outgoing) {
            tx.set_outgoing(Some(project), true).await?;
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
        let mut tx = self.0.store.begin().await?;
        tx.lock_name(ALL.0).await?;
        if tx.pinned(ALL.0).await?.as_deref() != Some(ALL.1) {
            tx.set_outgoing(None, true).await?;
            tx.pin(ALL.0, ALL.1).await?;
        }
        tx.commit().await?;
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
        self.0.store.conn().await?.pin(ALL.0, "").await?;
        self.forget_erased().await;
        Ok(replaced)
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
        if tx.data_key_states(project).await?.iter().any(|key| key.outgoing && key.encrypting) {
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
        let old = tx.data_key(row.data_key).await?;
        let old = self.open_key(project, &old).await?;
        let new = self.open_key(project, &encrypting).await?;
        if let Ok(moved) = rekeyed(&mut tx, &row, &old, (encrypting.id, &new)).await? {
            moved.write(&mut tx, &operator.rekeying(project)).await?;
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
        let erased = tx.erase_unused_data_keys(project).await? as u64;
        let is_done = !tx.data_key_states(project).await?.iter().any(|key| key.outgoing);
        if erased > 0 && is_done {
            let encrypting = tx.encrypting_key(project).await?;
            let event = event(&Actor::Operator, RequestId::new().as_str(), AuditAction::KeysRotated, self.now());
            let event = event.in_project(project).about(format_args!("data-key:{}", encrypting.id.0));
            self.append(&mut tx, &[event]).await?;
        }
        if !complete {
            tx.set_outgoing(Some(project), false).await?;
        }
        tx.commit().await?;
        self.0.keys.forget(project).await;
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
