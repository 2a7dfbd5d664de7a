//! The data keys of a project for one change. They are opened before the transaction begins: the
//! provider of the master keys may be slow, and a transaction holds a database connection and, with
//! SQLite, the only write lock.

use super::data_key_states::{self, refused};
use super::data_keys::{OpenError, OpenedKey};
use super::installation::Installation;
use crate::crypto::{AuditKey, DataKey};
use crate::domain::{DataKeyId, Error, ProjectId, Result};
use crate::store::Tx;
use crate::store::records::DataKeyRow;
use std::collections::HashMap;
use std::sync::Arc;

/// A project's opened data keys, with their rows as the transaction sees them.
pub(in crate::vault) struct ProjectKeys {
    project: ProjectId,
    audit: Arc<AuditKey>,
    rows: Vec<DataKeyRow>,
    /// A key that cannot be opened is an error only for a change that needs it.
    opened: HashMap<DataKeyId, Result<Arc<DataKey>, OpenError>>,
}

impl ProjectKeys {
    /// Takes the rows that a transaction under the project's lock has read. Gives whether all of
    /// those keys were opened; if not, the caller ends the transaction and opens the keys again.
    pub(in crate::vault) fn accept(&mut self, rows: Vec<DataKeyRow>) -> bool {
        self.rows = rows;
        self.rows.iter().all(|row| self.opened.contains_key(&row.id))
    }

    /// The data key of an entry.
    ///
    /// # Errors
    /// INTERNAL for a missing key, or one whose row is not as the vault wrote it; UNAVAILABLE when
    /// the provider of the master keys did not answer.
    pub(in crate::vault) fn get(&self, id: DataKeyId) -> Result<Arc<DataKey>> {
        let row = self.rows.iter().find(|row| row.id == id);
        self.open(row.ok_or_else(|| Error::internal("an entry's data key is gone"))?)
    }

    /// The data key that encrypts new values, with its row.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(in crate::vault) fn encrypting(&self) -> Result<OpenedKey> {
        let row = self.rows.iter().find(|row| row.encrypting);
        let row = row.ok_or_else(|| Error::internal("a project has no data key that encrypts"))?;
        Ok((row.clone(), self.open(row)?))
    }

    fn open(&self, row: &DataKeyRow) -> Result<Arc<DataKey>> {
        data_key_states::verify(&self.audit, row).map_err(refused)?;
        match self.opened.get(&row.id) {
            Some(opened) => Ok(opened.clone()?),
            None => Err(Error::internal("a data key was not opened before the transaction that needs it")),
        }
    }
}

impl Installation {
    /// Opens the data keys of a project for a transaction that begins afterwards.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached. A key that cannot be opened is no error
    /// here.
    pub(in crate::vault) async fn open_project_keys(&self, project: &ProjectId) -> Result<ProjectKeys> {
        let mut conn = self.store().reader().await?;
        let audit = self.audit_key(&mut conn).await?;
        let rows = conn.data_keys_of(project).await?;
        drop(conn);
        let mut opened = HashMap::with_capacity(rows.len());
        for row in &rows {
            opened.insert(row.id, self.try_open_key(&audit, project, row).await);
        }
        Ok(ProjectKeys { project: project.clone(), audit, rows, opened })
    }

    /// The project's encrypting data key, for sealing `count` values; adds `count` to the key's
    /// counter. A key that has reached its limit is replaced first. The caller holds the project's
    /// lock.
    ///
    /// # Errors
    /// As [`ProjectKeys::get`].
    pub(in crate::vault) async fn key_for_sealing(
        &self,
        tx: &mut Tx,
        keys: &mut ProjectKeys,
        count: i64,
    ) -> Result<OpenedKey> {
        let (row, key) = keys.encrypting()?;
        // The count of a key that is replaced here stays too high, which is harmless: it seals no
        // more.
        if tx.count_sealed(row.id, count).await? <= self.seal_limit() {
            return Ok((row, key));
        }
        // Once in 2^31 values, this asks the provider of the master keys within a transaction.
        let made = self.make_data_key(&keys.project).await?;
        let (row, key) = self.replace_encrypting_key(tx, &keys.project, made).await?;
        tx.count_sealed(row.id, count).await?;
        keys.rows = tx.data_keys_of(&keys.project).await?;
        keys.opened.insert(row.id, Ok(key.clone()));
        Ok((row, key))
    }
}
