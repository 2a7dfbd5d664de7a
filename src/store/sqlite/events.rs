//! Adding events.
//!
//! The events of a commit are added in one go: a change of thread for each would take longer than
//! adding it does, while everybody who writes waits for the lock.

use super::backend::Connection;
use super::lists::Item;
use crate::domain::Timestamp;
use crate::store::records::{EventRow, Link, Positioned, Uses};
use crate::store::statement::{insert_events_from, statement};
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
use diesel::{Connection as _, IntoSql as _, QueryResult, SqliteConnection};

/// Adds audit events and decoys, and counts the uses.
pub async fn insert_events(
    conn: &mut Connection,
    events: &[Positioned<'_>],
    decoys: &[Positioned<'_>],
    uses: Option<&Uses>,
) -> QueryResult<()> {
    let (events, decoys, uses) = (owned(events), owned(decoys), uses.map(|uses| (uses.at, as_json(uses))));
    let work = move |conn: &mut SqliteConnection| {
        if let Some((at, uses)) = uses {
            count_uses(conn, at, uses)?;
        }
        insert_rows(conn, insert_events_from!("audit_decoys", "VALUES "), &decoys)?;
        insert_rows(conn, insert_events_from!("audit_events", "VALUES "), &events)
    };
    conn.spawn_blocking(work).await
}

fn owned(events: &[Positioned<'_>]) -> Vec<(EventRow, Link)> {
    events.iter().map(|(event, link)| ((*event).clone(), link.clone())).collect()
}

/// Inserts rows, each with the same prepared statement.
fn insert_rows(conn: &mut SqliteConnection, insert: &'static str, events: &[(EventRow, Link)]) -> QueryResult<()> {
    for (event, link) in events {
        let columns = (
            event.id.into_sql::<Binary>(),
            event.occurred_at.into_sql::<BigInt>(),
            event.project.as_deref().into_sql::<Nullable<Text>>(),
            event.action.into_sql::<Text>(),
            event.outcome.into_sql::<Text>(),
            event.reason.as_deref().into_sql::<Nullable<Text>>(),
            event.count.into_sql::<BigInt>(),
            event.actor.as_str().into_sql::<Text>(),
            event.subject.as_deref().into_sql::<Nullable<Text>>(),
            event.role.into_sql::<Nullable<Text>>(),
            event.agent.as_deref().into_sql::<Nullable<Text>>(),
            event.entry.into_sql::<Nullable<Binary>>(),
            event.entry_name.as_deref().into_sql::<Nullable<Text>>(),
            event.entry_version.into_sql::<Nullable<Integer>>(),
            event.entry_revision.into_sql::<Nullable<Integer>>(),
            event.milestone.as_deref().into_sql::<Nullable<Text>>(),
            event.purpose.into_sql::<Nullable<Text>>(),
            event.session.as_deref().into_sql::<Nullable<Text>>(),
            event.tool.as_deref().into_sql::<Nullable<Text>>(),
            event.request_id.as_str().into_sql::<Text>(),
            link.chain.into_sql::<Binary>(),
            link.seq.into_sql::<BigInt>(),
            link.prev.as_slice().into_sql::<Binary>(),
            link.mac.as_slice().into_sql::<Binary>(),
        );
        conn.execute_returning_count(&statement(insert, (columns,)))?;
    }
    Ok(())
}

/// The entries with the number of times that each was used, as one JSON array.
fn as_json(uses: &Uses) -> String {
    let entries: Vec<(String, i64)> = uses.entries.iter().map(|(entry, times)| (entry.text(), *times)).collect();
    serde_json::json!(entries).to_string()
}

/// Adds to the number of uses of each entry. A missing counter starts anew.
fn count_uses(conn: &mut SqliteConnection, at: Timestamp, uses: String) -> QueryResult<()> {
    let add = statement(
        "INSERT INTO entry_usage (entry_id, resolve_count, last_resolved_at) \
         SELECT entries.id, used.value ->> 1, ? FROM json_each(?) AS used \
         CROSS JOIN entries ON entries.id = unhex(used.value ->> 0) WHERE true \
         ON CONFLICT (entry_id) DO UPDATE SET resolve_count = resolve_count + excluded.resolve_count, \
         last_resolved_at = excluded.last_resolved_at",
        (at.into_sql::<BigInt>(), uses.into_sql::<Text>()),
    );
    conn.execute_returning_count(&add).map(drop)
}
