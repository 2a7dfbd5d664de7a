//! Lists of entries. The pages of many lists are read together, and so are their totals, since a
//! query may ask for the entries of every project on a list.

use super::Entries;
use super::reading::{Entry, ReadKeys};
use crate::domain::{
    Category, EntryId, EntryStatus, Error, MilestoneId, ProjectId, Result, Scope, SecretName, Timestamp,
};
use crate::permission::{Authorized, CanAdminister, CanList, CanViewMasked};
use crate::store::records::{EntryLists, EntryPage, EntrySelection, EntrySort, SortKey};
use crate::store::{Conn, Generation};
use crate::vault::cursor::{List, Page, not_of_this_list, page_size};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Maximum number of lists that one statement reads.
const LISTS: usize = 1_000;
/// The same, where each entry that can match is named in the statement, up to 1,000 of a project.
const LISTS_BY_ID: usize = 10;

const NO_USAGE: Error =
    Error::Forbidden("Your role in this project does not show what agents have used; leave neverResolved out.");

/// The entries that a list shows: those that meet every condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
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
    /// Entries due for rotation before this instant that are neither disabled nor deleted.
    pub rotation_due_before: Option<Timestamp>,
    /// Entries that no agent has received (true), or that one has (false). Only for callers with
    /// permission to see masked values.
    pub never_resolved: Option<bool>,
}

/// The property by which a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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

/// A list of entries that a caller may read: those of a project that match a filter. Only a proof
/// of permission makes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryList {
    project: ProjectId,
    /// The milestone that the filter names, as the caller wrote it.
    milestone: Option<String>,
    matching: Matching,
}

/// The conditions that a list may have in common with other lists, which one statement reads with
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Matching {
    /// The filter, without its milestone.
    filter: EntryFilter,
    /// Whether it names a milestone.
    of_milestone: bool,
    /// Whether DELETED entries may be in the list.
    deleted: bool,
}

impl Matching {
    /// Whether time or a resolve can change which entries match, beside changes of the project.
    const fn changes_by_itself(&self) -> bool {
        self.filter.statuses.is_some()
            || self.filter.expires_before.is_some()
            || self.filter.rotation_due_before.is_some()
            || self.filter.never_resolved.is_some()
    }
}

impl EntryList {
    /// The entries of a project that match a filter.
    fn new(viewer: &ListViewer, mut filter: EntryFilter) -> Result<Self> {
        let project = viewer.by.project().clone();
        let deleted = viewer.administers.as_ref().is_some_and(|by| *by.project() == project);
        let sees_usage = viewer.sees_masked.as_ref().is_some_and(|by| *by.project() == project);
        if filter.never_resolved.is_some() && !sees_usage {
            return Err(NO_USAGE);
        }
        let milestone = filter.milestone.take();
        let matching = Matching { filter, of_milestone: milestone.is_some(), deleted };
        Ok(Self { project, milestone, matching })
    }
}

/// What the viewer of a list may do in its project.
pub struct ListViewer {
    /// The proof of the permission to list entries.
    pub by: Authorized<CanList>,
    /// The proof of the permission to administer the project, without which no DELETED entry is in
    /// the list.
    pub administers: Option<Authorized<CanAdminister>>,
    /// The proof of the permission to see masked values, without which no list is by usage.
    pub sees_masked: Option<Authorized<CanViewMasked>>,
}

/// A page of a list of entries, which [`Entries::pages`] reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryListPage {
    /// The generation of the project's rows when the permission was decided.
    generation: Generation,
    list: EntryList,
    identity: List,
    range: Range,
}

/// The part of a list that is on a page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Range {
    order: EntryOrder,
    /// The sort key of the entry after which the page begins.
    after: Option<(SortKey, EntryId)>,
    size: i64,
}

impl EntryListPage {
    /// A page of a project's entries. The `generation` is that of the project's rows; until it
    /// changes, the page may come from memory.
    ///
    /// # Errors
    /// INVALID_INPUT for a page size out of bounds, or a cursor of another list; FORBIDDEN for a
    /// filter by usage that the viewer may not see.
    pub fn new(viewer: &ListViewer, generation: Generation, query: EntryQuery) -> Result<Self> {
        let EntryQuery { filter, order, first, after } = query;
        let size = page_size(first)?;
        let identity = List::of(&(viewer.by.project(), &filter, order));
        let by_name = order.field == OrderField::Name;
        let after = identity.key::<(String, i64, uuid::Uuid)>(after.as_deref())?.map(|(name, instant, id)| {
            let key = if by_name { SortKey::Name(name) } else { SortKey::Instant(instant) };
            (key, EntryId(id))
        });
        if let Some((SortKey::Name(name), _)) = &after
            && !SecretName::has_form(name)
        {
            return Err(not_of_this_list());
        }
        let list = EntryList::new(viewer, filter)?;
        Ok(Self { generation, list, identity, range: Range { order, after, size } })
    }

