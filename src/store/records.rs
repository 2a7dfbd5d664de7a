//! The arguments and results of queries: rows in the domain's types. They hold ciphertext, never
//! plaintext.

use crate::domain::{
    AuditAction, AuditOutcome, Category, ChainId, DataKeyId, EntryId, EnvironmentNames, EventId, MilestoneId, Phase,
    ProjectId, ProjectStatus, Purpose, Role, Timestamp, UserId,
};
use diesel::Queryable;

mod keys;
pub use keys::{DataKeyRow, DataKeyTotals, InstallationKeyRow, ReplacedKeyRow, SettingRow};

/// A project that has a vault.
#[derive(Debug, Clone, Queryable)]
pub struct ProjectRow {
    /// Its id.
    pub id: ProjectId,
    /// Its state.
    pub status: ProjectStatus,
    /// Which names reach its sessions.
    pub environment_names: EnvironmentNames,
}

/// A milestone of a project.
#[derive(Debug, Clone, Queryable)]
pub struct MilestoneRow {
    /// Its id.
    pub id: MilestoneId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The first instant of its phase.
    pub opens_at: Option<Timestamp>,
    /// The first instant after its phase.
    pub closes_at: Option<Timestamp>,
    /// Closed by a person.
    pub closed: bool,
}

impl MilestoneRow {
    /// Whether its entries exist for agents. What a person closed is not opened by a clock that is behind.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        !self.closed && self.phase().is_open(now)
    }

    /// Its phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        Phase { opens_at: self.opens_at, closes_at: self.closes_at }
    }
}

/// A row of `entries`.
#[derive(Clone, Queryable)]
pub struct EntryRow {
    /// Its id.
    pub id: EntryId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// To which milestone it belongs; to the whole project where none.
    pub milestone: Option<MilestoneId>,
    /// The name it bears.
    pub name: String,
    /// The note people wrote about it.
    pub description: Option<String>,
    /// Its kind.
    pub category: Category,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Switched off.
    pub disabled: bool,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// The version agents receive.
    pub current_version: i32,
    /// Grows with every change.
    pub revision: i32,
    /// How often its value should be replaced.
    pub rotation_interval_days: Option<i32>,
    /// When it was created.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: UserId,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: UserId,
    /// The data key of its MAC, its versions' MACs and their ciphertexts.
    pub data_key: DataKeyId,
    /// Authenticates what gives the row its meaning.
    pub mac: Vec<u8>,
}

/// A row of `versions`.
#[derive(Clone, Queryable)]
pub struct VersionRow {
    /// Of which entry.
    pub entry: EntryId,
    /// Its number, from 1.
    pub version: i32,
    /// The version its ciphertext was written for.
    pub ciphertext_version: i32,
    /// The version whose value a rollback brought back.
    pub restored_from: Option<i32>,
    /// A certificate's end.
    pub not_after: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: UserId,
    /// Authenticates the row.
    pub mac: Vec<u8>,
}

/// A row of `ciphertexts`.
#[derive(Queryable)]
pub struct CiphertextRow {
    /// Of which entry.
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

/// How often agents received a value of an entry, and when last.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct UsageRow {
    /// How often.
    pub count: i64,
    /// When last.
    pub last: Option<Timestamp>,
}

/// An entry with its current version, as people see it.
#[derive(Clone, Queryable)]
pub struct EntryView {
    /// The entry.
    pub entry: EntryRow,
    /// Its current version.
    pub version: VersionRow,
    /// That version's sealed hint.
    pub hint: Vec<u8>,
    /// The data key that opens it.
    pub data_key: DataKeyRow,
    /// Its use by agents; none where nothing was counted.
    pub usage: Option<UsageRow>,
}

/// A version with its sealed hint.
#[derive(Clone, Queryable)]
pub struct VersionView {
    /// The version.
    pub version: VersionRow,
    /// Its sealed hint.
    pub hint: Vec<u8>,
    /// The project, for the place of the ciphertext.
    pub project: ProjectId,
    /// The data key that opens it.
    pub data_key: DataKeyRow,
}

