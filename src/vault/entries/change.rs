//! Creates, updates, rotates and rolls back entries. Every change is one transaction with its
//! event, under the project's lock. The row's MAC is verified first, so that a forged row is never
//! signed again.

use super::Entries;
use super::input::{Change, EntryChanges, NewEntry, Rollback, Rotation};
use super::insert::{Draft, insert_entry, insert_version, require_room, scope};
use super::reading::{Entry, ReadKeys, status};
use super::rows::{Tampered, sign_entry, sign_version, verify_entry, verify_newest, verify_version};
use super::values::{self, Value};
use crate::crypto::DataKey;
use crate::domain::{AuditAction, Category, EntryId, EntryStatus, Error, ProjectId, Result, Timestamp};
use crate::permission::{CanWrite, ChangesEntries, Rekeying};
use crate::store::Tx;
use crate::store::records::{EntryRow, VersionRow};
use crate::vault::Caller;
use crate::vault::access::{NO_SUCH_ENTRY, Needs, ProjectTx};
use crate::vault::input::id;
use crate::vault::keys::ProjectKeys;
use std::sync::Arc;

/// Number of an entry's versions that are kept: the newest ones.
const KEPT_VERSIONS: i32 = 10;

pub(super) const NAME_TAKEN: &str =
    "An entry of this name exists in this scope; choose another name, or rotate that entry.";
const EXPIRED: &str = "This entry has expired; give the new value's expiresAt, or null for never.";

/// An entry that is being changed: the transaction, the entry's row, and the data key that signs
/// it. Until it is written, the project's listing is without it.
pub(super) struct Changing<'a, P: ChangesEntries> {
    pub(super) change: ProjectTx<P>,
    pub(super) row: EntryRow,
    pub(super) key: Arc<DataKey>,
    pub(super) caller: &'a Caller,
    pub(super) action: AuditAction,
    pub(super) now: Timestamp,
}

