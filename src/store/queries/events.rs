//! Audit events.

use super::super::backend::{Connection, Db, one_of};
use super::super::schema::{audit_decoys, audit_events, entries, exposures, versions};
use crate::domain::{EntryId, EventId, Timestamp};
use crate::store::records::{ChainedEvent, EventRow, EventSelection, ExposureRow};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

/// Names columns once, for a constant and its type.
macro_rules! columns {
    ($(#[$meta:meta])* $name:ident = $($column:ident),+ $(,)?) => {
        $(#[$meta])*
        pub const $name: ($(audit_events::$column,)+) = ($(audit_events::$column,)+);
    };
}

columns! {
    /// The columns of an [`EventRow`].
    EVENT = id, occurred_at, project_id, action, outcome, reason, count, actor, subject, role, agent_id, entry_id, entry_name, entry_version, entry_revision, milestone_id, purpose, session_id, tool, request_id,
}

columns! {
    /// The columns of a [`crate::store::records::Link`].
    LINK = chain_id, seq, prev, mac,
}

/// Builds the query that all reads of a selection share.
macro_rules! selected {
    ($selection:ident) => {{
        let mut query = audit_events::table.into_boxed::<Db>();
        if let Some(project) = &$selection.project {
            query = query.filter(audit_events::project_id.eq(project));
        }
        if let Some(entry) = $selection.entry {
            query = query.filter(audit_events::entry_id.eq(entry));
        }
        if let Some(actions) = &$selection.actions {
            query = query.filter(one_of(audit_events::action, actions));
        }
        if let Some(outcomes) = &$selection.outcomes {
            query = query.filter(one_of(audit_events::outcome, outcomes));
        }
        if let Some(actors) = &$selection.actors {
            query = query.filter(one_of(audit_events::actor, actors));
        }
        if let Some(since) = $selection.since {
            query = query.filter(audit_events::occurred_at.ge(since));
        }
        if let Some(until) = $selection.until {
            query = query.filter(audit_events::occurred_at.lt(until));
        }
        query
    }};
}

/// Restricts a query to the events between two, newest first. Both databases bound the index scan
/// by the comparison of instants alone, which the full comparison implies.
macro_rules! between {
    ($query:ident, $selection:ident) => {
        if let Some((at, id)) = $selection.after {
            $query = $query.filter(audit_events::occurred_at.le(at)).filter(
                audit_events::occurred_at.lt(at).or(audit_events::occurred_at.eq(at).and(audit_events::id.lt(id))),
            );
        }
        if let Some((at, id)) = $selection.down_to {
            $query = $query.filter(audit_events::occurred_at.ge(at)).filter(
                audit_events::occurred_at.gt(at).or(audit_events::occurred_at.eq(at).and(audit_events::id.ge(id))),
            );
        }
    };
}

/// The project of an entry's events; all of them are in one project.
pub async fn project_of_events(conn: &mut Connection, entry: EntryId) -> QueryResult<Option<String>> {
    let newest = audit_events::table
        .filter(audit_events::entry_id.eq(entry))
        .order((audit_events::occurred_at.desc(), audit_events::id.desc()))
        .select(audit_events::project_id);
    Ok(newest.first::<Option<String>>(conn).await.optional()?.flatten())
}

/// The event at a position of a selection, from 1; `None` if there are fewer. Only the parts of the
/// selection that an index is ordered by apply: its entry or project, and its bounds in time.
pub async fn event_at(
    conn: &mut Connection,
    selection: &EventSelection,
    place: i64,
) -> QueryResult<Option<(Timestamp, EventId)>> {
    let indexed = &EventSelection { actions: None, outcomes: None, actors: None, ..selection.clone() };
    let mut query = selected!(indexed);
    between!(query, indexed);
    query
        .order((audit_events::occurred_at.desc(), audit_events::id.desc()))
        .offset(place - 1)
        .limit(1)
        .select((audit_events::occurred_at, audit_events::id))
        .first(conn)
        .await
        .optional()
}

pub async fn events_page(conn: &mut Connection, selection: &EventSelection) -> QueryResult<Vec<EventRow>> {
    let mut query = selected!(selection);
    between!(query, selection);
    query
        .order((audit_events::occurred_at.desc(), audit_events::id.desc()))
        .limit(selection.limit)
        .select(EVENT)
        .load(conn)
        .await
}

pub async fn events_after(
    conn: &mut Connection,
    selection: &EventSelection,
    after: Option<(Timestamp, EventId)>,
) -> QueryResult<Vec<ChainedEvent>> {
    let mut query = selected!(selection);
    if let Some((at, id)) = after {
        query = query
            .filter(audit_events::occurred_at.gt(at).or(audit_events::occurred_at.eq(at).and(audit_events::id.gt(id))));
    }
    query
        .order((audit_events::occurred_at, audit_events::id))
        .limit(selection.limit)
        .select((EVENT, LINK))
        .load(conn)
        .await
}

pub async fn count_events(conn: &mut Connection, selection: &EventSelection) -> QueryResult<i64> {
    selected!(selection).count().get_result(conn).await
}

pub async fn erase_decoys(conn: &mut Connection) -> QueryResult<()> {
    diesel::delete(audit_decoys::table).execute(conn).await?;
    Ok(())
}

/// A version that a rollback made has an older version's value, so the agents that received the
/// older version count too. Of each entry, the agents that received it last come first.
pub async fn exposures_of(conn: &mut Connection, of: &[EntryId]) -> QueryResult<Vec<ExposureRow>> {
    let received = diesel::alias!(versions as received);
    exposures::table
        .inner_join(entries::table.on(entries::id.eq(exposures::entry_id)))
        .inner_join(
            versions::table.on(versions::entry_id.eq(entries::id).and(versions::version.eq(entries::current_version))),
        )
        .inner_join(
            received.on(received
                .field(versions::entry_id)
                .eq(entries::id)
                .and(received.field(versions::version).eq(exposures::version))
                .and(received.field(versions::ciphertext_version).eq(versions::ciphertext_version))),
        )
        .filter(one_of(entries::id, of.to_vec()))
        .group_by((exposures::entry_id, exposures::agent_id))
        .order((exposures::entry_id, diesel::dsl::max(exposures::last_at).desc(), exposures::agent_id))
        .select((
            exposures::entry_id,
            exposures::agent_id,
            diesel::dsl::min(exposures::first_at),
            diesel::dsl::max(exposures::last_at),
        ))
        .load(conn)
        .await
}
