//! Delivers notices. A receiver may get a notice twice, with the same id, when a server dies between
//! sending it and noting that.

use super::{NOTICES, NoticeKind, Notices};
use crate::domain::{EntryId, Error, MilestoneId, Result, Timestamp};
use crate::store::records::{EntryRow, NoticeRow};
use crate::trace::ExportedSpan;
use crate::webhook::Webhook;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// Maximum number of notices that are sent in one run.
const MAX_IN_RUN: usize = 100;
/// How long a server has for sending a notice before another one may send it: longer than one
/// attempt takes.
const LEASE: Duration = Duration::from_secs(60);
/// The times between attempts, in seconds: those that Standard Webhooks recommends.
const RETRIES: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

impl Notices {
    /// Sends the notices that wait and whose time has come. Called every few seconds. Refusals come
    /// first: somebody may be trying stolen tokens, and many entries expire at once.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached. A receiver that fails is no error: the notice
    /// is sent again later, for three days.
    pub async fn deliver(&self, webhook: &Webhook) -> Result<()> {
        let refusals = NoticeKind::AccessesRefused.as_str();
        let mut are_refusals = true;
        for _ in 0..MAX_IN_RUN {
            let now = self.now();
            let mut conn = self.store.conn().await?;
            let mut next = conn.next_notice(now, refusals, are_refusals).await?;
            if next.is_none() && are_refusals {
                are_refusals = false;
                next = conn.next_notice(now, refusals, are_refusals).await?;
            }
            let Some(row) = next else { return Ok(()) };
            let lease = now.plus(LEASE);
            let attempts = row.attempts + 1;
            if !conn.reschedule_notice(&row, attempts, Some(lease)).await? {
                continue;
            }
            // No connection is held while the receiver answers.
            drop(conn);
            let leased = NoticeRow { next_attempt_at: Some(lease), ..row };
            let Some(kind) = NoticeKind::parse(&leased.kind) else {
                // A newer server's. It gets its turn when the lease ends.
                tracing::debug!(notice = leased.id, "a notice of a kind that this server does not know waits");
                continue;
            };
            let span = ExportedSpan::notice(kind.as_str());
            let attempted = match span.around(self.attempt(webhook, kind, &leased, now)).await {
                // Its entry cannot be read, which must not hold up the others.
                Err(error) if !matches!(error, Error::Unavailable { .. }) => Ok(later(&leased, kind, now, error)),
                attempted => attempted,
            };
            let (result, next) = attempted?;
            span.notice_result(result);
            drop(span);
            metrics::counter!(NOTICES, "kind" => kind.as_str(), "result" => result).increment(1);
            self.store.conn().await?.reschedule_notice(&leased, attempts, next).await?;
        }
        Ok(())
    }

    /// Sends a notice once. Gives what came of it, and when to try again.
    async fn attempt(
        &self,
        webhook: &Webhook,
        kind: NoticeKind,
        row: &NoticeRow,
        now: Timestamp,
    ) -> Result<(&'static str, Option<Timestamp>)> {
        let Some(data) = self.data(kind, row, now).await? else { return Ok(("outdated", None)) };
        let message = json!({ "type": kind.as_str(), "timestamp": row.created_at.to_rfc3339(), "data": data });
        let key = self.installation.signing_key().await?;
        let Err(error) = webhook.send(&row.id, now.millis() / 1_000, message.to_string(), &key).await else {
            return Ok(("delivered", None));
        };
        Ok(later(row, kind, now, error))
    }

    /// The data of a message; `None` when it would no longer be true.
    async fn data(&self, kind: NoticeKind, row: &NoticeRow, now: Timestamp) -> Result<Option<Value>> {
        if kind == NoticeKind::AccessesRefused {
            let since = row.due_at.to_rfc3339();
            return Ok(Some(json!({ "actor": row.subject, "count": row.count, "since": since })));
        }
        let Some(id) = EntryId::parse(&row.subject) else { return Ok(None) };
        let mut conn = self.store.conn().await?;
        let Some(entry) = conn.entry_row(id).await? else { return Ok(None) };
        let due_at = match kind {
            NoticeKind::EntryExpiring => entry.expires_at,
            _ => match (entry.rotation_interval_days, conn.version_row(id, entry.current_version).await?) {
                (Some(days), Some(version)) => Some(version.created_at.plus_days(days)),
                _ => None,
            },
        };
        let is_over = kind == NoticeKind::EntryExpiring && row.due_at <= now;
        if entry.deleted_at.is_some() || entry.disabled || due_at != Some(row.due_at) || is_over {
            return Ok(None);
        }
        let mut data = of_entry(&entry);
        let field = if kind == NoticeKind::EntryExpiring { "expiresAt" } else { "rotationDueAt" };
        data[field] = row.due_at.to_rfc3339().into();
        data["withinDays"] = row.threshold_days.into();
        Ok(Some(data))
    }
}

/// What comes of an attempt that failed, and when to try again.
fn later(
    row: &NoticeRow,
    kind: NoticeKind,
    now: Timestamp,
    error: impl fmt::Display,
) -> (&'static str, Option<Timestamp>) {
    let kind = kind.as_str();
    let tried = usize::try_from(row.attempts).unwrap_or(usize::MAX);
    let Some(wait) = RETRIES.get(tried) else {
        tracing::error!(%error, notice = row.id, kind, "a notice is given up after three days");
        return ("given_up", None);
    };
    tracing::warn!(%error, notice = row.id, kind, "a notice could not be delivered; it is sent again");
    ("failed", Some(now.plus(Duration::from_secs(*wait))))
}

fn of_entry(entry: &EntryRow) -> Value {
    json!({
        "projectId": entry.project.as_str(),
        "milestoneId": entry.milestone.as_ref().map(MilestoneId::as_str),
        "entryId": entry.id.to_string(),
        "name": entry.name,
        "category": entry.category.as_str(),
        "version": entry.current_version,
    })
}
