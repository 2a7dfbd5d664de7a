//! Verification: checks that the chains hold every event as it was recorded, and that the stored
//! rows agree with the events.
//!
//! [`Verifier::verify`] first walks along the chains (`chains`), compares them with the signed
//! heads, and notes the newest change of each entry. Then it compares the rows of entries with
//! these changes, and verifies the MACs of settings and data keys (`rows`), and projects, milestones
//! and what is listed of them (`projects`). `readable` reads what others left unreadable. `breaks`
//! lists what can be found. `last` keeps when that was, and whether anything was found.

mod breaks;
mod chains;
mod last;
mod projects;
mod readable;
mod rows;

pub use breaks::{Break, Verification};
pub use last::LastVerification;
pub(super) use last::last_verification;

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
