//! A connection, whose methods are the queries of both backends.

use super::records::{
    Candidates, ChainRow, ChainedEvent, CiphertextRow, Cut, DataKeyRow, DataKeyTotals, DeletedEntryRow, DueEntry,
    EntryCounts, EntryLists, EntryPage, EntryRow, EntrySelection, EntryView, ErasedRows, EventRow, EventSelection,
    ExposureRow, InstallationKeyRow, Link, LiveEntryRow, MilestoneRow, NoticeRow, OutboxRow, Positioned, ProjectRow,
    ProjectState, ReplacedKeyRow, SettingRow, TipRow, TupleRow, UsageRow, Uses, Values, VersionRow, VersionView,
};
use super::{Result, postgres, sqlite};
use crate::domain::{
    ApprovedNames, AuditAction, ChainId, DataKeyId, EntryId, EventId, KeyPurpose, MilestoneId, ProjectId,
    ProjectStatus, Timestamp,
};

/// One connection; its methods are the queries.
#[allow(clippy::large_enum_variant, reason = "one is alive for each request, on the stack of its task")]
pub enum Conn {
    /// To PostgreSQL.
    Postgres(postgres::PooledConnection),
    /// To SQLite.
    Sqlite(sqlite::PooledConnection),
}

/// Calls a function of PostgreSQL's module with the connection, within its time limit; `$operation`
/// names the statement in traces.
macro_rules! in_time {
    ($operation:expr, $conn:expr, $($name:ident)::+($($arg:expr),*)) => {{
        let (open, limit) = $conn.asked()?;
        let statement = crate::store::measures::Statement::begin("postgresql", $operation);
        let answer = tokio::time::timeout(limit, $($name)::+(open $(, $arg)*)).await;
        statement.end($conn.answered(answer))
    }};
}
pub(super) use in_time;

/// Awaits a call of a function of SQLite's module; `$operation` names the statement in traces.
macro_rules! on_sqlite {
    ($operation:expr, $call:expr) => {{
        let statement = crate::store::measures::Statement::begin("sqlite", $operation);
        statement.end($call.await.map_err(crate::store::Error::from))
    }};
}
pub(super) use on_sqlite;

