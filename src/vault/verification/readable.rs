//! Reads rows of which some cannot be read, since a change by hand left a value in a column that
//! is none of its type. A batch with such a row is read again row by row: the row is a finding, and
//! the others are verified.

use super::Verifier;
use super::breaks::{Break, Verification};
use crate::domain::{ChainId, DataKeyId, EntryId, ProjectId, Result};
use crate::store::records::{ChainRow, ChainedEvent, DataKeyRow, EntryRow, ProjectState, ReplacedKeyRow};
use crate::store::{self, Error};

/// An event as it is stored.
pub(super) enum StoredEvent {
    /// One that was read.
    Read(Box<ChainedEvent>),
    /// One that cannot be read, by its position.
    Unreadable(i64),
}

impl StoredEvent {
    pub(super) const fn seq(&self) -> i64 {
        match self {
            Self::Read(event) => event.link.seq,
            Self::Unreadable(seq) => *seq,
        }
    }
}

/// Rows, and the id of the last one that was tried; no id if there were none.
pub(super) type Batch<T, Id> = (Vec<T>, Option<Id>);

/// The answer of a query; `None` if a row of it cannot be read.
pub(super) fn readable<T>(answer: store::Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Unreadable(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn unreadable(table: &'static str, id: &impl ToString) -> Break {
    Break::Unreadable { table, id: id.to_string() }
}

impl Verifier {
    /// A chain's events after position `after`, in order; at most `limit`.
    pub(super) async fn stored_events(&self, chain: ChainId, after: i64, limit: i64) -> Result<Vec<StoredEvent>> {
        let mut conn = self.store.conn().await?;
        if let Some(events) = readable(conn.chain_events(chain, after, limit).await)? {
            return Ok(events.into_iter().map(|event| StoredEvent::Read(Box::new(event))).collect());
        }
        let mut events = Vec::new();
        let mut before = after;
        for seq in conn.chain_positions(chain, after, limit).await? {
            match readable(conn.chain_events(chain, before, 1).await)? {
                // Another one if retention erased it meanwhile.
                Some(found) => {
                    let found = found.into_iter().filter(|event| event.link.seq == seq);
                    events.extend(found.map(|event| StoredEvent::Read(Box::new(event))));
                }
                None => events.push(StoredEvent::Unreadable(seq)),
            }
            before = seq;
        }
        Ok(events)
    }

    /// The chains.
    pub(super) async fn stored_chains(&self, found: &mut Verification) -> Result<Vec<ChainRow>> {
        let mut conn = self.store.conn().await?;
        if let Some(chains) = readable(conn.chain_rows().await)? {
            return Ok(chains);
        }
        let mut chains = Vec::new();
        for id in conn.chain_ids().await? {
            match readable(conn.chain_row(id).await)? {
                Some(chain) => chains.extend(chain),
                None => found.breaks.push(unreadable("audit_chains", &id)),
            }
        }
        Ok(chains)
    }

    /// Data keys with ids after `after`, by id.
    pub(super) async fn stored_data_keys(
        &self,
        after: DataKeyId,
        limit: i64,
        found: &mut Verification,
    ) -> Result<Batch<DataKeyRow, DataKeyId>> {
        let mut conn = self.store.conn().await?;
        if let Some(rows) = readable(conn.data_keys_after(after, limit).await)? {
            let last = rows.last().map(|row| row.id);
            return Ok((rows, last));
        }
        let ids = conn.data_key_ids_after(after, limit).await?;
        let mut rows = Vec::new();
        for id in &ids {
            match readable(conn.data_key(*id).await)? {
                Some(row) => rows.extend(row),
                None => found.breaks.push(unreadable("data_keys", id)),
            }
        }
        Ok((rows, ids.last().copied()))
    }

    /// Rows that list replaced data keys, with ids after `after`, by id.
    pub(super) async fn stored_replaced_keys(
        &self,
        after: DataKeyId,
        limit: i64,
        found: &mut Verification,
    ) -> Result<Batch<ReplacedKeyRow, DataKeyId>> {
        let mut conn = self.store.conn().await?;
        if let Some(rows) = readable(conn.replaced_keys_after(after, limit).await)? {
            let last = rows.last().map(|row| row.id);
            return Ok((rows, last));
        }
        let ids = conn.replaced_key_ids_after(after, limit).await?;
        let mut rows = Vec::new();
        for id in &ids {
            match readable(conn.replaced_key(*id).await)? {
                Some(row) => rows.extend(row),
                None => found.breaks.push(unreadable("replaced_data_keys", id)),
            }
        }
        Ok((rows, ids.last().copied()))
    }

    /// Projects with ids after `after`, by id.
    pub(super) async fn stored_projects(
        &self,
        after: &str,
        limit: i64,
        found: &mut Verification,
    ) -> Result<Batch<ProjectState, String>> {
        let mut conn = self.store.conn().await?;
        if let Some(rows) = readable(conn.project_states_after(after, limit).await)? {
            let last = rows.last().map(|row| row.id.as_str().to_owned());
            return Ok((rows, last));
        }
        let ids = conn.project_ids_after(after, limit).await?;
        let mut rows = Vec::new();
        for id in &ids {
            match readable(conn.project_state(id).await)? {
                Some(row) => rows.extend(row),
                None => found.breaks.push(unreadable("projects", id)),
            }
        }
        Ok((rows, ids.last().map(|id| id.as_str().to_owned())))
    }

    /// Those of these projects that have a row, whether it can be read or not.
    pub(super) async fn existing_projects(&self, projects: &[ProjectId]) -> Result<Vec<ProjectId>> {
        let mut conn = self.store.conn().await?;
        if let Some(rows) = readable(conn.projects_by_id(projects).await)? {
            return Ok(rows.into_iter().map(|row| row.id).collect());
        }
        let mut existing = Vec::new();
        for project in projects {
            let row = readable(conn.projects_by_id(std::slice::from_ref(project)).await)?;
            if row.is_none_or(|row| !row.is_empty()) {
                existing.push(project.clone());
            }
        }
        Ok(existing)
    }

    /// The newest changes of entries with ids after `after`, with the entries' rows, and those of
    /// these entries whose row or newest event cannot be read. `None` for the whole batch if all
    /// can be.
    pub(super) async fn stored_changes(
        &self,
        after: EntryId,
        limit: i64,
    ) -> Result<(Vec<(ChainedEvent, Option<EntryRow>)>, Option<Vec<EntryId>>)> {
        let mut conn = self.store.conn().await?;
        if let Some(rows) = readable(conn.newest_changes(after, limit).await)? {
            return Ok((rows, None));
        }
        let mut rows = Vec::new();
        let mut tried = Vec::new();
        for entry in conn.changed_entries(after, limit).await? {
            if let Some(changes) = readable(conn.newest_changes_of(entry).await)? {
                rows.extend(changes);
            }
            tried.push(entry);
        }
        Ok((rows, Some(tried)))
    }
}