    /// Approximate size in memory, in bytes: a caller chooses the texts of a filter.
    pub(super) fn bytes(&self) -> usize {
        let EntryFilter { name_contains, categories, .. } = &self.list.matching.filter;
        let texts = [self.list.milestone.as_ref(), name_contains.as_ref()].into_iter().flatten().map(String::len);
        let after = match &self.range.after {
            Some((SortKey::Name(name), _)) => name.len(),
            _ => 0,
        };
        size_of::<Self>() + texts.sum::<usize>() + categories.as_ref().map_or(0, Vec::len) + after
    }

    /// The list that the page is of.
    #[must_use]
    pub const fn list(&self) -> &EntryList {
        &self.list
    }

    /// Makes the page from its entries, and the one after them if there is one.
    fn of(&self, entries: Vec<Entry>) -> Result<Page<Entry>> {
        let Range { order, after, size } = &self.range;
        let never = if order.descending { i64::MIN } else { i64::MAX };
        self.identity.page(entries, *size, after.is_some(), |entry: &Entry| {
            let (name, instant) = match order.field {
                OrderField::Name => (entry.name.clone(), 0),
                OrderField::CreatedAt => (String::new(), entry.created_at.millis()),
                OrderField::UpdatedAt => (String::new(), entry.updated_at.millis()),
                OrderField::ExpiresAt => (String::new(), entry.expires_at.map_or(never, Timestamp::millis)),
            };
            (name, instant, entry.id.0)
        })
    }
}

impl Range {
    /// As the store reads it: one entry more than the page has tells whether there is a next page.
    fn to_read(&self) -> EntryPage {
        let sort = match self.order.field {
            OrderField::Name => EntrySort::Name,
            OrderField::CreatedAt => EntrySort::CreatedAt,
            OrderField::UpdatedAt => EntrySort::UpdatedAt,
            OrderField::ExpiresAt => EntrySort::ExpiresAt,
        };
        EntryPage { sort, descending: self.order.descending, after: self.after.clone(), limit: self.size + 1 }
    }
}

/// What identifies a list among those that one statement reads.
type Place = (ProjectId, Option<MilestoneId>);

/// What one statement reads.
struct Batch {
    projects: Vec<ProjectId>,
    milestones: Option<Vec<MilestoneId>>,
    selection: EntrySelection,
}

impl Batch {
    fn lists(&self) -> EntryLists<'_> {
        EntryLists { projects: &self.projects, milestones: self.milestones.as_deref() }
    }
}