/// Writes a method of [`Conn`] for each query: the function of that name in the backend's module.
macro_rules! queries {
    ($($module:ident { $($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty;)+ })+) => {
        impl Conn {$($(
            $(#[$meta])*
            ///
            /// # Errors
            /// When the database refuses or cannot answer.
            $vis async fn $name(&mut self $(, $arg: $ty)*) -> Result<$ret> {
                match self {
                    Self::Postgres(conn) => {
                        in_time!(stringify!($name), conn, postgres::queries::$module::$name($($arg),*))
                    }
                    Self::Sqlite(conn) => {
                        on_sqlite!(stringify!($name), sqlite::queries::$module::$name(conn $(, $arg)*))
                    }
                }
            }
        )+)+}
    };
}

queries! {
    projects {
        /// Those of these projects that have a vault.
        pub fn projects_by_id(ids: &[ProjectId]) -> Vec<ProjectRow>;
        /// Everything of a project that its MAC covers.
        pub fn project_state(id: &ProjectId) -> Option<ProjectState>;
        /// The same of projects with ids after `after`, by id; at most `limit`.
        pub fn project_states_after(after: &str, limit: i64) -> Vec<ProjectState>;
        /// The ids of projects after `after`, in order; at most `limit`.
        pub fn project_ids_after(after: &str, limit: i64) -> Vec<ProjectId>;
        /// Adds a project.
        pub fn insert_project(row: &ProjectState) -> ();
        /// Writes the columns of a project that can change, under its lock.
        pub fn save_project(row: &ProjectState) -> ();
        /// The entries of a project that are not deleted.
        pub fn live_entries(project: &ProjectId) -> Vec<LiveEntryRow>;
        /// Whether any row of projects or milestones was ever signed.
        pub fn has_signed_projects() -> bool;
        /// The names that these projects approve for their sessions.
        pub fn approved_names(ids: &[ProjectId]) -> Vec<(ProjectId, ApprovedNames)>;
        /// The receipt of a deleted project; the outer `None` if no project of this id was deleted.
        pub fn tombstone(id: &ProjectId) -> Option<Option<String>>;
        /// Records that a project was deleted, with its receipt.
        pub fn insert_tombstone(id: &ProjectId, receipt: &str, now: Timestamp) -> ();
        /// Those of these milestones that exist.
        pub fn milestones_by_id(ids: &[MilestoneId]) -> Vec<MilestoneRow>;
        /// The milestones of these projects, by id.
        pub fn milestones_of(of: &[ProjectId]) -> Vec<MilestoneRow>;
        /// Adds a milestone.
        pub fn insert_milestone(row: &MilestoneRow) -> ();
        /// Writes the columns of a milestone that can change, under its project's lock.
        pub fn save_milestone(row: &MilestoneRow) -> ();
        /// Deletes a milestone that has no entries.
        pub fn delete_milestone(id: &MilestoneId) -> ();
    }
    installation {
        /// A setting of the installation.
        pub fn setting(name: &str) -> Option<SettingRow>;
        /// All settings of the installation.
        pub fn settings() -> Vec<SettingRow>;
        /// Writes a setting of the installation.
        pub fn save_setting(name: &str, value: &str, mac: &[u8]) -> ();
        /// Writes a setting unchanged, to check that the database can be written to.
        pub fn touch_setting(name: &str) -> ();
        /// The installation's key for a purpose, wrapped.
        pub fn installation_key(purpose: KeyPurpose) -> Option<InstallationKeyRow>;
        /// The installation's keys.
        pub fn installation_keys() -> Vec<(KeyPurpose, InstallationKeyRow)>;
        /// Adds the installation's key for a purpose; false if there was one.
        pub fn insert_installation_key(purpose: KeyPurpose, key: &InstallationKeyRow, now: Timestamp) -> bool;
        /// Replaces an installation key's wrapping; false if the old one was no longer there.
        pub fn rewrap_installation_key(purpose: KeyPurpose, old: &[u8], new: &InstallationKeyRow) -> bool;
        /// Whether there are events, chains or rows that only the AUDIT key can have authenticated.
        pub fn needs_audit_key() -> bool;
        /// Whether there are heads or receipts that only the SIGNING key can have signed.
        pub fn needs_signing_key() -> bool;
        /// Whether any row of settings or data keys was ever signed.
        pub fn has_signed_rows() -> bool;
    }
    keys {
        /// Adds a data key.
        pub fn insert_data_key(key: &DataKeyRow, now: Timestamp) -> ();
        /// Replaces a data key's row; false if the old row was no longer there.
        pub fn update_data_key(old: &DataKeyRow, new: &DataKeyRow) -> bool;
        /// The data key that encrypts what is written next.
        pub fn encrypting_key(project: &ProjectId) -> DataKeyRow;
        /// One data key.
        pub fn data_key(id: DataKeyId) -> Option<DataKeyRow>;
        /// The ids of the master keys that wrap data keys.
        pub fn master_keys_in_use() -> Vec<String>;
        /// A project's data keys.
        pub fn data_keys_of(project: &ProjectId) -> Vec<DataKeyRow>;
        /// Data keys of all projects with ids after `after`, by id; at most `limit`.
        pub fn data_keys_after(after: DataKeyId, limit: i64) -> Vec<DataKeyRow>;
        /// The ids of the same data keys.
        pub fn data_key_ids_after(after: DataKeyId, limit: i64) -> Vec<DataKeyId>;
        /// Any one data key that this master key wraps.
        pub fn data_key_under(master_key: &str) -> Option<DataKeyRow>;
        /// Counts values that are about to be sealed with a data key; returns their number since
        /// the key was made.
        pub fn count_sealed(id: DataKeyId, count: i64) -> i64;
        /// Projects with a data key to be replaced and ids after `after`, by id; at most `limit`.
        pub fn projects_outgoing(after: &str, limit: i64) -> Vec<ProjectId>;
        /// Number of projects with a data key that is being replaced.
        pub fn count_projects_outgoing() -> i64;
        /// Entries of a project under data keys that are to be replaced.
        pub fn entries_outgoing(project: &ProjectId) -> Vec<EntryId>;
        /// Erases the project's data keys that no longer encrypt and that nothing refers to;
        /// returns their ids.
        pub fn erase_unused_data_keys(project: &ProjectId) -> Vec<DataKeyId>;
        /// Records a data key as replaced.
        pub fn insert_replaced_key(row: &ReplacedKeyRow) -> ();
        /// Replaced data keys with ids after `after`, by id; at most `limit`.
        pub fn replaced_keys_after(after: DataKeyId, limit: i64) -> Vec<ReplacedKeyRow>;
        /// The ids of the same rows.
        pub fn replaced_key_ids_after(after: DataKeyId, limit: i64) -> Vec<DataKeyId>;
        /// The row that lists a data key as replaced.
        pub fn replaced_key(id: DataKeyId) -> Option<ReplacedKeyRow>;
        /// Data keys that other master keys wrap, with ids after `after`, by id; at most `limit`.
        pub fn data_keys_not_under(master_key: &str, after: DataKeyId, limit: i64) -> Vec<DataKeyRow>;
        /// The number of data keys that other master keys wrap.
        pub fn count_data_keys_not_under(master_key: &str) -> i64;
        /// Number of data keys that each master key wraps.
        pub fn data_keys_by_master() -> Vec<(String, i64)>;
        /// Totals of all data keys; `bound` is the maximum number of values one may seal.
        pub fn data_key_totals(bound: i64) -> DataKeyTotals;
    }
    chains {
        /// Every chain of events.
        pub fn chain_rows() -> Vec<ChainRow>;
        /// Adds a chain, which is the caller's for this time.
        pub fn insert_chain(chain: &ChainRow, lease_until: Timestamp) -> ();
        /// Claims a released chain for this time; `None` if another transaction was faster.
        pub fn claim_chain(chain: ChainId, lease_until: Timestamp) -> Option<ChainRow>;
        /// Renews the lease of a chain; false if it is not the one it was.
        pub fn renew_lease(chain: ChainId, lease: Timestamp, renewed: Timestamp) -> bool;
        /// Releases the chains whose lease ended before an instant; returns how many.
        pub fn release_chains_leased_before(before: Timestamp) -> usize;
        /// Releases these chains, so that other processes can append to them.
        pub fn release_chains(chains: &[ChainId]) -> ();
        /// The link of a chain's last event.
        pub fn last_link(chain: ChainId) -> Option<Link>;
        /// The link of the newest event of all chains.
        pub fn newest_link() -> Option<Link>;
        /// The last position of every chain that has events.
        pub fn chain_tips() -> Vec<TipRow>;
        /// Stores a signed head.
        pub fn insert_head(statement: &str, now: Timestamp) -> ();
        /// Signed heads, newest first.
        pub fn heads(limit: i64) -> Vec<String>;
        /// Deletes all but the newest `keep` heads.
        pub fn prune_heads(keep: i64) -> ();
        /// One chain.
        pub fn chain_row(chain: ChainId) -> Option<ChainRow>;
        /// A chain's events after position `after`; at most `limit`.
        pub fn chain_events(chain: ChainId, after: i64, limit: i64) -> Vec<ChainedEvent>;
        /// The positions of a chain's events after `after`; at most `limit`.
        pub fn chain_positions(chain: ChainId, after: i64, limit: i64) -> Vec<i64>;
        /// The ids of all chains.
        pub fn chain_ids() -> Vec<ChainId>;
        /// Records where a chain is cut.
        pub fn cut_chain(chain: ChainId, cut: &Cut) -> ();
        /// Of the next `limit` events of a chain after position `after` and up to `last`, erases
        /// all but each entry's newest change; returns how many, and the position up to which.
        pub fn erase_events(chain: ChainId, after: i64, last: i64, limit: i64) -> (usize, i64);
        /// The newest changes of entries with ids after `after`, by entry, with the entries' rows;
        /// at most `limit`.
        pub fn newest_changes(after: EntryId, limit: i64) -> Vec<(ChainedEvent, Option<EntryRow>)>;
        /// The newest changes of one entry, with its row.
        pub fn newest_changes_of(entry: EntryId) -> Vec<(ChainedEvent, Option<EntryRow>)>;
        /// The entries with ids after `after` that have an event of a change, by id; at most
        /// `limit`.
        pub fn changed_entries(after: EntryId, limit: i64) -> Vec<EntryId>;
        /// Entries with ids after `after` that have no event of a change, by id, with their
        /// revisions; at most `limit`.
        pub fn entries_without_change(after: EntryId, limit: i64) -> Vec<(EntryId, i32)>;
        /// A project's events of these kinds.
        pub fn events_of_kind(project: &ProjectId, actions: &[AuditAction]) -> Vec<ChainedEvent>;
    }
    entries {
        /// These entries, as people see them.
        pub fn entries_by_id(ids: &[EntryId]) -> Vec<EntryView>;
        /// How often agents received values of these entries; only those that were counted.
        pub fn usage_of(ids: &[EntryId]) -> Vec<UsageRow>;
        /// The entry of a name in one scope, unless it is deleted.
        pub fn entry_named(project: &ProjectId, milestone: Option<&MilestoneId>, name: &str) -> Option<EntryView>;
        /// The entries of these names in one scope that are not deleted.
        pub fn entries_named(project: &ProjectId, milestone: Option<&MilestoneId>, names: &[&str]) -> Vec<EntryRow>;
        /// One entry's row.
        pub fn entry_row(id: EntryId) -> Option<EntryRow>;
        /// The event of an entry's newest change.
        pub fn newest_change(entry: EntryId) -> Option<ChainedEvent>;
        /// The number of a project's entries that are not deleted.
        pub fn count_live(project: &ProjectId) -> i64;
        /// The versions of entries, by entry, newest first.
        pub fn versions_of(ids: &[EntryId]) -> Vec<VersionView>;
        /// The entries of these names, or of all names, that an agent may receive, with these
        /// values.
        pub fn candidates(project: &ProjectId, milestone: Option<&MilestoneId>, names: Option<&[String]>, values: Values) -> Candidates;
    }
    entry_lists {
        /// Counts the entries of each of these projects that has any, as they are at `now`; those that
        /// expire until `soon` count as expiring.
        pub fn entry_counts(projects: &[ProjectId], now: Timestamp, soon: Timestamp) -> Vec<(ProjectId, EntryCounts)>;
        /// The entries of these projects that are not deleted, by id, with their names.
        pub fn entry_names(projects: &[ProjectId]) -> Vec<(ProjectId, EntryId, String)>;
        /// The number of entries of a selection in each list that has any; the milestone is `None`
        /// for lists of projects.
        pub fn count_entries(lists: EntryLists<'_>, selection: &EntrySelection) -> Vec<(ProjectId, Option<MilestoneId>, i64)>;
        /// One page of a selection for each list; the entries of each list are in its order.
        pub fn entry_pages(lists: EntryLists<'_>, selection: &EntrySelection, page: &EntryPage) -> Vec<EntryView>;
    }
    entry_writes {
        /// One version's row.
        pub fn version_row(entry: EntryId, version: i32) -> Option<VersionRow>;
        /// All versions of an entry.
        pub fn version_rows(entry: EntryId) -> Vec<VersionRow>;
        /// All ciphertexts of an entry.
        pub fn ciphertext_rows(entry: EntryId) -> Vec<CiphertextRow>;
        /// Writes the rows of an entry, its versions and its ciphertexts after a change of data
        /// key.
        pub(super) fn rekey_rows(row: &EntryRow, of_entry: &[VersionRow], sealed: &[CiphertextRow]) -> ();
        /// The ids of a project's entries, deleted ones included.
        pub fn entry_ids_of_project(project: &ProjectId) -> Vec<EntryId>;
        /// The ids of a milestone's entries, deleted ones included.
        pub fn entry_ids_of_milestone(milestone: &MilestoneId) -> Vec<EntryId>;
        /// Entries that were deleted before an instant, oldest deletion first, after `after` in
        /// that order; at most `limit`.
        pub fn entries_deleted_before(before: Timestamp, after: (Timestamp, EntryId), limit: i64) -> Vec<DeletedEntryRow>;
        /// Adds an entry without versions.
        pub(super) fn insert_entry_row(row: &EntryRow) -> ();
        /// Writes the columns of an entry that can change, under the project's lock.
        pub(super) fn save_entry_row(row: &EntryRow) -> ();
        /// Adds a ciphertext.
        pub(super) fn insert_ciphertext_row(row: &CiphertextRow) -> ();
        /// Adds a version.
        pub(super) fn insert_version_row(row: &VersionRow) -> ();
        /// Erases the versions of an entry before `oldest`, and the ciphertexts that nothing refers
        /// to any more.
        pub(super) fn prune_versions_rows(entry: EntryId, oldest: i32) -> ();
        /// Erases entries with their versions, ciphertexts and usage.
        pub fn erase_entries(ids: &[EntryId]) -> ErasedRows;
        /// Erases everything of a project except its entries.
        pub fn erase_project(project: &ProjectId) -> ();
    }
    events {
        /// One page of audit events, newest first.
        pub fn events_page(selection: &EventSelection) -> Vec<EventRow>;
        /// The project that the events of an entry are in.
        pub fn project_of_events(entry: EntryId) -> Option<String>;
        /// The event at a position, from 1, in a selection by its index alone; `None` if there are
        /// fewer.
        pub fn event_at(selection: &EventSelection, place: i64) -> Option<(Timestamp, EventId)>;
        /// Events with their links, oldest first, after `after` in that order.
        pub fn events_after(selection: &EventSelection, after: Option<(Timestamp, EventId)>) -> Vec<ChainedEvent>;
        /// The number of events in a selection.
        pub fn count_events(selection: &EventSelection) -> i64;
        /// Erases all decoys.
        pub fn erase_decoys() -> ();
        /// The agents that received the current version of entries, and when they first and last
        /// did.
        pub fn exposures_of(entries: &[EntryId]) -> Vec<ExposureRow>;
    }
    outbox {
        /// Adds a change of tuples at the end of a partition; returns its sequence number.
        pub fn push_outbox(partition: &str, change: &str, mac: &[u8], now: Timestamp) -> i64;
        /// The changes of a partition, in order.
        pub fn outbox_of(partition: &str) -> Vec<OutboxRow>;
        /// The partitions that have changes.
        pub fn outbox_partitions() -> Vec<String>;
        /// The changes that are set aside, oldest first; at most `limit`.
        pub fn outbox_set_aside(limit: i64) -> Vec<OutboxRow>;
        /// The partition of a change, if it is set aside.
        pub fn partition_of_set_aside(seq: i64) -> Option<String>;
        /// Number of changes that are set aside.
        pub fn count_set_aside() -> i64;
        /// Sets a change aside, which cannot be applied for this reason.
        pub fn set_outbox_aside(seq: i64, reason: &str, now: Timestamp) -> ();
        /// Replaces a change by what is left of it.
        pub fn rewrite_outbox(seq: i64, change: &str, mac: &[u8]) -> ();
        /// The partitions with changes that name this object or subject.
        pub fn outbox_partitions_mentioning(object: &str) -> Vec<String>;
        /// Whether a change in any partition names this object.
        pub fn outbox_mentions(object: &str) -> bool;
        /// Deletes a change that was applied.
        pub fn delete_outbox(seq: i64) -> ();
    }
    notices {
        /// Entries that expire until an instant and are neither deleted nor disabled, after a place in
        /// the order of expiry; at most `limit`.
        pub fn expiring_entries(until: Timestamp, after: (Timestamp, EntryId), limit: i64) -> Vec<DueEntry>;
        /// Entries with a rotation interval that are neither deleted nor disabled, with ids after
        /// `after`, by id, and when their rotation is due; at most `limit`.
        pub fn rotations_due(after: EntryId, limit: i64) -> Vec<DueEntry>;
        /// The actors that were denied at least so often between two instants, most often first, by the
        /// newest `limit` events.
        pub fn bulk_refusals(since: Timestamp, until: Timestamp, least: i64, limit: i64) -> Vec<(String, i64)>;
        /// The notices of a kind that were ever added for these subjects: subject, instant and
        /// threshold.
        pub fn known_notices(kind: &str, subjects: &[String]) -> Vec<(String, Timestamp, i32)>;
        /// Adds a notice; false if there is one for the same.
        pub fn insert_notice(row: &NoticeRow) -> bool;
        /// The number of notices of a kind that wait.
        pub fn count_waiting_notices(kind: &str) -> i64;
        /// The notice that has waited longest since it was to be sent, of those that are of a kind
        /// or of those that are not.
        pub fn next_notice(now: Timestamp, kind: &str, is_of_kind: bool) -> Option<NoticeRow>;
        /// Sets when a notice is sent next; false if another server did so.
        pub fn reschedule_notice(row: &NoticeRow, attempts: i32, next: Option<Timestamp>) -> bool;
        /// Forgets notices from before an instant that do not wait.
        pub fn prune_notices(before: Timestamp) -> ();
    }
    gauges {
        /// The number of changes in the outbox, and when the oldest was saved; of the first `limit`.
        pub fn outbox_backlog(limit: i64) -> (i64, Option<Timestamp>);
        /// The number of entries that expire after one instant and until another, and are neither
        /// deleted nor disabled; at most `limit`.
        pub fn count_expiring(after: Option<Timestamp>, until: Timestamp, limit: i64) -> i64;
        /// The number of data keys, of the first `limit`, by whether they encrypt and are outgoing.
        pub fn data_keys_by_state(limit: i64) -> Vec<(bool, bool, i64)>;
    }
    tuples {
        /// The embedded authorizer's tuples of these objects that can matter for a decision about
        /// these subjects.
        pub fn tuples_about(objects: &[String], subjects: &[String], links: &[String]) -> Vec<TupleRow>;
        /// What these subjects are in a tuple with: each project once, with an empty relation, and all
        /// other objects with their relations; at most `limit`.
        pub fn objects_of(subjects: &[String], limit: i64) -> Vec<(String, String)>;
        /// The tuples of one object; with a `subject`, that subject's tuples on every object whose
        /// name begins with `object`.
        pub fn read_tuples(object: &str, relation: Option<&str>, subject: Option<&str>) -> Vec<TupleRow>;
        /// Adds tuples that do not exist yet.
        pub fn insert_tuples(rows: &[TupleRow]) -> ();
        /// Removes tuples that exist.
        pub fn delete_tuples(rows: &[TupleRow]) -> ();
    }
}

/// As [`queries`], for queries that each backend implements in its own way.
macro_rules! backend_queries {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty;)+) => {
        impl Conn {$(
            $(#[$meta])*
            ///
            /// # Errors
            /// When the database refuses or cannot answer.
            pub async fn $name(&mut self $(, $arg: $ty)*) -> Result<$ret> {
                match self {
                    Self::Postgres(conn) => in_time!(stringify!($name), conn, postgres::$name($($arg),*)),
                    Self::Sqlite(conn) => on_sqlite!(stringify!($name), sqlite::$name(conn $(, $arg)*)),
                }
            }
        )+}
    };
}

backend_queries! {
    /// Takes the lock under which everything of a project is changed, until the transaction ends.
    /// Returns the project's status, or `None` if there is no such project.
    fn lock_project(id: &ProjectId) -> Option<ProjectStatus>;
    /// As [`Self::lock_project`], for several projects at once.
    fn lock_projects(ids: &[ProjectId]) -> ();
    /// Takes a lock by name, until the transaction ends.
    fn lock_name(name: &str) -> ();
    /// The number of changes of what decides a resolve or a permission, by whichever process;
    /// `None` where the database does not count them.
    fn changes() -> Option<i64>;
    /// A released chain, which no process appends to.
    fn released_chain() -> Option<ChainId>;
    /// Adds audit events, decoys of audit events, and the uses of which the events tell to the
    /// counters. PostgreSQL does so in one statement.
    fn insert_events(events: &[Positioned<'_>], decoys: &[Positioned<'_>], uses: Option<&Uses>) -> ();
    /// Rows whose ids are none, with the names of their tables; at most 100 of a table.
    fn rows_without_id() -> Vec<(&'static str, String)>;
    /// Removes erased content from the database's files, outside a transaction; false if it could
    /// not.
    fn truncate_wal() -> bool;
}
