//! Reading entries for people: by id, by name, in lists, with masked values.

use super::Entries;
use crate::crypto::{Certificate, CiphertextContext, shown};
use crate::domain::{
    Category, EntryId, EntryStatus, Error, MilestoneId, ProjectId, Result, Scope, SecretName, Timestamp, UserId,
};
use crate::permission::{Authorized, CanAdminister, CanList, CanViewMasked, Permission};
use crate::store::records::{
    DataKeyRow, EntryPage, EntryRow, EntrySelection, EntrySort, EntryView, SortKey, VersionView,
};
use crate::vault::cursor::{List, Page, not_of_this_list, page_size};
use std::collections::HashMap;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How agents have used an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Number of times that agents received its value.
    pub count: i64,
    /// When an agent last received it.
    pub last: Option<Timestamp>,
}

/// The part of a value that people may see, still encrypted.
#[derive(Clone)]
pub struct SealedHint {
    project: ProjectId,
    entry: EntryId,
    ciphertext_version: i32,
    sealed: Vec<u8>,
    data_key: DataKeyRow,
}

/// An entry, without its value. For callers with permission to list the project's entries; hint and
/// usage need permission to see masked values.
#[derive(Clone)]
pub struct Entry {
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
    /// Its status at the time it was read.
    pub status: EntryStatus,
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
    /// How agents have used it. Only for callers with permission to see masked values.
    pub usage: Usage,
    /// The part of its value that people may see, still encrypted.
    pub hint: SealedHint,
}

impl Entry {
    pub(in crate::vault) fn from_view(view: EntryView, now: Timestamp) -> Self {
        let EntryView { entry: row, version, hint, data_key, usage } = view;
        Self {
            status: status(&row, now),
            id: row.id,
            hint: SealedHint {
                project: row.project.clone(),
                entry: row.id,
                ciphertext_version: version.ciphertext_version,
                sealed: hint,
                data_key,
            },
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
            usage: usage.map_or(Usage { count: 0, last: None }, |row| Usage { count: row.count, last: row.last }),
        }
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

/// The entries that a list shows: those that meet every condition.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// A literal part of the name, compared without regard to case.
    pub name_contains: Option<String>,
    /// Entries of these categories; an empty list matches nothing.
    pub categories: Option<Vec<Category>>,
    /// Entries scoped to the project, or to milestones.
    pub scope: Option<Scope>,
    /// Entries scoped to this milestone.
    pub milestone: Option<String>,
    /// Entries with these statuses; by default ACTIVE, EXPIRED and DISABLED.
    pub statuses: Option<Vec<EntryStatus>>,
    /// Entries that expire before this instant and are neither disabled nor deleted.
    pub expires_before: Option<Timestamp>,
    /// Entries, not deleted, whose names sessions do not receive (true) or do receive (false).
    pub left_out_of_sessions: Option<bool>,
}

/// The property by which a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderField {
    /// The name, by byte.
    #[default]
    Name,
    /// The time of creation.
    CreatedAt,
    /// The time of the last change.
    UpdatedAt,
    /// The expiry; entries without one come last in either direction.
    ExpiresAt,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryOrder {
    /// The property.
    pub field: OrderField,
    /// Descending order.
    pub descending: bool,
}

/// The page of a list of entries to read.
#[derive(Debug, Clone, Default)]
pub struct EntryQuery {
    /// The entries of the list.
    pub filter: EntryFilter,
    /// Their order.
    pub order: EntryOrder,
    /// Page size: 0 to 100, by default 50.
    pub first: Option<i32>,
    /// The cursor after which the page starts.
    pub after: Option<String>,
}

/// A version of an entry's value.
#[derive(Clone)]
pub struct Version {
    /// Its number.
    pub version: i32,
    /// The part of its value that people may see, still encrypted.
    pub hint: SealedHint,
    /// When it was created.
    pub created_at: Timestamp,
    /// The person who created it.
    pub created_by: UserId,
    /// The version whose value a rollback restored here; `None` for a version with a value of its
    /// own.
    pub restored_from: Option<i32>,
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
        Ok(views.into_iter().map(|view| (view.entry.id, Entry::from_view(view, now))).collect())
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
        Ok(view.map(|view| Entry::from_view(view, self.now())))
    }

    /// A page of a project's entries. DELETED ones are included only with the proof `deleted`.
    ///
    /// # Errors
    /// INVALID_INPUT for a page size out of bounds, or a cursor of another list.
    pub async fn list(
        &self,
        by: &Authorized<CanList>,
        deleted: Option<&Authorized<CanAdminister>>,
        query: &EntryQuery,
    ) -> Result<Page<Entry>> {
        let size = page_size(query.first)?;
        let list = List::of(&(by.project(), &query.filter, query.order));
        let sort = match query.order.field {
            OrderField::Name => EntrySort::Name,
            OrderField::CreatedAt => EntrySort::CreatedAt,
            OrderField::UpdatedAt => EntrySort::UpdatedAt,
            OrderField::ExpiresAt => EntrySort::ExpiresAt,
        };
        let after = list.key::<(String, i64, uuid::Uuid)>(query.after.as_deref())?.map(|(name, instant, id)| {
            let key = if sort == EntrySort::Name { SortKey::Name(name) } else { SortKey::Instant(instant) };
            (key, EntryId(id))
        });
        if let Some((SortKey::Name(name), _)) = &after
            && !SecretName::has_form(name)
        {
            return Err(not_of_this_list());
        }
        let now = self.now();
        let Some(selection) = self.selection(by, &query.filter, deleted.is_some(), now).await? else {
            return list.page(Vec::new(), size, false, |_: &Entry| ());
        };
        let has_previous = after.is_some();
        let page = EntryPage { sort, descending: query.order.descending, after, limit: size + 1 };
        let views = self.store.reader().await?.entries_page(by.project(), &selection, &page).await?;
        let entries = views.into_iter().map(|view| Entry::from_view(view, now)).collect();
        let never = if query.order.descending { i64::MIN } else { i64::MAX };
        list.page(entries, size, has_previous, |entry: &Entry| {
            let instant = match sort {
                EntrySort::Name => 0,
                EntrySort::CreatedAt => entry.created_at.millis(),
                EntrySort::UpdatedAt => entry.updated_at.millis(),
                EntrySort::ExpiresAt => entry.expires_at.map_or(never, Timestamp::millis),
            };
            let name = if sort == EntrySort::Name { entry.name.clone() } else { String::new() };
            (name, instant, entry.id.0)
        })
    }

