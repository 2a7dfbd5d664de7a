//! Changes of tuples that are committed and not yet known to be applied.

use super::super::backend::Connection;
use super::super::schema::outbox;
use crate::domain::Timestamp;
use crate::store::records::OutboxRow;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

/// Returns the row's sequence number. If the database accepts the row but does not store it, as a
/// trigger can cause, that is an error.
pub async fn push_outbox(
    conn: &mut Connection,
    partition: &str,
    change: &str,
    mac: &[u8],
    now: Timestamp,
) -> QueryResult<i64> {
    diesel::insert_into(outbox::table)
        .values((
            outbox::lane.eq(partition),
            outbox::change.eq(change),
            outbox::mac.eq(mac),
            outbox::created_at.eq(now),
        ))
        .returning(outbox::seq)
        .get_result(conn)
        .await
}

pub async fn outbox_of(conn: &mut Connection, partition: &str) -> QueryResult<Vec<OutboxRow>> {
    outbox::table
        .filter(outbox::lane.eq(partition))
        .order(outbox::seq)
        .select((outbox::seq, outbox::lane, outbox::change, outbox::mac))
        .load(conn)
        .await
}

pub async fn outbox_partitions(conn: &mut Connection) -> QueryResult<Vec<String>> {
    outbox::table.select(outbox::lane).distinct().order(outbox::lane).load(conn).await
}

pub async fn delete_outbox(conn: &mut Connection, seq: i64) -> QueryResult<()> {
    diesel::delete(outbox::table.find(seq)).execute(conn).await?;
    Ok(())
}

/// Whether a change in any partition names this object.
pub async fn outbox_mentions(conn: &mut Connection, object: &str) -> QueryResult<bool> {
    let changes: Vec<String> = outbox::table.select(outbox::change).load(conn).await?;
    let quoted = serde_json::Value::from(object).to_string();
    Ok(changes.iter().any(|change| change.contains(&quoted)))
}