impl Entries {
    /// Authorizes the caller for `P`, takes the project's lock, and reads and verifies the entry
    /// under it. The entry is moved to the project's encrypting data key, unless it is to be
    /// purged.
    ///
    /// # Errors
    /// As `Access::authorize_entry` and `Granted::open`; CONFLICT when the entry's revision is not
    /// the expected one; INTERNAL when its row fails authentication.
    pub(super) async fn begin_change<'a, P: ChangesEntries>(
        &self,
        caller: &'a Caller,
        action: AuditAction,
        id: &str,
        expected_revision: Option<i32>,
    ) -> Result<Changing<'a, P>> {
        let (granted, row) = self.access.authorize_entry::<P>(caller, action, id).await?;
        let mut change = granted.open(Needs::DataKeys).await?;
        let project = change.by.project();
        // The entry may have been erased meanwhile. Ids are never reused, so in another project it
        // would be a forged row.
        let found = change.tx.entry_row(row.id).await?.filter(|row| row.project == *project);
        let mut row = found.ok_or(NO_SUCH_ENTRY)?;
        if row.deleted_at.is_some() && !change.administers {
            return Err(NO_SUCH_ENTRY);
        }
        let rekeying = Rekeying::from(&change.by);
        let (tx, keys, open) = change.parts()?;
        let key = self.open_for_change(tx, keys, &row).await?;
        open.take_entry(&row)?;
        if expected_revision.is_some_and(|expected| expected != row.revision) {
            return Err(Error::Conflict(format!(
                "The entry was changed and now has revision {}; read it again before you change it.",
                row.revision
            )));
        }
        let key = match action {
            // The entry is about to be erased.
            AuditAction::EntryPurged => key,
            _ => self.follow_encrypting_key(tx, keys, &rekeying, &mut row, key).await?,
        };
        Ok(Changing { change, row, key, caller, action, now: self.now() })
    }

    /// Verifies the row of an entry that is to be changed, and gives its data key. Logs a row that
    /// fails.
    pub(super) async fn open_for_change(
        &self,
        tx: &mut Tx,
        keys: &ProjectKeys,
        row: &EntryRow,
    ) -> Result<Arc<DataKey>> {
        let opened = self.check_for_change(tx, keys, row).await;
        opened.inspect_err(|error| {
            if matches!(error, Error::Internal(_)) {
                tracing::error!(entry = %row.id, "an entry's row fails authentication; it is not changed");
                crate::vault::measures::count_unauthentic();
            }
        })
    }

    /// As [`Self::open_for_change`], without logging. Checks the row's MAC, that the newest event
    /// of the entry matches the row, and that this process has seen no newer revision. The caller
    /// holds the project's lock.
    pub(in crate::vault) async fn check_for_change(
        &self,
        tx: &mut Tx,
        keys: &ProjectKeys,
        row: &EntryRow,
    ) -> Result<Arc<DataKey>> {
        let audit = self.installation.audit_key(tx).await?;
        let key = keys.get(row.data_key)?;
        let newest = tx.newest_change(row.id).await?;
        let is_outdated = self.audit.highest_revision(row.id).is_some_and(|highest| row.revision < highest);
        let seen = if is_outdated { Err(Tampered) } else { Ok(()) };
        let checked =
            seen.and_then(|()| verify_entry(row, &key)).and_then(|()| verify_newest(row, newest.as_ref(), &audit));
        checked.map_err(Error::internal)?;
        Ok(key)
    }

    /// As [`Self::begin_change`], and refuses a DELETED entry with CONFLICT.
    async fn begin_write<'a>(
        &self,
        caller: &'a Caller,
        action: AuditAction,
        id: &str,
        expected_revision: Option<i32>,
    ) -> Result<Changing<'a, CanWrite>> {
        let changing = self.begin_change(caller, action, id, expected_revision).await?;
        changing.require_not_deleted()?;
        Ok(changing)
    }

    /// Creates an entry with its first version.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7.
    pub async fn create(&self, caller: &Caller, new: NewEntry) -> Result<Entry> {
        let project = id(ProjectId::parse(new.project), &["input", "projectId"])?;
        let action = AuditAction::EntryCreated;
        let event = caller.event(action, self.now()).in_project(&project);
        let granted = self.access.authorize::<CanWrite>(caller, event, &project).await?;
        let now = self.now();
        let name = values::name(new.name, self.reserved, &["input", "name"])?;
        let value = values::value(&new.value, new.category, now, &["input", "value"])?;
        if let Some(text) = &new.description {
            values::description(text, &["input", "description"])?;
        }
        if let Some(days) = new.rotation_interval_days {
            values::rotation_interval(days, &["input", "rotationIntervalDays"])?;
        }
        let expires_at = values::expiry(new.expires_at, value.not_after(), now, &["input", "expiresAt"])?;

        let mut change = granted.open(Needs::DataKeys).await?;
        let by = change.by.clone();
        let (tx, keys, open) = change.parts()?;
        let milestone = scope(tx, open, &project, new.milestone).await?;
        require_room(tx, &project, 1).await?;
        if !tx.entries_named(&project, milestone.as_ref(), &[name.as_str()]).await?.is_empty() {
            return Err(Error::Conflict(NAME_TAKEN.to_owned()));
        }
        let (data_key, key) = self.installation.key_for_sealing(tx, keys, 1).await?;
        let draft = Draft {
            milestone,
            name,
            description: new.description,
            category: new.category,
            expires_at,
            rotation_interval_days: new.rotation_interval_days,
        };
        let row = insert_entry(tx, &by, draft, &value, (&data_key, &key), caller.person()?, now).await?;
        open.put_entry(&row)?;
        self.audit.append(tx, &[caller.event(action, now).of_change(&row)]).await?;
        let entry = self.entry_in(tx, row.id).await?;
        change.save_listing().await?.commit().await?;
        Ok(entry)
    }

    /// Updates an entry's properties. An update that changes nothing leaves the revision as it is
    /// and records no event.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7.
    pub async fn update(&self, caller: &Caller, changes: EntryChanges) -> Result<Entry> {
        let mut changing =
            self.begin_write(caller, AuditAction::EntryUpdated, &changes.id, changes.expected_revision).await?;
        let now = changing.now;
        let row = &mut changing.row;
        let before =
            (row.name.clone(), row.description.clone(), row.category, row.expires_at, row.rotation_interval_days);
        match changes.name {
            Change::Keep => {}
            Change::Clear => {
                return Err(Error::invalid(
                    &["input", "name"],
                    "An entry must have a name; omit it to keep the present one.",
                ));
            }
            // An entry may keep a name that became reserved after the entry was created.
            Change::Set(name) if name == row.name => {}
            Change::Set(name) => {
                values::name(name, self.reserved, &["input", "name"])?.as_str().clone_into(&mut row.name);
            }
        }
        match changes.description {
            Change::Keep => {}
            Change::Clear => row.description = None,
            Change::Set(text) => {
                values::description(&text, &["input", "description"])?;
                row.description = Some(text);
            }
        }
        match changes.category {
            Change::Keep => {}
            Change::Clear => {
                return Err(Error::invalid(
                    &["input", "category"],
                    "An entry must have a category; omit it to keep the present one.",
                ));
            }
            Change::Set(category) => {
                let certificates = [category, row.category].iter().filter(|c| **c == Category::Certificate).count();
                if certificates == 1 {
                    return Err(Error::invalid(
                        &["input", "category"],
                        "The category does not change to or from CERTIFICATE; create another entry.",
                    ));
                }
                row.category = category;
            }
        }
        match changes.rotation_interval_days {
            Change::Keep => {}
            Change::Clear => row.rotation_interval_days = None,
            Change::Set(days) => {
                values::rotation_interval(days, &["input", "rotationIntervalDays"])?;
                row.rotation_interval_days = Some(days);
            }
        }
        let asked = match changes.expires_at {
            Change::Keep => None,
            Change::Clear => Some(None),
            // An instant in the past expires the entry now, unless it has expired already.
            Change::Set(at) if at <= now && row.expires_at.is_some_and(|ended| ended <= now) => None,
            Change::Set(at) => Some(Some(at.max(now))),
        };
        if let Some(asked) = asked {
            let version = changing.current_version().await?;
            changing.row.expires_at = values::earlier(asked, version.not_after);
        }
        let row = &changing.row;
        let renamed = before.0 != row.name;
        if before
            == (row.name.clone(), row.description.clone(), row.category, row.expires_at, row.rotation_interval_days)
        {
            return self.end_unchanged(changing).await;
        }
        if renamed {
            changing.require_name_free().await?;
        }
        self.save(changing).await
    }

    /// Gives an entry a new value.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7.
    pub async fn rotate(&self, caller: &Caller, rotation: Rotation) -> Result<Entry> {
        let mut changing =
            self.begin_write(caller, AuditAction::EntryRotated, &rotation.id, rotation.expected_revision).await?;
        let value = values::value(&rotation.value, changing.row.category, changing.now, &["input", "value"])?;
        changing.rotate(self, &value, rotation.expires_at, &["input", "expiresAt"]).await?;
        self.save(changing).await
    }

    /// Makes a new version with the value of an old one. The new version refers to the old
    /// ciphertext.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7.
    pub async fn roll_back(&self, caller: &Caller, rollback: Rollback) -> Result<Entry> {
        let mut changing =
            self.begin_write(caller, AuditAction::EntryRolledBack, &rollback.id, rollback.expected_revision).await?;
        if rollback.version == changing.row.current_version {
            return Err(Error::invalid(&["input", "version"], "This is the current version; name an older one."));
        }
        let old = changing
            .version(rollback.version)
            .await?
            .ok_or(Error::NotFound("There is no such version of this entry; the last 10 are kept."))?;
        let row = &mut changing.row;
        row.current_version += 1;
        row.expires_at = values::earlier(row.expires_at, old.not_after);
        let mut version = VersionRow {
            entry: row.id,
            version: row.current_version,
            ciphertext_version: old.ciphertext_version,
            restored_from: Some(old.version),
            not_after: old.not_after,
            created_at: changing.now,
            created_by: caller.person()?.clone(),
            mac: vec![],
        };
        sign_version(row, &mut version, &changing.key);
        changing.change.tx.insert_version(&changing.change.by, &changing.row, &version, None).await?;
        changing.prune().await?;
        self.save(changing).await
    }

    /// Commits a change with its event.
    pub(super) async fn save<P: ChangesEntries>(&self, mut changing: Changing<'_, P>) -> Result<Entry> {
        let event = changing.write().await?;
        let mut tx = changing.change.save_listing().await?;
        self.audit.append(&mut tx, &[event]).await?;
        // Read before the commit, so that a failed read cannot turn a committed change into an
        // error.
        let entry = self.entry_in(&mut tx, changing.row.id).await?;
        tx.commit().await?;
        Ok(entry)
    }

    /// Ends a change that changes nothing, and gives the entry. The rollback also undoes moving the
    /// entry to another data key.
    pub(super) async fn end_unchanged<P: ChangesEntries>(&self, mut changing: Changing<'_, P>) -> Result<Entry> {
        let entry = self.entry_in(&mut changing.change.tx, changing.row.id).await?;
        changing.change.tx.rollback().await?;
        Ok(entry)
    }

    async fn entry_in(&self, tx: &mut Tx, id: EntryId) -> Result<Entry> {
        let view = tx.entries_by_id(&[id]).await?.pop().ok_or(NO_SUCH_ENTRY)?;
        Ok(Entry::from_view(view, &mut ReadKeys::default(), self.now()))
    }
}