impl Entries {
    /// Pages of lists. Those with the same filter, order and place of the page are read in one
    /// statement; a filter by the names that sessions receive needs three more. Pages that were
    /// read before and have not changed come from memory.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn pages(&self, asked: &[EntryListPage]) -> Result<HashMap<EntryListPage, Page<Entry>>> {
        let now = self.now();
        let kept = |page: &EntryListPage| Some((page.clone(), self.remembered.get(page, now)?));
        let mut pages: HashMap<_, _> = asked.iter().filter_map(kept).collect();
        let others: Vec<_> = asked.iter().filter(|page| !pages.contains_key(*page)).cloned().collect();
        if !others.is_empty() {
            let read = self.read_pages(&others, now).await?;
            for (page, read) in read.iter().filter(|(page, _)| !page.list.matching.changes_by_itself()) {
                self.remembered.keep(page, read);
            }
            pages.extend(read);
        }
        Ok(pages)
    }

    async fn read_pages(&self, asked: &[EntryListPage], now: Timestamp) -> Result<HashMap<EntryListPage, Page<Entry>>> {
        let mut conn = self.store.conn().await?;
        let mut pages = HashMap::with_capacity(asked.len());
        for ((matching, range), asked) in grouped(asked, |page| (&page.list.matching, &page.range)) {
            let mut found: HashMap<Place, Vec<Entry>> = HashMap::new();
            let lists: Vec<&EntryList> = asked.iter().map(|page| &page.list).collect();
            let mut keys = ReadKeys::default();
            for batch in self.batches(&mut conn, matching, &lists, now).await? {
                for view in conn.entry_pages(batch.lists(), &batch.selection, &range.to_read()).await? {
                    let entry = Entry::from_view(view, &mut keys, now);
                    let milestone = entry.milestone.clone().filter(|_| matching.of_milestone);
                    found.entry((entry.project.clone(), milestone)).or_default().push(entry);
                }
            }
            for page in asked {
                let entries = page.list.place().and_then(|place| found.remove(&place)).unwrap_or_default();
                pages.insert(page.clone(), page.of(entries)?);
            }
        }
        Ok(pages)
    }

    /// The number of entries in each list. Lists with the same filter are counted in one statement;
    /// a filter by the names that sessions receive needs three more.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn totals(&self, asked: &[EntryList]) -> Result<HashMap<EntryList, i64>> {
        let now = self.now();
        let mut conn = self.store.conn().await?;
        let mut totals = HashMap::with_capacity(asked.len());
        for (matching, lists) in grouped(asked, |list| &list.matching) {
            let mut found: HashMap<Place, i64> = HashMap::new();
            for batch in self.batches(&mut conn, matching, &lists, now).await? {
                for (project, milestone, count) in conn.count_entries(batch.lists(), &batch.selection).await? {
                    found.insert((project, milestone), count);
                }
            }
            let total = |list: &EntryList| list.place().and_then(|place| found.get(&place).copied());
            totals.extend(lists.into_iter().map(|list| (list.clone(), total(list).unwrap_or(0))));
        }
        Ok(totals)
    }

    /// The statements that read lists with these conditions; none if nothing can match.
    async fn batches(
        &self,
        conn: &mut Conn,
        matching: &Matching,
        lists: &[&EntryList],
        now: Timestamp,
    ) -> Result<Vec<Batch>> {
        let Some(mut selection) = selection(&matching.filter, matching.deleted, now) else { return Ok(Vec::new()) };
        let places: Vec<Place> = lists.iter().filter_map(|list| list.place()).collect();
        let by_session = match matching.filter.left_out_of_sessions {
            Some(left_out) => {
                selection.statuses.retain(|status| *status != EntryStatus::Deleted);
                let projects = distinct(places.iter().map(|(project, _)| project));
                Some(self.entries_by_session(conn, &projects, left_out).await?)
            }
            None => None,
        };
        let most = if by_session.is_some() { LISTS_BY_ID } else { LISTS };
        let batch = |places: &[Place]| {
            let projects = distinct(places.iter().map(|(project, _)| project));
            let milestones = distinct(places.iter().filter_map(|(_, milestone)| milestone.as_ref()));
            let ids = by_session
                .as_ref()
                .map(|ids| projects.iter().filter_map(|project| ids.get(project)).flatten().copied().collect());
            let selection = EntrySelection { ids, ..selection.clone() };
            Batch { projects, milestones: matching.of_milestone.then_some(milestones), selection }
        };
        Ok(places.chunks(most).map(batch).collect())
    }
}

impl EntryList {
    /// Its project, and its milestone if the filter names one; `None` if no milestone can have that
    /// id.
    fn place(&self) -> Option<Place> {
        let milestone = match &self.milestone {
            Some(text) => Some(MilestoneId::parse(text.as_str()).ok()?),
            None => None,
        };
        Some((self.project.clone(), milestone))
    }
}

/// Groups items by what they have in common, each item once.
fn grouped<'a, T: Eq + Hash, K: Eq + Hash>(items: &'a [T], key: impl Fn(&'a T) -> K) -> HashMap<K, Vec<&'a T>> {
    let mut groups: HashMap<K, Vec<&'a T>> = HashMap::new();
    for item in items.iter().collect::<HashSet<_>>() {
        groups.entry(key(item)).or_default().push(item);
    }
    groups
}

fn distinct<'a, T: Clone + Eq + Hash + 'a>(items: impl Iterator<Item = &'a T>) -> Vec<T> {
    items.collect::<HashSet<_>>().into_iter().cloned().collect()
}

/// Whether a valid name can contain this part.
fn may_be_in_a_name(part: &str) -> bool {
    part.is_empty() || SecretName::has_form(&format!("_{part}")) || SecretName::has_form(part)
}

/// The selection for a filter, without its milestone and the names that sessions receive; `None` if
/// the filter can match nothing.
fn selection(filter: &EntryFilter, deleted: bool, now: Timestamp) -> Option<EntrySelection> {
    let default = [EntryStatus::Active, EntryStatus::Expired, EntryStatus::Disabled];
    let mut statuses = filter.statuses.clone().unwrap_or_else(|| default.to_vec());
    statuses.retain(|status| deleted || *status != EntryStatus::Deleted);
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
        ids: None,
        statuses,
        expires_before: filter.expires_before,
        rotation_due_before: filter.rotation_due_before,
        never_resolved: filter.never_resolved,
        now: Some(now),
    })
}
