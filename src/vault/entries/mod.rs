//! Entries, the credentials of a project: creating, changing, importing and reading them, and the
//! rule for which of their names reach agents' sessions.
//!
//! A change takes these steps: authorize the caller; take the project's lock and authorize again;
//! verify the MAC of the entry's row; change the row and sign it again; append the event; commit.
//! Only the folder `agent` opens values for release; here, values are opened only to seal them
//! again.
//!
//! - `change` creates, updates, rotates and rolls back; `life` disables, deletes, restores and
//!   purges; `import` creates or rotates many entries in one transaction, and `import_preview` shows
//!   what it would do.
//! - `input` has what callers pass in, and `values` the rules for it.
//! - `insert` writes new rows; `rows` makes and verifies the MACs of rows; `rekeying` seals an
//!   entry again under another data key.
//! - `reading` shows entries to people, and `lists` reads pages of them, some of which `remembered`
//!   keeps; `summary` counts them; `environment` sets which names reach sessions.

mod change;
mod environment;
mod import;
mod import_preview;
mod input;
mod insert;
mod life;
mod lists;
mod reading;
mod rekeying;
mod remembered;
mod rows;
mod summary;
mod values;

pub use environment::{EnvironmentChange, LeftOut};
pub use import::{Import, Imported, OnConflict};
pub use import_preview::{ImportChange, ImportLine};
pub use input::{Change, EntryChanges, NewEntry, Rollback, Rotation};
pub use lists::{EntryFilter, EntryList, EntryListPage, EntryOrder, EntryQuery, ListViewer, OrderField};
pub(super) use reading::status;
pub use reading::{Entry, EntryFacts, SealedHint, Usage, Version, page_versions};
pub(super) use rekeying::rekeyed;
pub(super) use rows::{
    Tampered, ciphertext_context, differs_from_change, verify_candidate, verify_entry, verify_newest,
};

pub use summary::Summary;

use super::access::Access;
use super::audit::Audit;
use super::keys::Installation;
use super::wal::Wal;
use crate::domain::{ReservedNames, Timestamp};
use crate::store::Store;
use remembered::RememberedPages;

/// Changes and reads entries. Cheap to clone.
#[derive(Clone)]
pub struct Entries {
    store: Store,
    installation: Installation,
    access: Access,
    audit: Audit,
    wal: Wal,
    /// Reserved names, which no new entry may have and no session receives.
    reserved: &'static ReservedNames,
    remembered: RememberedPages,
}

impl Entries {
    pub(super) fn new(
        installation: Installation,
        access: Access,
        audit: Audit,
        wal: Wal,
        reserved: &'static ReservedNames,
    ) -> Self {
        let store = installation.store().clone();
        Self { store, installation, access, audit, wal, reserved, remembered: RememberedPages::default() }
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }
}
