//! Notices: what is due, and the outbox that they are delivered from.

use super::super::backend::{Connection, one_of};
use super::super::schema::{entries, notices, versions};
use crate::domain::{EntryId, Timestamp};
use crate::store::records::{DueEntry, NoticeRow};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;

type NoticeColumns = (
    notices::id,
    notices::kind,
    notices::subject,
    notices::due_at,
    notices::threshold_days,
    notices::count,
    notices::created_at,
    notices::attempts,
    notices::next_attempt_at,
);
const NOTICE: NoticeColumns = (
    notices::id,
    notices::kind,
    notices::subject,
    notices::due_at,
    notices::threshold_days,
    notices::count,
    notices::created_at,
    notices::attempts,
    notices::next_attempt_at,
);

pub async fn expiring_entries(
    conn: &mut Connection,
    until: Timestamp,
    after: (Timestamp, EntryId),
    limit: i64,
) -> QueryResult<Vec<DueEntry>> {
    let (at, id) = after;
    let later = entries::expires_at.gt(at).or(entries::expires_at.eq(at).and(entries::id.gt(id)));
    let rows: Vec<(EntryId, Option<Timestamp>)> = entries::table
        .filter(entries::expires_at.ge(at))
        .filter(entries::expires_at.le(until))
        .filter(later)
        .filter(entries::deleted_at.is_null())
        .filter(entries::disabled.eq(false))
        .order((entries::expires_at, entries::id))
        .limit(limit)
        .select((entries::id, entries::expires_at))
        .load(conn)
        .await?;
    Ok(rows.into_iter().filter_map(|(entry, due_at)| Some(DueEntry { entry, due_at: due_at? })).collect())
}

/// The entries with a rotation interval, and when their next rotation is due.
pub async fn rotations_due(conn: &mut Connection, after: EntryId, limit: i64) -> QueryResult<Vec<DueEntry>> {
    let rows: Vec<(EntryId, Option<i32>, Timestamp)> = entries::table
        .inner_join(
            versions::table.on(versions::entry_id.eq(entries::id).and(versions::version.eq(entries::current_version))),
        )
        .filter(entries::rotation_interval_days.is_not_null())
        .filter(entries::id.gt(after))
        .filter(entries::deleted_at.is_null())
        .filter(entries::disabled.eq(false))
        .order(entries::id)
        .limit(limit)
        .select((entries::id, entries::rotation_interval_days, versions::created_at))
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(entry, days, made)| DueEntry { entry, due_at: made.plus_days(days.unwrap_or_default()) })
        .collect())
}

#[derive(QueryableByName)]
struct Refusals {
    #[diesel(sql_type = Text)]
    actor: String,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// The statement holds numbers of ours alone.
pub async fn bulk_refusals(
    conn: &mut Connection,
    since: Timestamp,
    until: Timestamp,
    least: i64,
    limit: i64,
) -> QueryResult<Vec<(String, i64)>> {
    let (since, until) = (since.millis(), until.millis());
    let sql = format!(
        "SELECT actor, CAST(sum(count) AS BIGINT) AS total FROM (SELECT actor, count FROM audit_events \
         WHERE outcome = 'DENIED' AND occurred_at >= {since} AND occurred_at < {until} \
         ORDER BY occurred_at DESC LIMIT {limit}) recent GROUP BY actor HAVING sum(count) >= {least} ORDER BY total DESC LIMIT 100"
    );
    let rows: Vec<Refusals> = sql_query(sql).load(conn).await?;
    Ok(rows.into_iter().map(|Refusals { actor, total }| (actor, total)).collect())
}

pub async fn known_notices(
    conn: &mut Connection,
    kind: &str,
    subjects: &[String],
) -> QueryResult<Vec<(String, Timestamp, i32)>> {
    notices::table
        .filter(notices::kind.eq(kind))
        .filter(one_of(notices::subject, subjects))
        .select((notices::subject, notices::due_at, notices::threshold_days))
        .load(conn)
        .await
}

pub async fn insert_notice(conn: &mut Connection, row: &NoticeRow) -> QueryResult<bool> {
    let inserted = diesel::insert_into(notices::table)
        .values((
            notices::id.eq(&row.id),
            notices::kind.eq(&row.kind),
            notices::subject.eq(&row.subject),
            notices::due_at.eq(row.due_at),
            notices::threshold_days.eq(row.threshold_days),
            notices::count.eq(row.count),
            notices::created_at.eq(row.created_at),
            notices::attempts.eq(row.attempts),
            notices::next_attempt_at.eq(row.next_attempt_at),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(inserted > 0)
}

pub async fn count_waiting_notices(conn: &mut Connection, kind: &str) -> QueryResult<i64> {
    let waiting = notices::table.filter(notices::next_attempt_at.is_not_null());
    waiting.filter(notices::kind.eq(kind)).count().get_result(conn).await
}

pub async fn next_notice(
    conn: &mut Connection,
    now: Timestamp,
    kind: &str,
    is_of_kind: bool,
) -> QueryResult<Option<NoticeRow>> {
    notices::table
        .filter(notices::next_attempt_at.le(now))
        .filter(notices::kind.eq(kind).eq(is_of_kind))
        .order(notices::next_attempt_at)
        .select(NOTICE)
        .first(conn)
        .await
        .optional()
}

/// False if another server was faster.
pub async fn reschedule_notice(
    conn: &mut Connection,
    row: &NoticeRow,
    attempts: i32,
    next: Option<Timestamp>,
) -> QueryResult<bool> {
    let same = notices::table.find(&row.id).filter(notices::next_attempt_at.eq(row.next_attempt_at));
    let changed = diesel::update(same)
        .set((notices::attempts.eq(attempts), notices::next_attempt_at.eq(next)))
        .execute(conn)
        .await?;
    Ok(changed > 0)
}

pub async fn prune_notices(conn: &mut Connection, before: Timestamp) -> QueryResult<()> {
    let done = notices::table.filter(notices::created_at.lt(before)).filter(notices::next_attempt_at.is_null());
    diesel::delete(done).execute(conn).await?;
    Ok(())
}
