//! Audit events as the API shows them.

use super::connections::connection;
use super::references::Agent;
use super::scalars::{DateTime, VaultAuditAction, VaultAuditOutcome, VaultResolvePurpose, VaultRole, int};
use crate::vault::{AuditEvent, AuditQuery, Page};
use async_graphql::{ID, InputObject, Object};

/// A record of an action that was done, denied or failed.
#[derive(Clone)]
pub(super) struct VaultAuditEvent(AuditEvent);

/// A record of an action that was done, denied or failed.
#[Object]
impl VaultAuditEvent {
    /// The event's id, a UUID.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// When the action happened.
    async fn occurred_at(&self) -> DateTime {
        self.0.occurred_at.into()
    }

    /// The project the event belongs to; null for an event of no project.
    async fn project_id(&self) -> Option<ID> {
        self.0.project.clone().map(ID)
    }

    /// The action that was done or attempted.
    async fn action(&self) -> VaultAuditAction {
        self.0.action.into()
    }

    /// How the action ended.
    async fn outcome(&self) -> VaultAuditOutcome {
        self.0.outcome.into()
    }

    /// Why the action was denied or failed: an error code, or EXPIRED; null when it was ALLOWED.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// Number of occurrences that the event stands for: repeated denials, denials beyond the rate
    /// limit, or names that were not answered; otherwise 1.
    async fn count(&self) -> i32 {
        int(self.0.count)
    }

    /// The kind and id of the caller, such as user:alice, runtime:acme-runtime or system:sweeper.
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// What the change concerned: a user, team, agent, runtime, organization or principal, such as
    /// user:bob; a setting and its new value, such as environmentNames:SUFFIXED; or, for a change
    /// of an entry, the data key that encrypts the entry since, such as data-key:ID. Null
    /// otherwise.
    async fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// The role that was assigned or revoked; null for other actions.
    async fn role(&self) -> Option<VaultRole> {
        self.0.role.map(VaultRole::from)
    }

    /// The agent that a runtime acted for, or that a preview asked about; null otherwise.
    async fn agent(&self) -> Option<Agent> {
        self.0.agent.clone().map(|id| Agent { id: ID(id) })
    }

    /// The entry that the action concerned; null without one.
    async fn entry_id(&self) -> Option<ID> {
        self.0.entry.map(|id| ID(id.to_string()))
    }

    /// The entry's name at that time; null without an entry.
    async fn entry_name(&self) -> Option<&str> {
        self.0.entry_name.as_deref()
    }

    /// The entry's version at that time; null without an entry.
    async fn entry_version(&self) -> Option<i32> {
        self.0.entry_version
    }

    /// The milestone that the action concerned; null without one.
    async fn milestone_id(&self) -> Option<ID> {
        self.0.milestone.clone().map(ID)
    }

    /// What a resolve was for; null for other actions.
    async fn purpose(&self) -> Option<VaultResolvePurpose> {
        self.0.purpose.map(VaultResolvePurpose::from)
    }

    /// The sessionId that the resolve was called with; null without one.
    async fn session_id(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// The tool that the resolve was called with; null without one.
    async fn tool(&self) -> Option<&str> {
        self.0.tool.as_deref()
    }

    /// The id of the request, as in its X-Request-Id header and the logs.
    async fn request_id(&self) -> &str {
        &self.0.request_id
    }
}

connection!(VaultAuditEventConnection { page: Page<VaultAuditEvent> }, VaultAuditEventEdge);

impl From<Page<AuditEvent>> for VaultAuditEventConnection {
    fn from(page: Page<AuditEvent>) -> Self {
        Self { page: page.map(VaultAuditEvent) }
    }
}

/// Selects audit events. A field left out or null filters nothing; an empty list matches nothing.
#[derive(InputObject, Default)]
pub(super) struct VaultAuditFilter {
    /// Events about this entry.
    entry_id: Option<ID>,
    /// Events with one of these actions.
    actions: Option<Vec<VaultAuditAction>>,
    /// Events with one of these outcomes.
    outcomes: Option<Vec<VaultAuditOutcome>>,
    /// Events by one of these actors, each as in VaultAuditEvent.actor, such as user:alice; at most
    /// 100.
    actors: Option<Vec<String>>,
    /// Events at or after this instant.
    since: Option<DateTime>,
    /// Events before this instant.
    until: Option<DateTime>,
}

pub(super) fn audit_query(first: Option<i32>, after: Option<String>, filter: Option<VaultAuditFilter>) -> AuditQuery {
    let filter = filter.unwrap_or_default();
    AuditQuery {
        entry: filter.entry_id.map(|id| id.0),
        actions: filter.actions.map(|actions| actions.into_iter().map(Into::into).collect()),
        outcomes: filter.outcomes.map(|outcomes| outcomes.into_iter().map(Into::into).collect()),
        actors: filter.actors,
        since: filter.since.map(|at| at.0),
        until: filter.until.map(|at| at.0),
        first,
        after,
    }
}
