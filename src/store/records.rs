//! Rows in the domain's types, which the queries take and return. They hold ciphertext, never
//! plaintext.

use crate::domain::{
    AuditAction, AuditOutcome, Category, ChainId, DataKeyId, EntryId, EventId, MilestoneId, ProjectId, Purpose, Role,
    Timestamp, UserId,
};
use diesel::Queryable;
use std::sync::Arc;

mod keys;
mod notices;
mod projects;
mod usage;
pub use keys::{DataKeyRow, DataKeyTotals, InstallationKeyRow, ReplacedKeyRow, SettingRow};
pub use notices::{DueEntry, NoticeRow};
pub use projects::{LiveEntryRow, MilestoneRow, ProjectRow, ProjectState};
pub use usage::{UsageRow, Uses};

/// A row of `entries`.
#[derive(Clone, Queryable)]
pub struct EntryRow {
    /// Its id.
    pub id: EntryId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The milestone it belongs to; `None` for the whole project.
    pub milestone: Option<MilestoneId>,
    /// Its name.
    pub name: String,
    /// People's notes about it.
    pub description: Option<String>,
    /// The kind of credential.
    pub category: Category,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Whether a person disabled it.
    pub disabled: bool,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// The version agents receive.
    pub current_version: i32,
    /// Grows with every change.
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
    /// The data key of its MAC, its versions' MACs and their ciphertexts.
    pub data_key: DataKeyId,
    /// Authenticates the facts of the row.
    pub mac: Vec<u8>,
}

/// A row of `versions`.
#[derive(Clone, Queryable)]
pub struct VersionRow {
    /// The entry it belongs to.
    pub entry: EntryId,
    /// Its number, from 1.
    pub version: i32,
    /// The version its ciphertext was written for.
    pub ciphertext_version: i32,
    /// The version whose value a rollback brought back.
    pub restored_from: Option<i32>,
    /// When the value expires, if it is a certificate.
    pub not_after: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The person who created it.
    pub created_by: UserId,
    /// Authenticates the row.
    pub mac: Vec<u8>,
}

/// A row of `ciphertexts`.
#[derive(Queryable)]
pub struct CiphertextRow {
    /// The entry it belongs to.
    pub entry: EntryId,
    /// The version it was written for.
    pub version: i32,
    /// The data key that opens it.
    pub data_key: DataKeyId,
    /// The sealed value.
    pub value: Vec<u8>,
    /// The sealed hint.
    pub hint: Vec<u8>,
}

/// What people see of an entry's current version.
#[derive(Clone, Copy, Queryable)]
pub struct CurrentVersion {
    /// The version its ciphertext was written for.
    pub ciphertext_version: i32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An entry with its current version, as people see it.
#[derive(Clone, Queryable)]
pub struct EntryView {
    /// The entry.
    pub entry: EntryRow,
    /// Its current version.
    pub version: CurrentVersion,
    /// That version's sealed hint.
    pub hint: Vec<u8>,
    /// The data key that opens it.
    pub data_key: DataKeyRow,
    /// Its use by agents; `None` if none was counted.
    pub usage: Option<UsageRow>,
}

/// A version with its sealed hint.
#[derive(Clone, Queryable)]
pub struct VersionView {
    /// The version.
    pub version: VersionRow,
    /// Its sealed hint.
    pub hint: Vec<u8>,
    /// The project, which the ciphertext is bound to.
    pub project: ProjectId,
    /// The data key that opens it.
    pub data_key: DataKeyRow,
}

/// An entry that an agent may receive, judging by the database alone.
pub struct CandidateRow {
    /// The entry.
    pub entry: EntryRow,
    /// Its current version.
    pub version: VersionRow,
    /// The data key the ciphertext names.
    pub ciphertext_data_key: DataKeyId,
    /// The size of the sealed value, in bytes.
    pub size: i32,
    /// The sealed value, if the row says that it may be released.
    pub value: Option<Vec<u8>>,
    /// The data key of the entry.
    pub data_key: DataKeyRow,
    /// The event of the change that made the row's revision.
    pub change: ChainedEvent,
    /// The highest revision that an event of the entry names.
    pub newest_revision: i32,
    /// Whether the project approves the entry's name for sessions.
    pub approved: bool,
}

/// Which values are read with the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Those of the entries that are not disabled and expire after this instant.
    ExpiringAfter(Timestamp),
    /// None.
    None,
}

