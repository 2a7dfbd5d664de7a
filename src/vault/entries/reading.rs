//! Reading entries for people: by id, by name, with masked values.

use super::Entries;
use crate::crypto::{Certificate, CiphertextContext, DataKey, HIDDEN, mask, shown};
use crate::domain::{
    Category, DataKeyId, EntryId, EntryStatus, Error, MilestoneId, ProjectId, Result, Scope, SecretName, Timestamp,
    UserId,
};
use crate::permission::{Authorized, CanList, CanViewMasked, Permission};
use crate::store::records::{DataKeyRow, EntryRow, EntryView, UsageRow, VersionView};
use crate::vault::cursor::{List, Page, page_size};
use crate::vault::measures;
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What the ids and keys of an entry take beside it, in bytes.
const ID_BYTES: usize = 512;

/// How agents have used an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of times that agents received its value.
    pub count: i64,
    /// When an agent last received it.
    pub last: Option<Timestamp>,
}

/// A data key that was read with hints, and opened for the first one that is shown.
struct ReadKey {
    row: DataKeyRow,
    opened: OnceCell<Arc<DataKey>>,
}

/// The data keys of the rows that one statement read. Rows under one key share it.
#[derive(Default)]
pub(in crate::vault) struct ReadKeys(HashMap<DataKeyId, Arc<ReadKey>>);

impl ReadKeys {
    fn share(&mut self, row: &DataKeyRow) -> Arc<ReadKey> {
        let made = || Arc::new(ReadKey { row: row.clone(), opened: OnceCell::new() });
        self.0.entry(row.id).or_insert_with(made).clone()
    }
}

impl From<&UsageRow> for Usage {
    fn from(row: &UsageRow) -> Self {
        Self { count: row.count, last: row.last }
    }
}

/// What is stored of an entry, except its value and how agents have used it. The hint needs
/// permission to see masked values, everything else permission to list the project's entries.
pub struct EntryFacts {
    /// Its id.
    pub id: EntryId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The milestone it is scoped to; `None` for the whole project.
    pub milestone: Option<MilestoneId>,
    /// Its name.
    pub name: String,
    /// A description for people.
    pub description: Option<String>,
    /// Its category.
    pub category: Category,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The version agents receive.
    pub version: i32,
    /// When that version was created.
    pub version_created_at: Timestamp,
    /// The revision, which grows with every change.
    pub revision: i32,
    /// The rotation interval, in days.
    pub rotation_interval_days: Option<i32>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The person who created it.
    pub created_by: UserId,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The person who last changed it.
    pub updated_by: UserId,
    disabled: bool,
    deleted: bool,
    ciphertext_version: i32,
    sealed_hint: Vec<u8>,
    data_key: DataKeyRow,
}

/// An entry as it is at one time. Cheap to clone.
#[derive(Clone)]
pub struct Entry {
    facts: Arc<EntryFacts>,
    /// Its status at the time it was read.
    pub status: EntryStatus,
    /// How agents have used it, if that was read with it. Only for callers with permission to see
    /// masked values.
    pub usage: Option<Usage>,
    data_key: Arc<ReadKey>,
}

impl Deref for Entry {
    type Target = EntryFacts;

    fn deref(&self) -> &EntryFacts {
        &self.facts
    }
}

/// The part of a value that people may see, still encrypted.
#[derive(Clone, Copy)]
pub struct SealedHint<'a> {
    project: &'a ProjectId,
    entry: EntryId,
    ciphertext_version: i32,
    sealed: &'a [u8],
    data_key: &'a ReadKey,
}

impl From<EntryView> for EntryFacts {
    fn from(view: EntryView) -> Self {
        let EntryView { entry: row, version, hint, data_key, usage: _ } = view;
        Self {
            id: row.id,
            project: row.project,
            milestone: row.milestone,
            name: row.name,
            description: row.description,
            category: row.category,
            expires_at: row.expires_at,
            version: row.current_version,
            version_created_at: version.created_at,
            revision: row.revision,
            rotation_interval_days: row.rotation_interval_days,
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            updated_by: row.updated_by,
            disabled: row.disabled,
            deleted: row.deleted_at.is_some(),
            ciphertext_version: version.ciphertext_version,
            sealed_hint: hint,
            data_key,
        }
    }
}

