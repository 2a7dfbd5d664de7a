//! Reading what was recorded.

use super::cursor::{List, Page, page_size};
use super::{Caller, Vault};
use crate::authz::{Authorized, CanAudit, CanAuditVault, Held as _, Question};
use crate::domain::{AuditAction, AuditOutcome, EntryId, Error, EventId, ProjectId, Result, Timestamp};
use crate::store::records::{EventRow, EventSelection};

/// An event as it was recorded.
pub type AuditEvent = EventRow;

/// Which events are read, newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// About this entry.
    pub entry: Option<String>,
    /// Of one of these kinds.
    pub actions: Option<Vec<AuditAction>>,
    /// With one of these ends.
    pub outcomes: Option<Vec<AuditOutcome>>,
    /// From this instant on.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// How many, 50 where nothing is said.
    pub first: Option<i32>,
    /// After this cursor.
    pub after: Option<String>,
}

fn distinct<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all.dedup();
    all
}

impl Vault {
    /// A project's events.
    ///
    /// # Errors
    /// INVALID_INPUT for a page size or a cursor that is not this list's.
    pub async fn audit_events(&self, by: &Authorized<CanAudit>, query: &AuditQuery) -> Result<Page<AuditEvent>> {
        self.events(Some(by.project()), query).await
    }

    /// Events of one project, or of all, also of projects that are gone: for an auditor of the vault.
    ///
    /// # Errors
    /// FORBIDDEN for everybody else; INVALID_INPUT as above.
    pub async fn vault_audit_events(
        &self,
        caller: &Caller,
        project: Option<String>,
        query: &AuditQuery,
    ) -> Result<Page<AuditEvent>> {
        let question = Question::on_vault(&caller.principal, CanAuditVault::PERMISSION);
        let decision = self.0.authorizer.decide(&[question]).await?.pop();
        if !decision.is_some_and(|decision| decision.is_allowed()) {
            return Err(Error::Forbidden("Only an auditor of the vault may read this."));
        }
        let project = match project {
            Some(project) => Some(super::roles::id(ProjectId::parse(project), &["projectId"])?),
            None => None,
        };
        self.events(project.as_ref(), query).await
    }

    async fn events(&self, project: Option<&ProjectId>, query: &AuditQuery) -> Result<Page<AuditEvent>> {
        let size = page_size(query.first)?;
        let AuditQuery { entry, actions, outcomes, since, until, first: _, after } = query;
        let list = List::of(&(project, entry, actions, outcomes, since, until));
        let after = list.key::<(i64, uuid::Uuid)>(after.as_deref())?;
        let entry = entry.as_deref().map(EntryId::parse);
        let nothing = entry == Some(None)
            || actions.as_ref().is_some_and(Vec::is_empty)
            || outcomes.as_ref().is_some_and(Vec::is_empty);
        let found = if nothing {
            Vec::new()
        } else {
            let selection = EventSelection {
                project: project.map(|project| project.as_str().to_owned()),
                entry: entry.flatten(),
                actions: actions.clone().map(distinct),
                outcomes: outcomes.clone().map(distinct),
                since: *since,
                until: *until,
                after: after.map(|(at, id)| (Timestamp::from_millis(at), EventId(id))),
                limit: size + 1,
            };
            self.0.store.conn().await?.events_page(&selection).await?
        };
        list.page(found, size, after.is_some(), |event| (event.occurred_at.millis(), event.id.0))
    }
}
