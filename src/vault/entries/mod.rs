//! Entries: creating, changing, importing and reading them, and which of their names reach
//! sessions.
//!
//! `change` and `life` change an entry, each in one transaction with its event; `import` does so
//! for many. `reading` shows entries to people. `rows` makes and checks the MACs of rows,
//! `rekeying` puts an entry under another data key, and `values` holds the rules for what an entry
//! may hold.

mod change;
mod environment;
mod import;
mod input;
mod insert;
mod life;
mod reading;
mod rekeying;
mod rows;
mod values;

pub use environment::{EnvironmentChange, LeftOut};
pub use import::{Import, Imported, OnConflict};
pub use input::{Change, EntryChanges, NewEntry, Rollback, Rotation};
pub(super) use reading::status;
pub use reading::{Entry, EntryFilter, EntryOrder, EntryQuery, OrderField, SealedHint, Usage, Version, page_versions};
pub(super) use rekeying::rekeyed;
pub(super) use rows::{
    Tampered, ciphertext_context, differs_from_change, verify_candidate, verify_entry, verify_newest,
};

use super::access::Access;
use super::audit::Audit;
use super::keys::Installation;
use super::wal::Wal;
use crate::domain::{ReservedNames, Timestamp};
use crate::store::Store;

/// Changes and reads entries. Cheap to clone.
#[derive(Clone)]
pub struct Entries {
    store: Store,
    installation: Installation,
    access: Access,
    audit: Audit,
    wal: Wal,
    /// Names that no new entry may bear, and that no session receives.
    reserved: &'static ReservedNames,
}

impl Entries {
    pub(super) fn new(
        installation: Installation,
        access: Access,
        audit: Audit,
        wal: Wal,
        reserved: &'static ReservedNames,
    ) -> Self {
        Self { store: installation.store().clone(), installation, access, audit, wal, reserved }
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }
}