impl<P: ChangesEntries> Changing<'_, P> {
    pub(super) fn require_not_deleted(&self) -> Result<()> {
        if self.row.deleted_at.is_some() {
            return Err(Error::Conflict("This entry is deleted; restore it before you change it.".to_owned()));
        }
        Ok(())
    }

    pub(super) async fn require_name_free(&mut self) -> Result<()> {
        let row = &self.row;
        let named = self.change.tx.entries_named(&row.project, row.milestone.as_ref(), &[row.name.as_str()]).await?;
        if named.iter().any(|other| other.id != row.id) {
            return Err(Error::Conflict(NAME_TAKEN.to_owned()));
        }
        Ok(())
    }

    /// Verifies the row of the entry's milestone, if it has one.
    pub(super) async fn verify_milestone(&mut self) -> Result<()> {
        let Some(milestone) = &self.row.milestone else { return Ok(()) };
        let (tx, _, open) = self.change.parts()?;
        let row = tx.milestones_by_id(std::slice::from_ref(milestone)).await?.pop();
        open.verify_milestone(&row.ok_or_else(|| Error::internal("an entry's milestone has no row"))?)
    }

    /// Reads a version of the entry and verifies its MAC; `None` if there is no such version.
    async fn version(&mut self, version: i32) -> Result<Option<VersionRow>> {
        let Some(row) = self.change.tx.version_row(self.row.id, version).await? else { return Ok(None) };
        verify_version(&self.row, &row, &self.key).map_err(|error| {
            tracing::error!(entry = %self.row.id, "a version's row fails authentication; the entry is not changed");
            crate::vault::measures::count_unauthentic();
            Error::internal(error)
        })?;
        Ok(Some(row))
    }

    async fn current_version(&mut self) -> Result<VersionRow> {
        let version = self.row.current_version;
        self.version(version).await?.ok_or_else(|| Error::internal("an entry has no current version"))
    }

    /// Adds a version with a new value. The entry's row is changed in memory only; [`Self::write`]
    /// writes it.
    pub(super) async fn rotate(
        &mut self,
        entries: &Entries,
        value: &Value<'_>,
        expires_at: Change<Timestamp>,
        path: values::Path,
    ) -> Result<()> {
        self.require_encrypting_key(entries).await?;
        let row = &mut self.row;
        let has_end = value.not_after().is_some();
        let asked = match expires_at {
            Change::Keep if has_end => None,
            Change::Keep if status(row, self.now) == EntryStatus::Expired => return Err(Error::invalid(path, EXPIRED)),
            // The status of an expired entry may be DISABLED; it needs an expiry all the same.
            Change::Keep if row.expires_at.is_some_and(|at| at <= self.now) => {
                return Err(Error::invalid(path, EXPIRED));
            }
            Change::Keep => row.expires_at,
            Change::Clear => None,
            Change::Set(at) => Some(at),
        };
        row.expires_at = values::expiry(asked, value.not_after(), self.now, path)?;
        row.current_version += 1;
        let author = self.caller.person()?;
        insert_version(&mut self.change.tx, &self.change.by, row, value, &self.key, author, self.now).await?;
        self.prune().await
    }

    /// Counts the value to be sealed, and moves the entry to the project's encrypting data key.
    ///
    /// # Errors
    /// INTERNAL when the entry cannot be moved to it.
    async fn require_encrypting_key(&mut self, entries: &Entries) -> Result<()> {
        let by = Rekeying::from(&self.change.by);
        let (tx, keys, _) = self.change.parts()?;
        let (encrypting, _) = entries.installation.key_for_sealing(tx, keys, 1).await?;
        if self.row.data_key != encrypting.id {
            self.key = entries.follow_encrypting_key(tx, keys, &by, &mut self.row, self.key.clone()).await?;
        }
        if self.row.data_key == encrypting.id {
            Ok(())
        } else {
            Err(Error::internal("a version of an entry fails authentication; no value is sealed under an old data key"))
        }
    }

    async fn prune(&mut self) -> Result<()> {
        let oldest = self.row.current_version - KEPT_VERSIONS + 1;
        Ok(self.change.tx.prune_versions(&self.change.by, &self.row, oldest).await?)
    }

    /// Signs, writes and lists the row with the next revision, and gives the event to append.
    pub(super) async fn write(&mut self) -> Result<crate::store::records::EventRow> {
        self.row.revision += 1;
        self.row.updated_at = self.now;
        self.row.updated_by = self.caller.person()?.clone();
        sign_entry(&mut self.row, &self.key);
        self.change.tx.save_entry(&self.change.by, &self.row).await?;
        self.change.parts()?.2.put_entry(&self.row)?;
        Ok(self.caller.event(self.action, self.now).of_change(&self.row))
    }
}
