//! Writes to entries. Each takes the proof of a permission that allows it, for the entry's own
//! project, so that a missing or wrong check does not compile.

use super::records::{CiphertextRow, EntryRow, VersionRow};
use super::{Error, Result, Tx};
use crate::permission::{Authorized, ChangesEntries, Rekeying};

impl Tx {
    /// Adds an entry that has no versions yet.
    ///
    /// # Errors
    /// When the database refuses or cannot answer, or the permission is for another project.
    pub async fn insert_entry<P: ChangesEntries>(&mut self, by: &Authorized<P>, row: &EntryRow) -> Result<()> {
        of_its_project(by, row)?;
        self.insert_entry_row(row).await
    }

    /// Writes the columns of an entry that can change, under the project's lock.
    ///
    /// # Errors
    /// As [`Self::insert_entry`].
    pub async fn save_entry<P: ChangesEntries>(&mut self, by: &Authorized<P>, row: &EntryRow) -> Result<()> {
        of_its_project(by, row)?;
        self.save_entry_row(row).await
    }

    /// Adds a version to an entry, with its ciphertext if it has one of its own.
    ///
    /// # Errors
    /// As [`Self::insert_entry`].
    pub async fn insert_version<P: ChangesEntries>(
        &mut self,
        by: &Authorized<P>,
        entry: &EntryRow,
        version: &VersionRow,
        ciphertext: Option<&CiphertextRow>,
    ) -> Result<()> {
        of_its_project(by, entry)?;
        if let Some(ciphertext) = ciphertext {
            self.insert_ciphertext_row(ciphertext).await?;
        }
        self.insert_version_row(version).await
    }

    /// Moves an entry with its versions and ciphertexts to another data key.
    ///
    /// # Errors
    /// As [`Self::insert_entry`].
    pub async fn rekey_entry(
        &mut self,
        by: &Rekeying,
        entry: &EntryRow,
        versions: &[VersionRow],
        ciphertexts: &[CiphertextRow],
    ) -> Result<()> {
        if entry.project != *by.project() {
            return Err(Error::unexpected("an entry was about to be re-encrypted under another project's permission"));
        }
        self.rekey_rows(entry, versions, ciphertexts).await
    }

    /// Erases the versions of an entry before `oldest`, and the ciphertexts that nothing refers to
    /// any more.
    ///
    /// # Errors
    /// As [`Self::insert_entry`].
    pub async fn prune_versions<P: ChangesEntries>(
        &mut self,
        by: &Authorized<P>,
        entry: &EntryRow,
        oldest: i32,
    ) -> Result<()> {
        of_its_project(by, entry)?;
        self.prune_versions_rows(entry.id, oldest).await
    }
}

fn of_its_project<P: ChangesEntries>(by: &Authorized<P>, row: &EntryRow) -> Result<()> {
    if row.project == *by.project() {
        Ok(())
    } else {
        Err(Error::unexpected("an entry was about to be changed under another project's permission"))
    }
}
