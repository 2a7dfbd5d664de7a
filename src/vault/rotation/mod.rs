//! Rotation: an operator replaces the data keys of projects (`data_keys`), or wraps all keys with
//! the current master key (`master_keys`). Both resume an interrupted run, and may run while
//! servers work. Replacing data keys seals every value again; wrapping leaves values as they are.

mod data_keys;
mod master_keys;

pub use data_keys::DataKeysReplaced;
pub use master_keys::{KeyStatus, MasterKeyUse, Rewrapped};

use super::audit::Audit;
use super::keys::Installation;
use super::wal::Wal;
use crate::domain::Timestamp;
use crate::store::Store;

/// Replaces keys. Cheap to clone.
#[derive(Clone)]
pub struct KeyRotation {
    store: Store,
    installation: Installation,
    audit: Audit,
    wal: Wal,
}

impl KeyRotation {
    pub(super) fn new(installation: Installation, audit: Audit, wal: Wal) -> Self {
        Self { store: installation.store().clone(), installation, audit, wal }
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }
}
