//! Verification: whether what is recorded is all that was recorded, as it was, and whether what is
//! stored agrees with it.
//!
//! `chains` walks along the chains of events and notes the newest change of each entry; `rows`
//! compares entries, settings and data keys with that. `breaks` says what can be wrong.

mod breaks;
mod chains;
mod rows;

pub use breaks::{Break, Verification};

use super::keys::Installation;
use crate::domain::Timestamp;
use crate::store::Store;

/// Verifies an installation's records. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    store: Store,
    installation: Installation,
}

impl Verifier {
    pub(super) fn new(installation: Installation) -> Self {
        Self { store: installation.store().clone(), installation }
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }
}
