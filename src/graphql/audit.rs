//! Audit events as the API shows them.

use super::connections::{connection, map};
use super::project::Agent;
use super::scalars::{DateTime, VaultAuditAction, VaultAuditOutcome, VaultResolvePurpose, VaultRole};
use crate::vault::{AuditEvent, AuditQuery, Page};
use async_graphql::{ID, InputObject, Object};

/// A record of an action that was done, denied or failed.
#[derive(Clone)]
pub(super) struct VaultAuditEvent(AuditEvent);

/// A record of an action that was done, denied or failed.
#[Object]
impl VaultAuditEvent {
    /// The event's id.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// When it occurred.
    async fn occurred_at(&self) -> DateTime {
        self.0.occurred_at.into()
    }

    /// The project it concerns; null for actions outside projects.
    async fn project_id(&self) -> Option<ID> {
        self.0.project.clone().map(ID)
    }

    /// The action that was done or attempted.
    async fn action(&self) -> VaultAuditAction {
        self.0.action.into()
    }

    /// Whether it was done, denied or failed.
    async fn outcome(&self) -> VaultAuditOutcome {
        self.0.outcome.into()
    }

    /// Why it was denied or failed: an error code, or EXPIRED.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The number of occurrences it stands for: repeated denials, refusals beyond a rate, or names
    /// that were not found; else 1.
    async fn count(&self) -> i32 {
        i32::try_from(self.0.count).unwrap_or(i32::MAX)
    }

    /// The principal that acted, such as user:alice or runtime:acme-runtime.
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// What the change concerned: a principal, team or organization, such as user:bob; a setting
    /// and its new value, such as environmentNames:SUFFIXED; or, for a change of an entry, the data
    /// key that encrypts it since, such as data-key:ID.
    async fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// The role it concerned.
    async fn role(&self) -> Option<VaultRole> {
        self.0.role.map(VaultRole::from)
    }

    /// The agent a runtime acted for.
    async fn agent(&self) -> Option<Agent> {
        self.0.agent.clone().map(|id| Agent { id: ID(id) })
    }

    /// The entry it concerned.
    async fn entry_id(&self) -> Option<ID> {
        self.0.entry.map(|id| ID(id.to_string()))
    }

    /// The entry's name at that time.
    async fn entry_name(&self) -> Option<&str> {
        self.0.entry_name.as_deref()
    }

    /// The entry's version at that time.
    async fn entry_version(&self) -> Option<i32> {
        self.0.entry_version
    }

    /// The milestone it concerned.
    async fn milestone_id(&self) -> Option<ID> {
        self.0.milestone.clone().map(ID)
    }

    /// The purpose of a resolve.
    async fn purpose(&self) -> Option<VaultResolvePurpose> {
        self.0.purpose.map(VaultResolvePurpose::from)
    }

    /// The coding session a resolve named.
    async fn session_id(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// The tool a resolve named.
    async fn tool(&self) -> Option<&str> {
        self.0.tool.as_deref()
    }

    /// The id of the request it belongs to.
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

/// The conditions an event of the list meets, all of them. A condition left out holds for every
/// event; an empty list holds for none.
#[derive(InputObject, Default)]
pub(super) struct VaultAuditFilter {
    /// The event concerns this entry.
    entry_id: Option<ID>,
    /// The event records one of these actions.
    actions: Option<Vec<VaultAuditAction>>,
    /// The action had one of these outcomes.
    outcomes: Option<Vec<VaultAuditOutcome>>,
    /// The event occurred at this time or later.
    since: Option<DateTime>,
    /// The event occurred before this time.
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
