//! Callers, and the authors of audit events.

use super::{AgentId, MilestoneId, ProjectId, RuntimeId, ServiceId, TokenKind, UserId};
use std::collections::BTreeSet;

/// The caller that a verified token identifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A person.
    User(UserId),
    /// The platform that owns projects.
    Service(ServiceId),
    /// An agent runtime, with the limits of its token.
    Runtime(RuntimeId, Narrowing),
}

impl Principal {
    /// Its kind, without its id.
    #[must_use]
    pub const fn kind(&self) -> TokenKind {
        match self {
            Self::User(_) => TokenKind::User,
            Self::Service(_) => TokenKind::Service,
            Self::Runtime(..) => TokenKind::Runtime,
        }
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Service(id) => write!(f, "service:{id}"),
            Self::Runtime(id, _) => write!(f, "runtime:{id}"),
        }
    }
}

/// The limits of a runtime's token, by its `vault:*` claims; nothing set means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Narrowing {
    /// Only this project.
    pub project: Option<ProjectId>,
    /// Only this agent.
    pub agent: Option<AgentId>,
    /// Only this milestone, with the project's own entries.
    pub milestone: Option<MilestoneId>,
    /// Only these names.
    pub names: Option<BTreeSet<String>>,
}

/// The author of an audit event: a principal, or a part of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A caller.
    Principal(Principal),
    /// An operator's command.
    Operator,
    /// The background job that erases what has passed its retention.
    Sweeper,
    /// The background job that finishes changes of tuples.
    Outbox,
    /// The limiter that counts denials instead of recording each, as the author of an event that
    /// stands for several callers.
    RateLimiter,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Principal(principal) => principal.fmt(f),
            Self::Operator => f.write_str("operator:cli"),
            Self::Sweeper => f.write_str("system:sweeper"),
            Self::Outbox => f.write_str("system:outbox"),
            Self::RateLimiter => f.write_str("system:rate-limiter"),
        }
    }
}