    /// Number of entries that match a filter. DELETED ones are counted only with the proof
    /// `deleted`.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn count(
        &self,
        by: &Authorized<CanList>,
        deleted: Option<&Authorized<CanAdminister>>,
        filter: &EntryFilter,
    ) -> Result<i64> {
        match self.selection(by, filter, deleted.is_some(), self.now()).await? {
            Some(selection) => Ok(self.store.reader().await?.count_entries(by.project(), &selection).await?),
            None => Ok(0),
        }
    }

    /// As [`selection`], with the filter by names that sessions receive.
    async fn selection(
        &self,
        by: &Authorized<CanList>,
        filter: &EntryFilter,
        deleted: bool,
        now: Timestamp,
    ) -> Result<Option<EntrySelection>> {
        let Some(mut selection) = selection(filter, deleted, now) else { return Ok(None) };
        if let Some(left_out) = filter.left_out_of_sessions {
            selection.statuses.retain(|status| *status != EntryStatus::Deleted);
            selection.names = Some(self.names_by_session(by, left_out).await?);
        }
        Ok(Some(selection))
    }

    /// The versions of entries, newest first. Checks no permission: the caller must show them only
    /// with permission to see masked values.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn versions_of(&self, ids: &[EntryId]) -> Result<HashMap<EntryId, Vec<Version>>> {
        let mut found: HashMap<EntryId, Vec<Version>> = HashMap::new();
        for view in self.store.reader().await?.versions_of(ids).await? {
            let VersionView { version: row, hint, project, data_key } = view;
            found.entry(row.entry).or_default().push(Version {
                version: row.version,
                hint: SealedHint {
                    project,
                    entry: row.entry,
                    ciphertext_version: row.ciphertext_version,
                    sealed: hint,
                    data_key,
                },
                created_at: row.created_at,
                created_by: row.created_by,
                restored_from: row.restored_from,
            });
        }
        Ok(found)
    }

    /// Opens a hint and gives the masked value, by the entry's present category.
    ///
    /// # Errors
    /// INTERNAL when the hint fails authentication, or belongs to another project than the proof
    /// `by`; UNAVAILABLE when the provider of the master keys does not answer.
    pub async fn masked(
        &self,
        by: &Authorized<CanViewMasked>,
        hint: &SealedHint,
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
        Ok(self.open_hint(by.project(), &entry.hint).await?.certificate)
    }

    async fn open_hint(&self, checked: &ProjectId, hint: &SealedHint) -> Result<crate::crypto::Hint> {
        if hint.project != *checked {
            return Err(Error::internal("a hint was about to be shown under another project's permission"));
        }
        let key = self.installation.open_key(&hint.project, &hint.data_key).await?;
        let place = CiphertextContext {
            project: &hint.project,
            entry: hint.entry,
            version: hint.ciphertext_version,
            data_key: hint.data_key.id,
        };
        key.open_hint(&place, &hint.sealed).map_err(|error| {
            tracing::error!(entry = %hint.entry, "a hint fails authentication");
            Error::internal(error)
        })
    }
}

/// Whether a valid name can contain this part.
fn may_be_in_a_name(part: &str) -> bool {
    part.is_empty() || SecretName::has_form(&format!("_{part}")) || SecretName::has_form(part)
}

/// The selection for a filter; `None` if the filter can match nothing.
fn selection(filter: &EntryFilter, deleted: bool, now: Timestamp) -> Option<EntrySelection> {
    let default = [EntryStatus::Active, EntryStatus::Expired, EntryStatus::Disabled];
    let mut statuses = filter.statuses.clone().unwrap_or_else(|| default.to_vec());
    statuses.retain(|status| deleted || *status != EntryStatus::Deleted);
    let milestone = match &filter.milestone {
        Some(text) => Some(MilestoneId::parse(text.as_str()).ok()?),
        None => None,
    };
    let mut categories = filter.categories.clone();
    if let Some(categories) = &mut categories {
        categories.sort_unstable();
        categories.dedup();
    }
    let nothing = statuses.is_empty()
        || categories.as_ref().is_some_and(Vec::is_empty)
        || filter.name_contains.as_deref().is_some_and(|part| !may_be_in_a_name(part));
    (!nothing).then(|| EntrySelection {
        name_contains: filter.name_contains.clone(),
        categories,
        of_project: filter.scope.map(|scope| scope == Scope::Project),
        milestone,
        names: None,
        statuses,
        expires_before: filter.expires_before,
        now: Some(now),
    })
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
