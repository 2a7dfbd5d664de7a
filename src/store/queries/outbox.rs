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
    outbox::table.filter(outbox::lane.eq(partition)).order(outbox::seq).load(conn).await
}

/// Those that are set aside, oldest first.
pub async fn outbox_set_aside(conn: &mut Connection, limit: i64) -> QueryResult<Vec<OutboxRow>> {
    outbox::table.filter(outbox::set_aside_at.is_not_null()).order(outbox::seq).limit(limit).load(conn).await
}

pub async fn partition_of_set_aside(conn: &mut Connection, seq: i64) -> QueryResult<Option<String>> {
    let row = outbox::table.find(seq).filter(outbox::set_aside_at.is_not_null());
    row.select(outbox::lane).first(conn).await.optional()
}

pub async fn count_set_aside(conn: &mut Connection) -> QueryResult<i64> {
    outbox::table.filter(outbox::set_aside_at.is_not_null()).count().get_result(conn).await
}

/// Sets a change aside. An earlier instant stays.
pub async fn set_outbox_aside(conn: &mut Connection, seq: i64, reason: &str, now: Timestamp) -> QueryResult<()> {
    let first = outbox::table.find(seq).filter(outbox::set_aside_at.is_null());
    diesel::update(first).set(outbox::set_aside_at.eq(now)).execute(conn).await?;
    diesel::update(outbox::table.find(seq)).set(outbox::set_aside_reason.eq(reason)).execute(conn).await?;
    Ok(())
}

/// Replaces the change of a row.
pub async fn rewrite_outbox(conn: &mut Connection, seq: i64, change: &str, mac: &[u8]) -> QueryResult<()> {
    let row = outbox::table.find(seq);
    diesel::update(row).set((outbox::change.eq(change), outbox::mac.eq(mac))).execute(conn).await?;
    Ok(())
}

pub async fn outbox_partitions(conn: &mut Connection) -> QueryResult<Vec<String>> {
    outbox::table.select(outbox::lane).distinct().order(outbox::lane).load(conn).await
}

pub async fn delete_outbox(conn: &mut Connection, seq: i64) -> QueryResult<()> {
    diesel::delete(outbox::table.find(seq)).execute(conn).await?;
    Ok(())
}

/// Changes that contain a name as JSON holds it, and perhaps others: SQLite ignores the case.
macro_rules! mentioning {
    ($object:ident) => {{
        let quoted = serde_json::Value::from($object).to_string();
        let escaped = quoted.replace('!', "!!").replace('%', "!%").replace('_', "!_");
        outbox::change.like(format!("%{escaped}%")).escape('!')
    }};
}

/// Whether a change in any partition names this object.
pub async fn outbox_mentions(conn: &mut Connection, object: &str) -> QueryResult<bool> {
    let found = outbox::table.filter(mentioning!(object)).select(outbox::seq).first::<i64>(conn).await;
    Ok(found.optional()?.is_some())
}

/// The partitions with changes that name this object or subject.
pub async fn outbox_partitions_mentioning(conn: &mut Connection, object: &str) -> QueryResult<Vec<String>> {
    let found = outbox::table.filter(mentioning!(object)).select(outbox::lane).distinct();
    found.order(outbox::lane).load(conn).await
}