impl EntryFacts {
    /// Approximate size in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let texts = [self.description.as_ref(), Some(&self.name)].into_iter().flatten().map(String::len);
        size_of::<Self>() + texts.sum::<usize>() + self.sealed_hint.len() + ID_BYTES
    }

    /// Whether it is scoped to the project or to a milestone.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        if self.milestone.is_some() { Scope::Milestone } else { Scope::Project }
    }

    /// When its value should be replaced: the creation of its version plus the interval. `None`
    /// without an interval.
    #[must_use]
    pub fn rotation_due_at(&self) -> Option<Timestamp> {
        let days = u32::try_from(self.rotation_interval_days?).ok()?;
        Some(self.version_created_at.plus(DAY * days))
    }
}

impl Entry {
    pub(in crate::vault) fn from_view(view: EntryView, keys: &mut ReadKeys, now: Timestamp) -> Self {
        let usage = view.usage.as_ref().map_or_else(Usage::default, Usage::from);
        Self { usage: Some(usage), ..Self::at(Arc::new(view.into()), keys, now) }
    }

    /// The entry as it is now, if its facts are current.
    pub(super) fn at(facts: Arc<EntryFacts>, keys: &mut ReadKeys, now: Timestamp) -> Self {
        let status = EntryStatus::of(facts.deleted, facts.disabled, facts.expires_at, now);
        let data_key = keys.share(&facts.data_key);
        Self { facts, status, usage: None, data_key }
    }

    /// What is stored of it.
    pub(super) fn facts(&self) -> Arc<EntryFacts> {
        self.facts.clone()
    }

    /// The part of its value that people may see, still encrypted.
    #[must_use]
    pub fn hint(&self) -> SealedHint<'_> {
        SealedHint {
            project: &self.project,
            entry: self.id,
            ciphertext_version: self.ciphertext_version,
            sealed: &self.sealed_hint,
            data_key: &self.data_key,
        }
    }

    /// The permission needed to see the entry. Callers without it get the answer for a missing
    /// entry; only Accountable people see a DELETED entry.
    #[must_use]
    pub fn permission_to_see(&self) -> Permission {
        if self.status == EntryStatus::Deleted { Permission::CanAdminister } else { Permission::CanList }
    }
}

pub(in crate::vault) fn status(row: &EntryRow, now: Timestamp) -> EntryStatus {
    EntryStatus::of(row.deleted_at.is_some(), row.disabled, row.expires_at, now)
}

/// A version of an entry's value.
#[derive(Clone)]
pub struct Version {
    /// Its number.
    pub version: i32,
    /// When it was created.
    pub created_at: Timestamp,
    /// The person who created it.
    pub created_by: UserId,
    /// The version whose value a rollback restored here; `None` for a version with a value of its
    /// own.
    pub restored_from: Option<i32>,
    project: ProjectId,
    entry: EntryId,
    of_ciphertext: i32,
    sealed_hint: Vec<u8>,
    data_key: Arc<ReadKey>,
}

impl Version {
    /// The part of its value that people may see, still encrypted.
    #[must_use]
    pub fn hint(&self) -> SealedHint<'_> {
        SealedHint {
            project: &self.project,
            entry: self.entry,
            ciphertext_version: self.of_ciphertext,
            sealed: &self.sealed_hint,
            data_key: &self.data_key,
        }
    }
}

impl Entries {
    /// Entries by id; missing ones are absent. Checks no permission: the caller must not show an
    /// entry without [`Entry::permission_to_see`].
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn by_id(&self, ids: &[EntryId]) -> Result<HashMap<EntryId, Entry>> {
        let now = self.now();
        let views = self.store.reader().await?.entries_by_id(ids).await?;
        let mut keys = ReadKeys::default();
        Ok(views.into_iter().map(|view| (view.entry.id, Entry::from_view(view, &mut keys, now))).collect())
    }