/// Everything a resolve reads, from one statement.
pub struct Candidates {
    /// The project; `None` if it has no vault.
    pub project: Option<ProjectRow>,
    /// What the project's MAC covers, and the MAC; `None` if it has no vault, or once it was
    /// checked.
    pub state: Option<Box<ProjectState>>,
    /// The requested milestone; `None` if it is not this project's.
    pub milestone: Option<MilestoneRow>,
    /// The project's entries that are not deleted, and that milestone's.
    pub entries: Vec<Arc<CandidateRow>>,
    /// Entries that lack a row every entry has: the current version, its ciphertext, the data key,
    /// or the event of the newest change.
    pub incomplete: Vec<EntryRow>,
}

/// The content of an event; the database adds nothing to it.
#[derive(Debug, Clone, Queryable)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The project it happened in.
    pub project: Option<String>,
    /// The action.
    pub action: AuditAction,
    /// The outcome of the action.
    pub outcome: AuditOutcome,
    /// Why it was denied or failed.
    pub reason: Option<String>,
    /// The number of occurrences it stands for.
    pub count: i64,
    /// The author.
    pub actor: String,
    /// The subject it concerned; for a change of an entry or of data keys, the data key.
    pub subject: Option<String>,
    /// The role it concerned.
    pub role: Option<Role>,
    /// The agent a runtime acted for.
    pub agent: Option<String>,
    /// The entry it concerned.
    pub entry: Option<EntryId>,
    /// The entry's name at that time.
    pub entry_name: Option<String>,
    /// The entry's version at that time.
    pub entry_version: Option<i32>,
    /// The entry's revision after a change.
    pub entry_revision: Option<i32>,
    /// The milestone it concerned.
    pub milestone: Option<String>,
    /// The purpose of a resolve.
    pub purpose: Option<Purpose>,
    /// The coding session.
    pub session: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The request it belongs to.
    pub request_id: String,
}

/// An event's position in a chain.
#[derive(Clone, Queryable)]
pub struct Link {
    /// The chain.
    pub chain: ChainId,
    /// Its position, from 1.
    pub seq: i64,
    /// The MAC of the event before it; for the first event, that of the chain's beginning.
    pub prev: Vec<u8>,
    /// Authenticates the event at its position.
    pub mac: Vec<u8>,
}

/// An event to insert, with its position in a chain.
pub type Positioned<'a> = (&'a EventRow, Link);

/// An event in its chain.
#[derive(Clone, Queryable)]
pub struct ChainedEvent {
    /// Its content.
    pub event: EventRow,
    /// Its position.
    pub link: Link,
}

/// A chain of events.
#[derive(Clone, Queryable)]
pub struct ChainRow {
    /// Its id.
    pub id: ChainId,
    /// When it began.
    pub opened_at: Timestamp,
    /// Another chain's event that existed when this one began.
    pub anchor: Option<Anchor>,
    /// The point up to which its events are past their retention and erased.
    pub cut: Option<Cut>,
}

/// An event of another chain, by its position and MAC.
#[derive(Clone, Queryable)]
pub struct Anchor {
    /// The chain.
    pub chain: ChainId,
    /// Its position.
    pub seq: i64,
    /// Its MAC.
    pub mac: Vec<u8>,
}

/// The point up to which retention erased a chain.
#[derive(Clone)]
pub struct Cut {
    /// The position of the last event that was erased.
    pub seq: i64,
    /// That event's MAC.
    pub event_mac: Vec<u8>,
    /// Authenticates the cut.
    pub mac: Vec<u8>,
}

/// The last position of a chain.
#[derive(Clone, Queryable)]
pub struct TipRow {
    /// The chain.
    pub chain: ChainId,
    /// The position of its last event.
    pub seq: i64,
    /// That event's MAC.
    pub mac: Vec<u8>,
}

/// A change of tuples that is committed and not yet known to be applied.
#[derive(Debug, Clone, Queryable)]
pub struct OutboxRow {
    /// Its sequence number.
    pub seq: i64,
    /// The partition; rows of one partition are applied in order. Column `lane`.
    pub partition: String,
    /// The change, as JSON.
    pub change: String,
    /// Authenticates partition and change.
    pub mac: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was set aside, because it cannot be applied.
    pub set_aside_at: Option<Timestamp>,
    /// Why it cannot be applied.
    pub reason: Option<String>,
}

/// The columns of a deleted entry that its erasure needs.
#[derive(Debug, Clone, Queryable)]
pub struct DeletedEntryRow {
    /// Its id.
    pub id: EntryId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// When it was deleted.
    pub deleted_at: Timestamp,
}

