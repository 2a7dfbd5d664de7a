//! Partitions of the outbox.

use crate::domain::{AgentId, ProjectId, RuntimeId};

/// A part of the outbox whose rows are applied in order.
#[derive(Debug, Clone, Copy)]
pub(in crate::vault) enum OutboxPartition<'a> {
    /// The tuples of one project and its milestones.
    Project(&'a ProjectId),
    /// The organization of one agent.
    Agent(&'a AgentId),
    /// The organization of one runtime.
    Runtime(&'a RuntimeId),
    /// The registrars and auditors of the vault.
    Vault,
}

impl std::fmt::Display for OutboxPartition<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project:{id}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Runtime(id) => write!(f, "runtime:{id}"),
            Self::Vault => f.write_str("vault"),
        }
    }
}
