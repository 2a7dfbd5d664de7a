//! Finds what is due. Safe to repeat, and to run at several servers at once.

use super::{DAY, NoticeKind, Notices, THRESHOLDS, threshold};
use crate::domain::{EntryId, Result, Timestamp};
use crate::store::Conn;
use crate::store::records::{DueEntry, NoticeRow};
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// Number of entries that are read at once.
const PAGE: i64 = 1_000;
/// Maximum number of notices of one kind that wait. What is due beyond it is found again later.
const MAX_WAITING: i64 = 10_000;
/// A caller that is refused this often within an hour, counted from its beginning in UTC, is refused
/// in bulk.
const BULK: i64 = 100;
/// Maximum number of events of an hour that are examined, newest first.
const MAX_EVENTS: i64 = 50_000;
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long a notice is remembered after it was made.
const REMEMBERED: Duration = Duration::from_secs(400 * 24 * 60 * 60);

impl Notices {
    /// Adds notices of entries that expire or are due for rotation, and forgets those of more than a
    /// year ago.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; what was added stays.
    pub async fn find_due_entries(&self) -> Result<()> {
        let now = self.now();
        let mut conn = self.store.conn().await?;
        conn.prune_notices(now.minus(REMEMBERED)).await?;
        let latest = now.plus(DAY * THRESHOLDS[1].unsigned_abs());
        let mut after = (now, EntryId(Uuid::nil()));
        loop {
            let page = conn.expiring_entries(latest, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = (last.due_at, last.entry);
            if !self.add_entries(&mut conn, NoticeKind::EntryExpiring, &page, now).await? {
                return Ok(());
            }
        }
        let mut after = EntryId(Uuid::nil());
        loop {
            let page = conn.rotations_due(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.entry;
            if !self.add_entries(&mut conn, NoticeKind::RotationDue, &page, now).await? {
                return Ok(());
            }
        }
    }

    /// Adds notices of callers that are refused in bulk, once for each caller and hour.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; what was added stays.
    pub async fn find_bulk_refusals(&self) -> Result<()> {
        let now = self.now();
        let mut conn = self.store.conn().await?;
        let length = i64::try_from(HOUR.as_millis()).unwrap_or(i64::MAX);
        let this = Timestamp::from_millis(now.millis() - now.millis().rem_euclid(length));
        // Also the hour before, whose last events may have come after it was looked at.
        for since in [this.minus(HOUR), this] {
            let found = conn.bulk_refusals(since, since.plus(HOUR), BULK, MAX_EVENTS).await?;
            let kind = NoticeKind::AccessesRefused;
            let due = found.into_iter().map(|(actor, count)| NoticeRow { count, ..notice(kind, actor, since, 0, now) });
            if !self.add(&mut conn, kind, due.collect()).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn add_entries(&self, conn: &mut Conn, kind: NoticeKind, page: &[DueEntry], now: Timestamp) -> Result<bool> {
        let due = page.iter().filter_map(|DueEntry { entry, due_at }| {
            Some(notice(kind, entry.to_string(), *due_at, threshold(*due_at, now)?, now))
        });
        self.add(conn, kind, due.collect()).await
    }

    /// Adds those notices that were never added. False when too many wait.
    async fn add(&self, conn: &mut Conn, kind: NoticeKind, due: Vec<NoticeRow>) -> Result<bool> {
        if due.is_empty() {
            return Ok(true);
        }
        let subjects: Vec<String> = due.iter().map(|row| row.subject.clone()).collect();
        let known = conn.known_notices(kind.as_str(), &subjects).await?;
        let known: HashSet<(String, Timestamp, i32)> = known.into_iter().collect();
        let is_new = |row: &NoticeRow| !known.contains(&(row.subject.clone(), row.due_at, row.threshold_days));
        let new: Vec<NoticeRow> = due.into_iter().filter(is_new).collect();
        if new.is_empty() {
            return Ok(true);
        }
        let mut waiting = conn.count_waiting_notices(kind.as_str()).await?;
        for row in new {
            if waiting >= MAX_WAITING {
                tracing::warn!(
                    kind = kind.as_str(),
                    "too many notices wait to be delivered; others are found again later"
                );
                return Ok(false);
            }
            // Another server may have added it meanwhile.
            waiting += i64::from(conn.insert_notice(&row).await?);
        }
        Ok(true)
    }
}

fn notice(kind: NoticeKind, subject: String, due_at: Timestamp, threshold_days: i32, now: Timestamp) -> NoticeRow {
    NoticeRow {
        id: format!("msg_{}", Uuid::now_v7().simple()),
        kind: kind.as_str().to_owned(),
        subject,
        due_at,
        threshold_days,
        count: 0,
        created_at: now,
        attempts: 0,
        next_attempt_at: Some(now),
    }
}
