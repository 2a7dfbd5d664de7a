//! Entries: reading, changing, their life and import.

mod change;
mod import;
mod input;
mod life;
mod reading;
mod rekeying;
mod rows;
mod values;

pub use import::{Import, Imported, OnConflict};
pub use input::{Change, EntryChanges, NewEntry, Rollback, Rotation};
pub(super) use reading::status;
pub use reading::{Entry, EntryFilter, EntryOrder, EntryQuery, OrderField, SealedHint, Usage, Version, page_versions};
pub(super) use rekeying::rekeyed;
pub(super) use rows::{Tampered, leaves_deleted, place, verify_candidate, verify_entry, verify_newest};
pub(super) use values::name;
