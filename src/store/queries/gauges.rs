//! Bounded counts, for metrics. The statements hold numbers of ours alone.

use super::super::backend::Connection;
use crate::domain::Timestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Nullable};
use diesel_async::RunQueryDsl;

#[derive(QueryableByName)]
struct Backlog {
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    oldest: Option<i64>,
}

pub async fn outbox_backlog(conn: &mut Connection, limit: i64) -> QueryResult<(i64, Option<Timestamp>)> {
    let sql = format!(
        "SELECT count(*) AS count, min(created_at) AS oldest \
         FROM (SELECT created_at FROM outbox ORDER BY seq LIMIT {limit}) waiting"
    );
    let Backlog { count, oldest } = sql_query(sql).get_result(conn).await?;
    Ok((count, oldest.map(Timestamp::from_millis)))
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

pub async fn count_expiring(
    conn: &mut Connection,
    after: Option<Timestamp>,
    until: Timestamp,
    limit: i64,
) -> QueryResult<i64> {
    let after = after.map_or(i64::MIN, Timestamp::millis);
    let until = until.millis();
    // PostgreSQL takes a literal below -9223372036854775807 for a numeric.
    let after = after.max(-i64::MAX);
    let sql = format!(
        "SELECT count(*) AS count FROM (SELECT 1 AS one FROM entries WHERE expires_at > {after} \
         AND expires_at <= {until} AND deleted_at IS NULL AND NOT disabled LIMIT {limit}) expiring"
    );
    sql_query(sql).get_result(conn).await.map(|Counted { count }| count)
}

#[derive(QueryableByName)]
struct KeysByState {
    #[diesel(sql_type = Bool)]
    encrypting: bool,
    #[diesel(sql_type = Bool)]
    outgoing: bool,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

pub async fn data_keys_by_state(conn: &mut Connection, limit: i64) -> QueryResult<Vec<(bool, bool, i64)>> {
    let sql = format!(
        "SELECT encrypting, outgoing, count(*) AS count \
         FROM (SELECT encrypting, outgoing FROM data_keys LIMIT {limit}) keys GROUP BY encrypting, outgoing"
    );
    let rows: Vec<KeysByState> = sql_query(sql).load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.encrypting, row.outgoing, row.count)).collect())
}