    /// The entry with a name, scoped to the project or to a milestone; `None` if there is none or
    /// it is deleted.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn by_name(
        &self,
        by: &Authorized<CanList>,
        name: &str,
        milestone: Option<&str>,
    ) -> Result<Option<Entry>> {
        // No entry has an invalid name, and no milestone an invalid id.
        if !SecretName::has_form(name) {
            return Ok(None);
        }
        let milestone = match milestone.map(MilestoneId::parse) {
            Some(Ok(milestone)) => Some(milestone),
            Some(Err(_)) => return Ok(None),
            None => None,
        };
        let view = self.store.reader().await?.entry_named(by.project(), milestone.as_ref(), name).await?;
        Ok(view.map(|view| Entry::from_view(view, &mut ReadKeys::default(), self.now())))
    }

    /// The versions of entries, newest first. Checks no permission: the caller must show them only
    /// with permission to see masked values.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn versions_of(&self, ids: &[EntryId]) -> Result<HashMap<EntryId, Vec<Version>>> {
        let mut found: HashMap<EntryId, Vec<Version>> = HashMap::new();
        let mut keys = ReadKeys::default();
        for view in self.store.reader().await?.versions_of(ids).await? {
            let VersionView { version: row, hint, project, data_key } = view;
            found.entry(row.entry).or_default().push(Version {
                version: row.version,
                created_at: row.created_at,
                created_by: row.created_by,
                restored_from: row.restored_from,
                project,
                entry: row.entry,
                of_ciphertext: row.ciphertext_version,
                sealed_hint: hint,
                data_key: keys.share(&data_key),
            });
        }
        Ok(found)
    }

    /// How agents have used entries; those that none has used are absent. Checks no permission: the
    /// caller must show it only with permission to see masked values.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn usage_of(&self, ids: &[EntryId]) -> Result<HashMap<EntryId, Usage>> {
        let rows = self.store.reader().await?.usage_of(ids).await?;
        Ok(rows.iter().map(|row| (row.entry, row.into())).collect())
    }

    /// Opens a hint and gives the masked value, by the entry's present category.
    ///
    /// # Errors
    /// INTERNAL when the hint fails authentication, or belongs to another project than the proof
    /// `by`; UNAVAILABLE when the provider of the master keys does not answer.
    pub async fn masked(
        &self,
        by: &Authorized<CanViewMasked>,
        hint: SealedHint<'_>,
        category: Category,
    ) -> Result<String> {
        Ok(shown(&self.open_hint(by.project(), hint).await?.masked, category))
    }

    /// The properties of a certificate; `None` for other categories.
    ///
    /// # Errors
    /// As [`Self::masked`].
    pub async fn certificate(&self, by: &Authorized<CanList>, entry: &Entry) -> Result<Option<Certificate>> {
        if entry.category != Category::Certificate {
            return Ok(None);
        }
        Ok(self.open_hint(by.project(), entry.hint()).await?.certificate)
    }

    async fn open_hint(&self, checked: &ProjectId, hint: SealedHint<'_>) -> Result<crate::crypto::Hint> {
        if hint.project != checked {
            return Err(Error::internal("a hint was about to be shown under another project's permission"));
        }
        let ReadKey { row, opened } = hint.data_key;
        let key = opened.get_or_try_init(|| self.installation.open_key(hint.project, row)).await?;
        let place = CiphertextContext {
            project: hint.project,
            entry: hint.entry,
            version: hint.ciphertext_version,
            data_key: row.id,
        };
        key.open_hint(&place, hint.sealed).map_err(|error| {
            tracing::error!(entry = %hint.entry, "a hint fails authentication");
            measures::count_unauthentic();
            Error::internal(error)
        })
    }

    /// Whether a text has the mask that people see of an entry's value. Where they see nothing of
    /// the value, no text has.
    ///
    /// # Errors
    /// As [`Self::masked`].
    pub(super) async fn has_shown_mask(&self, project: &ProjectId, entry: &Entry, text: &SecretString) -> Result<bool> {
        let masked = shown(&self.open_hint(project, entry.hint()).await?.masked, entry.category);
        Ok(masked != HIDDEN && masked == mask(text.expose_secret(), entry.category))
    }
}

/// A page of an entry's versions, newest first.
///
/// # Errors
/// INVALID_INPUT for a page size out of bounds, or a cursor of another list.
pub fn page_versions(
    entry: EntryId,
    versions: &[Version],
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Page<Version>> {
    let size = page_size(first)?;
    let list = List::of(&("versions", entry));
    let after = list.key::<i32>(after)?;
    let limit = usize::try_from(size + 1).unwrap_or(usize::MAX);
    let found =
        versions.iter().filter(|version| after.is_none_or(|after| version.version < after)).take(limit).cloned();
    list.page(found.collect(), size, after.is_some(), |version| version.version)
}
