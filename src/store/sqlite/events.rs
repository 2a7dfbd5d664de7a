//! Adding events.

use super::backend::Connection;
use super::lists::Item;
use crate::store::records::{EventRow, Link, Uses};
use crate::store::statement::{insert_events_from, statement};
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
use diesel::{IntoSql as _, QueryResult};
use diesel_async::RunQueryDsl;

/// Inserts events into a table, each with the same prepared statement.
macro_rules! insert_rows {
    ($conn:expr, $table:literal, $events:expr) => {{
        let insert = insert_events_from!($table, "VALUES ");
        for (event, link) in $events {
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
            statement(insert, (columns,)).execute($conn).await?;
        }
        Ok(())
    }};
}

/// Adds audit events, and counts the uses.
pub async fn insert_events(
    conn: &mut Connection,
    events: &[(&EventRow, Link)],
    uses: Option<&Uses>,
) -> QueryResult<()> {
    if let Some(uses) = uses {
        count_uses(conn, uses).await?;
    }
    insert_rows!(conn, "audit_events", events)
}

/// As [`insert_events`], for decoys.
pub async fn insert_decoys(conn: &mut Connection, decoys: &[(&EventRow, Link)]) -> QueryResult<()> {
    insert_rows!(conn, "audit_decoys", decoys)
}

/// Adds to the number of uses of each entry. A missing counter starts anew.
async fn count_uses(conn: &mut Connection, uses: &Uses) -> QueryResult<()> {
    let entries: Vec<(String, i64)> = uses.entries.iter().map(|(entry, times)| (entry.text(), *times)).collect();
    let entries = serde_json::json!(entries).to_string();
    let add = statement(
        "INSERT INTO entry_usage (entry_id, resolve_count, last_resolved_at) \
         SELECT entries.id, used.value ->> 1, ? FROM json_each(?) AS used \
         CROSS JOIN entries ON entries.id = unhex(used.value ->> 0) WHERE true \
         ON CONFLICT (entry_id) DO UPDATE SET resolve_count = resolve_count + excluded.resolve_count, \
         last_resolved_at = excluded.last_resolved_at",
        (uses.at.into_sql::<BigInt>(), entries.into_sql::<Text>()),
    );
    add.execute(conn).await.map(drop)
}
