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
pub(super) use rows::{place, verify_candidate};
pub(super) use values::name;
