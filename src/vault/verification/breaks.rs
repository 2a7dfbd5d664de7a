//! The findings of a verification.

use crate::crypto::StatementError;
use crate::domain::{ChainId, DataKeyId, EntryId, EventId, ProjectId};
use crate::vault::keys::{ForgedKey, ForgedProject, ForgedSetting};

/// The result of a verification.
#[derive(Debug, Default)]
pub struct Verification {
    /// Number of events read.
    pub events: u64,
    /// Number of chains.
    pub chains: usize,
    /// Number of signed heads compared, including those kept outside the database.
    pub heads: usize,
    /// The findings; empty if all is as it was recorded.
    pub breaks: Vec<Break>,
}

/// A finding: an event or a row that is not as the vault wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// An event's MAC does not match its fields.
    #[error(
        "chain {chain}, event {seq} ({event}): changed, moved or copied; its MAC is not that of what it says there"
    )]
    Changed {
        /// The chain.
        chain: ChainId,
        /// The position in the chain.
        seq: i64,
        /// The event.
        event: EventId,
    },
    /// An event cannot be read: a column holds no value of its type.
    #[error("chain {chain}, event {seq}: changed; it cannot be read, because a column holds no value of its type")]
    UnreadableEvent {
        /// The chain.
        chain: ChainId,
        /// The position in the chain.
        seq: i64,
    },
    /// A row cannot be read: a column holds no value of its type.
    #[error("table {table}, row {id}: changed; it cannot be read, because a column holds no value of its type")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The row's id.
        id: String,
    },
    /// Events are missing.
    #[error("chain {chain}: events {from} to {to} were removed")]
    Removed {
        /// The chain.
        chain: ChainId,
        /// Position of the first missing event.
        from: i64,
        /// Position of the last one.
        to: i64,
    },
    /// An event does not continue the event before it: its previous MAC is not that event's.
    #[error(
        "chain {chain}, event {seq}: it does not follow the event before it; one of the two was replaced or reordered"
    )]
    Unlinked {
        /// The chain.
        chain: ChainId,
        /// The position in the chain.
        seq: i64,
    },
    /// A chain ends before an event that it once had.
    #[error(
        "chain {chain}: it ends at event {last}, but a signed head or another chain names event {named}; its end was cut off"
    )]
    Truncated {
        /// The chain.
        chain: ChainId,
        /// Position of its last event now.
        last: i64,
        /// Position of the last event that is named elsewhere.
        named: i64,
    },
    /// A head or another chain names a different event at this position.
    #[error("chain {chain}, event {seq}: it is another one than a signed head or another chain names")]
    Replaced {
        /// The chain.
        chain: ChainId,
        /// The position in the chain.
        seq: i64,
    },
    /// Events that no signed head covers, although they are old enough.
    #[error(
        "chain {chain}: events {from} to {to} are older than ten minutes, and no signed head covers them. Signed heads were \
         removed, or what recorded these events was killed and no server ran since; compare with a head that was kept \
         elsewhere (`project-vault audit verify --head FILE`), then start a server or run `project-vault audit head`"
    )]
    Unsigned {
        /// The chain.
        chain: ChainId,
        /// Position of the first such event.
        from: i64,
        /// Position of the last one.
        to: i64,
    },
    /// A chain's cut is not as retention wrote it.
    #[error("chain {chain}: where its events were cut off by retention was changed")]
    Cut {
        /// The chain.
        chain: ChainId,
    },
    /// A signed head, in the database or kept elsewhere, was not signed by this installation.
    #[error("signed head {number}: {reason}")]
    Head {
        /// Its number, from 1: those kept elsewhere first, then those in the database, newest
        /// first.
        number: usize,
        /// Why it is not valid.
        reason: StatementError,
    },
    /// An entry's row is not the result of its newest change.
    #[error("entry {entry}: its row has revision {row}, its newest change event {}; an old row was put back, or events were removed",
        .event.map_or_else(|| "is gone or not authentic".to_owned(), |event| format!("revision {event}")))]
    Entry {
        /// The entry.
        entry: EntryId,
        /// The row's revision.
        row: i32,
        /// The revision in the event; `None` if the event is missing or forged.
        event: Option<i32>,
    },
    /// An entry's row differs from its newest change event.
    #[error("entry {entry}: its row has another {what} than its newest change event says; the row was changed by hand")]
    EntryUnlike {
        /// The entry.
        entry: EntryId,
        /// The property that differs, such as `name`.
        what: &'static str,
    },
    /// An entry's MAC does not match its row, or its data key cannot be opened.
    #[error("entry {entry}: its row is not authentic; it, or the row of its data key, was changed by hand")]
    EntryForged {
        /// The entry.
        entry: EntryId,
    },
    /// An entry that was not erased has no row.
    #[error(
        "entry {entry} ({name:?} of project {project:?}): its newest change event left it there, but its row is gone"
    )]
    EntryGone {
        /// The entry.
        entry: EntryId,
        /// The name it had.
        name: String,
        /// The project it belonged to.
        project: String,
    },
    /// A deleted project has a row.
    #[error(
        "project {project}: it was deleted, but its row is there; it was put back by hand. Have the platform delete it again"
    )]
    ProjectBack {
        /// The project.
        project: ProjectId,
    },
    /// A registered project that was not deleted has no row.
    #[error("project {project}: it was registered and not deleted, but its row is gone")]
    ProjectGone {
        /// The project.
        project: ProjectId,
    },
    /// The row of a project or milestone was changed by hand, or an entry is not as it is listed.
    #[error(transparent)]
    Project(ForgedProject),
    /// A setting of the installation was changed by hand.
    #[error(transparent)]
    Setting(ForgedSetting),
    /// A data key's row was changed by hand, or put back after the key was replaced.
    #[error(transparent)]
    DataKey(ForgedKey),
    /// A row that lists a data key as replaced was changed by hand.
    #[error("the row that lists data key {data_key} as replaced was changed by hand")]
    ReplacedKey {
        /// The data key.
        data_key: DataKeyId,
    },
}

impl Break {
    /// The entry that it is about, if it is about one.
    #[must_use]
    pub const fn entry(&self) -> Option<EntryId> {
        match self {
            Self::Entry { entry, .. }
            | Self::EntryUnlike { entry, .. }
            | Self::EntryForged { entry }
            | Self::EntryGone { entry, .. } => Some(*entry),
            Self::Project(forged) => forged.entry(),
            _ => None,
        }
    }
}
