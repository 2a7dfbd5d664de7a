//! Members: the roles of people in a project, the agents assigned to it, the organizations of
//! agents and runtimes, and the registrars and auditors of the vault. All of this is stored as
//! tuples only; every change goes through the outbox ([`Tuples`]).

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

/// Changes and reads roles, assignments and organizations. Cheap to clone.
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