/// An entry an agent may receive, as far as the database tells.
pub struct CandidateRow {
    /// The entry.
    pub entry: EntryRow,
    /// Its current version.
    pub version: VersionRow,
    /// The data key the ciphertext names.
    pub ciphertext_data_key: DataKeyId,
    /// The size of the sealed value, in bytes.
    pub size: i32,
    /// The sealed value, of what may be released as far as the row tells.
    pub value: Option<Vec<u8>>,
    /// The data key of the entry.
    pub data_key: DataKeyRow,
    /// The event of the change that left the row's revision behind.
    pub change: ChainedEvent,
    /// The highest revision that an event of the entry names.
    pub newest_revision: i32,
    /// Whether the project approves the entry's name for sessions.
    pub approved: bool,
}

/// Which values a resolve reads: of entries that are live now, and whose names the workspace does not provide.
#[derive(Clone, Copy)]
pub struct WantedValues<'a> {
    /// The instant that divides expired from live.
    pub now: Timestamp,
    /// The names the workspace provides.
    pub provided: &'a [&'a str],
}

/// Everything a resolve needs to know, from one statement.
pub struct Candidates {
    /// The project; none where it has no vault.
    pub project: Option<ProjectRow>,
    /// The milestone that was asked for; none where it is not this project's.
    pub milestone: Option<MilestoneRow>,
    /// The project's entries that are not deleted, and that milestone's.
    pub entries: Vec<CandidateRow>,
    /// Entries of which a row is missing that every entry has: the current version, its ciphertext,
    /// the data key, or the event of the newest change.
    pub incomplete: Vec<EntryRow>,
}

/// The content of an event; the database adds nothing to it.
#[derive(Debug, Clone, Queryable)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// In which project.
    pub project: Option<String>,
    /// The action.
    pub action: AuditAction,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Why it was denied or failed.
    pub reason: Option<String>,
    /// How many it stands for.
    pub count: i64,
    /// The principal that acted.
    pub actor: String,
    /// The subject of the change; for changes of entries and data keys, the data key.
    pub subject: Option<String>,
    /// Which role it was about.
    pub role: Option<Role>,
    /// The agent a runtime acted for.
    pub agent: Option<String>,
    /// Which entry it was about.
    pub entry: Option<EntryId>,
    /// The entry's name then.
    pub entry_name: Option<String>,
    /// The entry's version then.
    pub entry_version: Option<i32>,
    /// The revision a change left behind.
    pub entry_revision: Option<i32>,
    /// Which milestone it was about.
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

/// An event's place in a chain.
#[derive(Clone, Queryable)]
pub struct Link {
    /// Which chain.
    pub chain: ChainId,
    /// Its place, from 1.
    pub seq: i64,
    /// The MAC of the event before it; of the first, that of the chain's beginning.
    pub prev: Vec<u8>,
    /// Authenticates the event at its place.
    pub mac: Vec<u8>,
}

/// An event in its chain.
#[derive(Clone, Queryable)]
pub struct ChainedEvent {
    /// The content.
    pub event: EventRow,
    /// Where it stands.
    pub link: Link,
}

/// A chain of events.
#[derive(Clone, Queryable)]
pub struct ChainRow {
    /// Its id.
    pub id: ChainId,
    /// When it began.
    pub opened_at: Timestamp,
    /// Another chain's event that was there then.
    pub anchor: Option<Anchor>,
    /// Up to where its events are past their retention and gone.
    pub cut: Option<Cut>,
}

/// An event of another chain, by its place and MAC.
#[derive(Clone, Queryable)]
pub struct Anchor {
    /// Which chain.
    pub chain: ChainId,
    /// Its place.
    pub seq: i64,
    /// Its MAC.
    pub mac: Vec<u8>,
}

