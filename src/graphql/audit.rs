//! Audit events as the API shows them.

use super::connections::{connection, map};
use super::project::Agent;
use super::scalars::{DateTime, VaultAuditAction, VaultAuditOutcome, VaultResolvePurpose, VaultRole};
use crate::vault::{AuditEvent, AuditQuery, Page};
use async_graphql::{ID, InputObject, Object};

/// Something that was done, refused or failed.
#[derive(Clone)]
pub(super) struct VaultAuditEvent(AuditEvent);

/// Something that was done, refused or failed.
#[Object]
impl VaultAuditEvent {
    /// Its id.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// When it happened.
    async fn occurred_at(&self) -> DateTime {
        self.0.occurred_at.into()
    }

    /// In which project.
    async fn project_id(&self) -> Option<ID> {
        self.0.project.clone().map(ID)
    }

    /// What was done, or attempted.
    async fn action(&self) -> VaultAuditAction {
        self.0.action.into()
    }

    /// How it ended.
    async fn outcome(&self) -> VaultAuditOutcome {
        self.0.outcome.into()
    }

    /// Why it was denied or failed: an error code, or EXPIRED.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// How many it stands for: repeated denials, refusals beyond a rate, or names that were not found; else 1.
    async fn count(&self) -> i32 {
        i32::try_from(self.0.count).unwrap_or(i32::MAX)
    }

    /// Such as user:alice, runtime:acme-runtime.
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// Whom the change concerned: a user, team, agent, runtime, organization or principal, such as user:bob; a setting and its
    /// new value, such as environmentNames:SUFFIXED; or, of an entry's change, the data key that the entry is under since, such
    /// as data-key:ID.
    async fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// Which role it was about.
    async fn role(&self) -> Option<VaultRole> {
        self.0.role.map(VaultRole::from)
    }

    /// The agent a runtime acted for.
    async fn agent(&self) -> Option<Agent> {
        self.0.agent.clone().map(|id| Agent { id: ID(id) })
    }

    /// Which entry it was about.
    async fn entry_id(&self) -> Option<ID> {
        self.0.entry.map(|id| ID(id.to_string()))
    }

    /// The entry's name then.
    async fn entry_name(&self) -> Option<&str> {
        self.0.entry_name.as_deref()
    }

    /// The entry's version then.
    async fn entry_version(&self) -> Option<i32> {
        self.0.entry_version
    }

    /// Which milestone it was about.
    async fn milestone_id(&self) -> Option<ID> {
        self.0.milestone.clone().map(ID)
    }

    /// What a resolve was for.
    async fn purpose(&self) -> Option<VaultResolvePurpose> {
        self.0.purpose.map(VaultResolvePurpose::from)
    }

    /// The coding session.
    async fn session_id(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// The tool.
    async fn tool(&self) -> Option<&str> {
        self.0.tool.as_deref()
    }

    /// The request it belongs to.
    async fn request_id(&self) -> &str {
        &self.0.request_id
    }
}

connection!(VaultAuditEventConnection { page: Page<VaultAuditEvent> }, VaultAuditEventEdge);

impl From<Page<AuditEvent>> for VaultAuditEventConnection {
    fn from(page: Page<AuditEvent>) -> Self {
        Self { page: map(page, VaultAuditEvent) }
    }
}

/// Which events are listed. A field left out filters nothing, an empty list matches nothing.
#[derive(InputObject, Default)]
pub(super) struct VaultAuditFilter {
    /// About this entry.
    entry_id: Option<ID>,
    /// Of one of these kinds.
    actions: Option<Vec<VaultAuditAction>>,
    /// With one of these ends.
    outcomes: Option<Vec<VaultAuditOutcome>>,
    /// From this instant on.
    since: Option<DateTime>,
    /// Before this instant.
    until: Option<DateTime>,
}

pub(super) fn audit_query(first: Option<i32>, after: Option<String>, filter: Option<VaultAuditFilter>) -> AuditQuery {
    let filter = filter.unwrap_or_default();
    AuditQuery {
        entry: filter.entry_id.map(|id| id.0),
        actions: filter.actions.map(|actions| actions.into_iter().map(Into::into).collect()),
        outcomes: filter.outcomes.map(|outcomes| outcomes.into_iter().map(Into::into).collect()),
        since: filter.since.map(|at| at.0),
        until: filter.until.map(|at| at.0),
        first,
        after,
    }
}
