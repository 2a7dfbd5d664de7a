//! Audit: the vault records every change, release and denial as an event. Events form hash chains
//! of MACs, so verification detects an event that was changed, removed or reordered.
//!
//! A change appends its events inside its own transaction ([`Audit::append`]), so both commit or
//! neither does. A release of values commits its events before any value leaves
//! ([`Audit::make_durable`]). A denial is counted first; unless it repeats an earlier one or
//! exceeds a rate, its event commits before the caller is answered ([`Audit::deny`]).
//!
//! - [`events`] builds events; `recorder` commits the events of concurrent calls together;
//!   `denials` limits how many denials become events.
//! - `chains` appends events to hash chains; `heads` signs the last event of each chain;
//!   `retention` erases expired events; `receipts` holds the signed statements that callers get.
//! - `query` and `export` read events; `exposures` lists the agents that received a value.
//! - `revisions` remembers the highest revision of each entry, to detect a row that was put back.
//!
//! Verification of the chains is in [`verification`](super::verification), since it also compares
//! events with the rows of entries.

mod chains;
mod denials;
mod events;
mod export;
mod exposures;
mod heads;
mod query;
mod receipts;
mod recorder;
mod retention;
mod revisions;

pub(super) use chains::{beginning, verify_cut, verify_event};
pub(super) use denials::{Denial, Named};
pub(super) use events::{data_key_subject, event};
pub use export::{Export, ExportFilter};
pub use exposures::Exposure;
pub use heads::{Head, HeadChain};
pub(super) use heads::{KEPT_HEADS, SIGNED_WITHIN, jwk_set, read_head};
pub use query::{AuditEvent, AuditQuery};
pub(super) use receipts::{ErasedKey, epoch_seconds};
pub use receipts::{ErasureReceipt, ResolveReceipt};
pub(super) use recorder::CallRecord;

use super::keys::Installation;
use super::wal::Wal;
use crate::domain::{EntryId, Timestamp};
use crate::store::Store;
use crate::store::records::EventRow;
use chains::Chains;
use denials::Denials;
use heads::ClaimedHeads;
use recorder::Recorder;
use revisions::Revisions;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Records, signs and reads events. Cheap to clone.
#[derive(Clone)]
pub struct Audit(Arc<State>);

struct State {
    store: Store,
    installation: Installation,
    wal: Wal,
    chains: Chains,
    claimed_heads: ClaimedHeads,
    denials: Denials,
    recorder: Recorder,
    revisions: Revisions,
    /// Whether the database may hold decoy rows.
    decoys_written: AtomicBool,
}

impl Audit {
    pub(super) fn new(installation: Installation, wal: Wal) -> Self {
        Self(Arc::new(State {
            store: installation.store().clone(),
            installation,
            wal,
            chains: Chains::default(),
            claimed_heads: ClaimedHeads::default(),
            denials: Denials::default(),
            recorder: Recorder::default(),
            revisions: Revisions::default(),
            decoys_written: AtomicBool::new(true),
        }))
    }

    /// The highest revision of an entry that this process has seen; `None` when it has seen none,
    /// or evicted it from the cache.
    pub(super) fn highest_revision(&self, entry: EntryId) -> Option<i32> {
        self.0.revisions.highest(entry)
    }

    /// Remembers the revision of a committed row whose MAC was verified.
    pub(super) fn remember_revision(&self, entry: EntryId, revision: i32) {
        self.0.revisions.raise(entry, revision);
    }

    /// Whether an event that reports names that were not found is to be recorded at once. Otherwise
    /// it is counted here, and one later event carries the count.
    pub(super) fn records_miss(&self, event: &EventRow) -> bool {
        self.0.denials.records_miss(event)
    }

    fn now(&self) -> Timestamp {
        self.0.installation.now()
    }
}
