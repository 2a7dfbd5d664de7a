//! Queries of events, a page at a time.

use super::Audit;
use crate::domain::{AuditAction, AuditOutcome, EntryId, EventId, ProjectId, Result, Timestamp};
use crate::permission::{Authorized, CanAudit, CanAuditVault};
use crate::store::records::{EventRow, EventSelection};
use crate::vault::cursor::{List, Page, page_size};
use crate::vault::input::id;

/// Maximum number of events that one page examines for matches of its filter. So a page may be
/// short or empty and still report more: the next page resumes at its end cursor.
const MAX_SCANNED: i64 = 10_000;

/// An event as it was recorded.
pub type AuditEvent = EventRow;

/// The events to read, newest first: those that meet every condition.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Events about this entry.
    pub entry: Option<String>,
    /// Events of these actions.
    pub actions: Option<Vec<AuditAction>>,
    /// Events with these outcomes.
    pub outcomes: Option<Vec<AuditOutcome>>,
    /// Events at or after this instant.
    pub since: Option<Timestamp>,
    /// Events before this instant.
    pub until: Option<Timestamp>,
    /// Page size; 50 by default.
    pub first: Option<i32>,
    /// The cursor after which the page starts.
    pub after: Option<String>,
}

fn distinct<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all.dedup();
    all
}

impl Audit {
    /// A page of a project's events.
    ///
    /// # Errors
    /// INVALID_INPUT for a page size out of bounds, or a cursor of another list.
    pub async fn project_events(&self, by: &Authorized<CanAudit>, query: &AuditQuery) -> Result<Page<AuditEvent>> {
        self.page(Some(by.project()), query).await
    }

    /// A page of the events of one project, or of all projects, including deleted ones: for an
    /// auditor of the vault.
    ///
    /// # Errors
    /// As [`Self::project_events`]; also INVALID_INPUT when `project` is not a project id.
    pub async fn vault_events(
        &self,
        _: &Authorized<CanAuditVault>,
        project: Option<String>,
        query: &AuditQuery,
    ) -> Result<Page<AuditEvent>> {
        let project = match project {
            Some(project) => Some(id(ProjectId::parse(project), &["projectId"])?),
            None => None,
        };
        self.page(project.as_ref(), query).await
    }

    async fn page(&self, project: Option<&ProjectId>, query: &AuditQuery) -> Result<Page<AuditEvent>> {
        let size = page_size(query.first)?;
        let AuditQuery { entry, actions, outcomes, since, until, first: _, after } = query;
        let list = List::of(&(project, entry, actions, outcomes, since, until));
        let after = list.key::<(i64, uuid::Uuid)>(after.as_deref())?;
        let key = |(at, id): (Timestamp, EventId)| (at.millis(), id.0);
        let key_of = |event: &EventRow| key((event.occurred_at, event.id));
        let nothing = || list.page(Vec::new(), size, after.is_some(), key_of);
        let entry = match entry.as_deref().map(EntryId::parse) {
            Some(None) => return nothing(),
            entry => entry.flatten(),
        };
        if actions.as_ref().is_some_and(Vec::is_empty) || outcomes.as_ref().is_some_and(Vec::is_empty) {
            return nothing();
        }
        let mut conn = self.0.store.conn().await?;
        // Events have an index by entry. Selecting by the entry alone, without the project, makes
        // both databases use it.
        if let (Some(entry), Some(project)) = (entry, project)
            && conn.project_of_events(entry).await?.as_deref() != Some(project.as_str())
        {
            return nothing();
        }
        let mut selection = EventSelection {
            project: project.filter(|_| entry.is_none()).map(|project| project.as_str().to_owned()),
            entry,
            actions: actions.clone().map(distinct),
            outcomes: outcomes.clone().map(distinct),
            since: *since,
            until: *until,
            after: after.map(|(at, id)| (Timestamp::from_millis(at), EventId(id))),
            down_to: None,
            limit: size + 1,
        };
        if selection.actions.is_some() || selection.outcomes.is_some() {
            selection.down_to = conn.event_at(&selection, MAX_SCANNED).await?;
        }
        let found = conn.events_page(&selection).await?;
        let mut page = list.page(found, size, after.is_some(), key_of)?;
        if let (false, Some(last)) = (page.has_next, selection.down_to) {
            page.has_next = true;
            page.resume_after = Some(list.cursor(&key(last))?);
        }
        Ok(page)
    }
}
