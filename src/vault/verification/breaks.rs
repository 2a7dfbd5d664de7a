//! The findings of a verification.

use crate::crypto::StatementError;
use crate::domain::{ChainId, DataKeyId, EntryId, EventId, ProjectId};
use crate::vault::keys::{ForgedKey, ForgedSetting};

/// The result of a verification.
#[derive(Debug, Default)]
pub struct Verification {
    /// Number of events.
    pub events: u64,
    /// Number of chains.
    pub chains: usize,
    /// How many signed heads were compared, those kept elsewhere included.
    pub heads: usize,
    /// The places where something is not as it was recorded.
    pub breaks: Vec<Break>,
}

/// A place where records are not as they were made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// An event's row does not have the MAC of what it says.
    #[error(
        "chain {chain}, event {seq} ({event}): changed, moved or copied; its MAC is not that of what it says there"
    )]
    Changed {
        /// The chain's id.
        chain: ChainId,
        /// The event's position in the chain.
        seq: i64,
        /// The event's sequence number.
        event: EventId,
    },
    /// Events are not there.
    #[error("chain {chain}: events {from} to {to} were removed")]
    Removed {
        /// The chain's id.
        chain: ChainId,
        /// The first that is not there.
        from: i64,
        /// The last.
        to: i64,
    },
    /// An event that is whole does not follow the one before it.
    #[error(
        "chain {chain}, event {seq}: it does not follow the event before it; one of the two was replaced or reordered"
    )]
    Unlinked {
        /// The chain's id.
        chain: ChainId,
        /// At which place.
        seq: i64,
    },
    /// A chain ends before the place where it stood once.
    #[error(
        "chain {chain}: it ends at event {last}, but a signed head or another chain names event {named}; its end was cut off"
    )]
    Truncated {
        /// The chain's id.
        chain: ChainId,
        /// Its end now.
        last: i64,
        /// Its end in the head.
        named: i64,
    },
    /// Another event stands where a head, or another chain, names one.
    #[error("chain {chain}, event {seq}: it is another one than a signed head or another chain names")]
    Replaced {
        /// The chain's id.
        chain: ChainId,
        /// At which place.
        seq: i64,
    },
    /// Events that a signed head should cover by now.
    #[error(
        "chain {chain}: events {from} to {to} are older than ten minutes, and no signed head covers them. Signed heads were \
         removed, or what recorded these events was killed and no server ran since; compare with a head that was kept \
         elsewhere (`project-vault audit verify --head FILE`), then start a server or run `project-vault audit head`"
    )]
    Unsigned {
        /// The chain's id.
        chain: ChainId,
        /// The first event that no head covers.
        from: i64,
        /// The last.
        to: i64,
    },
    /// A chain's row has another cut than retention wrote.
    #[error("chain {chain}: where its events were cut off by retention was changed")]
    Cut {
        /// The chain's id.
        chain: ChainId,
    },
    /// A head in the database, or one that was kept elsewhere, is not this installation's.
    #[error("signed head {number}: {reason}")]
    Head {
        /// Its number, from 1, the newest first.
        number: usize,
        /// The problem.
        reason: StatementError,
    },
    /// An entry's row is not the one that its newest change left behind.
    #[error("entry {entry}: its row has revision {row}, its newest change event {}; an old row was put back, or events were removed",
        .event.map_or_else(|| "is gone or not authentic".to_owned(), |event| format!("revision {event}")))]
    Entry {
        /// The entry's id.
        entry: EntryId,
        /// The row's revision.
        row: i32,
        /// The event's.
        event: Option<i32>,
    },
    /// An entry's row says something else than its newest change event.
    #[error("entry {entry}: its row has another {what} than its newest change event says; the row was changed by hand")]
    EntryUnlike {
        /// The entry's id.
        entry: EntryId,
        /// The property that differs, such as `name`.
        what: &'static str,
    },
    /// An entry's row does not have the MAC of what it says, or its data key does not open.
    #[error("entry {entry}: its row is not authentic; it, or the row of its data key, was changed by hand")]
    EntryForged {
        /// The entry's id.
        entry: EntryId,
    },
    /// An entry that nobody erased has no row.
    #[error(
        "entry {entry} ({name:?} of project {project:?}): its newest change event left it there, but its row is gone"
    )]
    EntryGone {
        /// The entry's id.
        entry: EntryId,
        /// The name it had.
        name: String,
        /// The project it belonged to.
        project: String,
    },
    /// A project that was deleted has rows.
    #[error(
        "project {project}: it was deleted, but its row is there; it was put back by hand. Have the platform delete it again"
    )]
    ProjectBack {
        /// The project's id.
        project: ProjectId,
    },
    /// A setting of the installation was changed by hand.
    #[error(transparent)]
    Setting(ForgedSetting),
    /// A data key's row was changed by hand, or put back after the key was replaced.
    #[error(transparent)]
    DataKey(ForgedKey),
    /// A row that lists a data key as replaced was changed by hand.
    #[error("the row that lists data key {data_key} as replaced was changed by hand")]
    ReplacedKey {
        /// The data key's id.
        data_key: DataKeyId,
    },
}