/// Where retention cut a chain.
#[derive(Clone)]
pub struct Cut {
    /// The last event that is gone.
    pub seq: i64,
    /// That event's MAC.
    pub event_mac: Vec<u8>,
    /// Authenticates the cut.
    pub mac: Vec<u8>,
}

/// Where a chain stands.
#[derive(Clone, Queryable)]
pub struct TipRow {
    /// Which chain.
    pub chain: ChainId,
    /// Its last event.
    pub seq: i64,
    /// That event's MAC.
    pub mac: Vec<u8>,
}

/// A change of tuples that is committed and not yet known to be applied.
#[derive(Debug, Clone, Queryable)]
pub struct OutboxRow {
    /// Its place in the order.
    pub seq: i64,
    /// The partition; rows of one partition are applied in order. Column `lane`.
    pub partition: String,
    /// The change, as JSON.
    pub change: String,
    /// Authenticates partition and change.
    pub mac: Vec<u8>,
}

/// An entry that is deleted, as far as its erasure needs it.
#[derive(Debug, Clone, Queryable)]
pub struct DeletedEntryRow {
    /// Its id.
    pub id: EntryId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// When it was deleted.
    pub deleted_at: Timestamp,
}

/// The number of rows erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErasedRows {
    /// How many entries, deleted ones included.
    pub entries: i64,
    /// How many versions.
    pub versions: i64,
}

/// Which entries of a project a list shows.
#[derive(Debug, Clone, Default)]
pub struct EntrySelection {
    /// A part of the name, in any case of letters; literal.
    pub name_contains: Option<String>,
    /// One of these kinds.
    pub categories: Option<Vec<Category>>,
    /// Only the project's own entries (true), or only milestones' (false).
    pub of_project: Option<bool>,
    /// Only this milestone's.
    pub milestone: Option<MilestoneId>,
    /// Of one of these names.
    pub names: Option<Vec<String>>,
    /// In one of these states.
    pub statuses: Vec<crate::domain::EntryStatus>,
    /// Expiring before this instant, and neither disabled nor deleted.
    pub expires_before: Option<Timestamp>,
    /// The instant that divides expired from active.
    pub now: Option<Timestamp>,
}

/// How a list of entries is sorted; ties by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

/// After which entry a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SortKey {
    /// For [`EntrySort::Name`].
    Name(String),
    /// For the others, in milliseconds.
    Instant(i64),
}

/// A page of a list of entries.
#[derive(Debug, Clone)]
pub struct EntryPage {
    /// The order.
    pub sort: EntrySort,
    /// Backwards.
    pub descending: bool,
    /// After this entry.
    pub after: Option<(SortKey, EntryId)>,
    /// Maximum number of rows.
    pub limit: i64,
}

/// Which events a list shows, newest first.
#[derive(Debug, Clone, Default)]
pub struct EventSelection {
    /// Of this project; of all without.
    pub project: Option<String>,
    /// About this entry.
    pub entry: Option<EntryId>,
    /// Of one of these kinds.
    pub actions: Option<Vec<AuditAction>>,
    /// With one of these ends.
    pub outcomes: Option<Vec<AuditOutcome>>,
    /// From this instant on.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// After (older than) this event.
    pub after: Option<(Timestamp, EventId)>,
    /// Down to this event, which is the last one that may be looked at.
    pub down_to: Option<(Timestamp, EventId)>,
    /// Maximum number of rows.
    pub limit: i64,
}

/// A tuple of the embedded authorizer, in OpenFGA's notation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Queryable)]
pub struct TupleRow {
    /// Of what.
    pub object: String,
    /// The relation.
    pub relation: String,
    /// The subject: an object, or a userset.
    pub subject: String,
}

/// An agent that received the current version of an entry.
#[derive(Debug, Clone, Queryable)]
pub struct ExposureRow {
    /// Which entry.
    pub entry: Option<EntryId>,
    /// Which agent.
    pub agent: Option<String>,
    /// When first.
    pub since: Option<Timestamp>,
    /// When last.
    pub last: Option<Timestamp>,
}