/// Numbers of rows that were erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErasedRows {
    /// Number of entries, deleted ones included.
    pub entries: i64,
    /// Number of versions.
    pub versions: i64,
}

/// The lists of entries that one statement reads: those of projects, or those of milestones.
#[derive(Debug, Clone, Copy)]
pub struct EntryLists<'a> {
    /// The projects that the entries belong to.
    pub projects: &'a [ProjectId],
    /// With milestones, each list is one of these milestones' entries; without, each list is one
    /// project's entries, those of its milestones included.
    pub milestones: Option<&'a [MilestoneId]>,
}

impl EntryLists<'_> {
    /// Number of lists.
    #[must_use]
    pub fn count(&self) -> usize {
        self.milestones.map_or(self.projects.len(), <[MilestoneId]>::len)
    }
}

/// A filter of entries; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct EntrySelection {
    /// A literal part of the name, in any letter case.
    pub name_contains: Option<String>,
    /// One of these categories.
    pub categories: Option<Vec<Category>>,
    /// Only the project's own entries (true), or only those of milestones (false).
    pub of_project: Option<bool>,
    /// Only these entries.
    pub ids: Option<Vec<EntryId>>,
    /// One of these statuses.
    pub statuses: Vec<crate::domain::EntryStatus>,
    /// Expiring before this instant, and neither disabled nor deleted.
    pub expires_before: Option<Timestamp>,
    /// Due for rotation before this instant, and neither disabled nor deleted.
    pub rotation_due_before: Option<Timestamp>,
    /// Only entries that no agent has received (true), or only those that one has (false).
    pub never_resolved: Option<bool>,
    /// The instant that divides expired from active.
    pub now: Option<Timestamp>,
}

/// Numbers of entries of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Queryable)]
pub struct EntryCounts {
    /// ACTIVE ones.
    pub active: i64,
    /// EXPIRED ones.
    pub expired: i64,
    /// DISABLED ones.
    pub disabled: i64,
    /// DELETED ones.
    pub deleted: i64,
    /// ACTIVE ones that expire soon.
    pub expiring: i64,
    /// Those due for rotation, and neither disabled nor deleted.
    pub rotation_due: i64,
    /// Those not deleted that no agent has received.
    pub never_used: i64,
}

/// The order of a list of entries; equal ones are ordered by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EntrySort {
    /// By name, byte by byte.
    #[default]
    Name,
    /// By creation.
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// By expiry; entries without one come last in either direction.
    ExpiresAt,
}

/// The sort key of the entry that a page begins after.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SortKey {
    /// For [`EntrySort::Name`].
    Name(String),
    /// For the others, in milliseconds.
    Instant(i64),
}

/// A page of each list of entries.
#[derive(Debug, Clone)]
pub struct EntryPage {
    /// The order.
    pub sort: EntrySort,
    /// Whether the order is reversed.
    pub descending: bool,
    /// The entry that the page begins after.
    pub after: Option<(SortKey, EntryId)>,
    /// Maximum number of rows of each list.
    pub limit: i64,
}

/// A filter of events, newest first; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct EventSelection {
    /// Of this project; `None` for all projects.
    pub project: Option<String>,
    /// About this entry.
    pub entry: Option<EntryId>,
    /// With one of these actions.
    pub actions: Option<Vec<AuditAction>>,
    /// With one of these outcomes.
    pub outcomes: Option<Vec<AuditOutcome>>,
    /// By one of these actors.
    pub actors: Option<Vec<String>>,
    /// From this instant on.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// After (older than) this event.
    pub after: Option<(Timestamp, EventId)>,
    /// Down to and including this event.
    pub down_to: Option<(Timestamp, EventId)>,
    /// Maximum number of rows.
    pub limit: i64,
}

/// A tuple of the embedded authorizer, in OpenFGA's notation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Queryable)]
pub struct TupleRow {
    /// The object.
    pub object: String,
    /// The relation.
    pub relation: String,
    /// The subject: an object, or a userset.
    pub subject: String,
}

/// An agent that received the current version of an entry.
#[derive(Debug, Clone, Queryable)]
pub struct ExposureRow {
    /// The entry.
    pub entry: EntryId,
    /// The agent.
    pub agent: String,
    /// When the agent first received it.
    pub since: Option<Timestamp>,
    /// When the agent last received it.
    pub last: Option<Timestamp>,
}
