//! The audit log. Every action that was done, denied or failed is recorded as an event (repeated
//! denials share one), and every event belongs to a hash chain, so that changing, removing or
//! reordering one shows. A decoy is a fake event: it is written for the denial of an object that
//! does not exist, belongs to no chain, and is erased soon after.
//!
//! - [`events`] builds events; `recorder` commits them, many calls at once; `denials` bounds how
//!   many refusals become events.
//! - `chains` appends events to chains; `heads` signs the ends of chains; `retention` cuts off what
//!   is past its time; `receipts` are signed statements for others.
//! - `query` and `export` read events; `exposures` reads which agents received a value.
//! - `revisions` remembers the highest revision of each entry, so that an old row shows.
//!
//! Verifying all of it is in `verification`, since that compares events with the rows of entries.

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
pub(super) use denials::{Allowance, Denial, Named, Rate};
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
use chains::OwnChains;
use denials::Denials;
use heads::ClaimedHeads;
use recorder::{Recorder, recorder};
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
    chains: OwnChains,
    claimed_heads: ClaimedHeads,
    denials: Denials,
    recorder: Recorder,
    revisions: Revisions,
    /// Whether the database may hold decoys.
    decoys_written: AtomicBool,
}

impl Audit {
    pub(super) fn new(installation: Installation, wal: Wal) -> Self {
        Self(Arc::new(State {
            store: installation.store().clone(),
            installation,
            wal,
            chains: OwnChains::default(),
            claimed_heads: ClaimedHeads::default(),
            denials: Denials::default(),
            recorder: recorder(),
            revisions: Revisions::default(),
            decoys_written: AtomicBool::new(true),
        }))
    }

    /// The highest revision of an entry that this process has seen and still remembers.
    pub(super) fn highest_revision(&self, entry: EntryId) -> Option<i32> {
        self.0.revisions.highest(entry)
    }

    /// Remembers the revision of a row that is committed and authentic.
    pub(super) fn remember_revision(&self, entry: EntryId, revision: i32) {
        self.0.revisions.raise(entry, revision);
    }

    /// Decides whether an event about names that were not found is recorded by itself, and counts
    /// it if not; the count becomes an event later.
    pub(super) fn count_miss(&self, event: &EventRow) -> bool {
        self.0.denials.count_miss(event)
    }

    fn now(&self) -> Timestamp {
        self.0.installation.now()
    }
}
