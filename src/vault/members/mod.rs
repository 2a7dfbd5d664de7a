//! Members: which people hold a role in a project, which agents work on it, which organization
//! agents and runtimes belong to, and who may register projects or read every audit log. The tuples
//! are the truth.

mod agents;
mod operators;
mod registry;
mod roles;

pub use agents::{AgentAssignment, AgentChange};
pub use operators::Auditor;
pub use roles::{RoleChange, RoleHolder};

use super::access::Access;
use super::keys::Installation;
use super::tuples::Tuples;
use crate::domain::Timestamp;
use crate::store::Store;

/// Changes and reads the members of projects. Cheap to clone.
#[derive(Clone)]
pub struct Members {
    store: Store,
    installation: Installation,
    access: Access,
    tuples: Tuples,
}

impl Members {
    pub(super) fn new(installation: Installation, access: Access, tuples: Tuples) -> Self {
        Self { store: installation.store().clone(), installation, access, tuples }
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }
}
