//! Reading events.

use super::Audit;
use crate::domain::{AuditAction, AuditOutcome, EntryId, Error, EventId, ProjectId, Result, Timestamp};
use crate::permission::{Authorized, CanAudit, CanAuditVault};
use crate::store::records::{EventRow, EventSelection};
use crate::vault::cursor::{List, Page, page_size};
use crate::vault::input::id;

/// Maximum number of events that one page examines for those that match a filter. A page may
/// therefore be short, or empty, and still have a next one, which begins at its end cursor.
const MAX_SCANNED: i64 = 10_000;

/// Maximum number of actors in a filter.
const MAX_ACTORS: usize = 100;

/// An event as it was recorded.
pub type AuditEvent = EventRow;

/// Selects events, newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Events that concern this entry.
    pub entry: Option<String>,
    /// Events that record one of these actions.
    pub actions: Option<Vec<AuditAction>>,
    /// Events with one of these outcomes.
    pub outcomes: Option<Vec<AuditOutcome>>,
    /// Events by one of these actors, each with its kind, such as `user:alice`.
    pub actors: Option<Vec<String>>,
    /// Events at this instant or later.
    pub since: Option<Timestamp>,
    /// Events before this instant.
    pub until: Option<Timestamp>,
    /// The page size, by default 50.
    pub first: Option<i32>,
    /// Events after this cursor.
    pub after: Option<String>,
}

fn distinct<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all.dedup();
    all
}

impl Audit {
    /// A project's events.
    ///
    /// # Errors
    /// INVALID_INPUT for a page size or a cursor that is not this list's.
    pub async fn project_events(&self, by: &Authorized<CanAudit>, query: &AuditQuery) -> Result<Page<AuditEvent>> {
        self.page(Some(by.project()), query).await
    }

    /// Events of one project, or of all of them, deleted projects included: for an auditor of the
    /// vault.
    ///
    /// # Errors
    /// As [`Self::project_events`]; INVALID_INPUT also for a text that is no project id.
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
        let AuditQuery { entry, actions, outcomes, actors, since, until, first: _, after } = query;
        let list = match actors {
            // As before there was this filter, so that cursors stay valid.
            None => List::of(&(project, entry, actions, outcomes, since, until)),
            Some(actors) => List::of(&(project, entry, actions, outcomes, since, until, actors)),
        };
        if actors.as_ref().is_some_and(|actors| actors.len() > MAX_ACTORS) {
            return Err(Error::limit(&["filter", "actors"], format!("Name at most {MAX_ACTORS} actors at once.")));
        }
        let after = list.key::<(i64, uuid::Uuid)>(after.as_deref())?;
        let key = |(at, id): (Timestamp, EventId)| (at.millis(), id.0);
        let key_of = |event: &EventRow| key((event.occurred_at, event.id));
        let nothing = || list.page(Vec::new(), size, after.is_some(), key_of);
        let entry = match entry.as_deref().map(EntryId::parse) {
            Some(None) => return nothing(),
            entry => entry.flatten(),
        };
        let matches_nothing = actions.as_ref().is_some_and(Vec::is_empty)
            || outcomes.as_ref().is_some_and(Vec::is_empty)
            || actors.as_ref().is_some_and(Vec::is_empty);
        if matches_nothing {
            return nothing();
        }
        let mut conn = self.0.store.conn().await?;
        // The query filters by the entry only, so that both databases use the index of entries; the
        // project is checked here.
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
            actors: actors.clone().map(distinct),
            since: *since,
            until: *until,
            after: after.map(|(at, id)| (Timestamp::from_millis(at), EventId(id))),
            down_to: None,
            limit: size + 1,
        };
        if selection.actions.is_some() || selection.outcomes.is_some() || selection.actors.is_some() {
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
