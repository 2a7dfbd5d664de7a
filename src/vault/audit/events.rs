//! Building events, and recording denials. A change appends its own events in its transaction.

use super::Audit;
use super::denials::{Denial, Named, Outcome, Pending};
use super::recorder::CallRecord;
use crate::domain::{
    Actor, AuditAction, AuditOutcome, DataKeyId, Error, EventId, MilestoneId, ProjectId, Result, Timestamp,
};
use crate::store::records::{EntryRow, EventRow};
use crate::vault::Caller;
use std::sync::atomic::Ordering;
use tracing::Instrument as _;

/// An event of an actor, with outcome allowed and count 1.
pub(in crate::vault) fn event(actor: &Actor, request_id: &str, action: AuditAction, now: Timestamp) -> EventRow {
    EventRow {
        id: EventId::new(),
        occurred_at: now,
        project: None,
        action,
        outcome: AuditOutcome::Allowed,
        reason: None,
        count: 1,
        actor: actor.to_string(),
        subject: None,
        role: None,
        agent: None,
        entry: None,
        entry_name: None,
        entry_version: None,
        entry_revision: None,
        milestone: None,
        purpose: None,
        session: None,
        tool: None,
        request_id: request_id.to_owned(),
    }
}

/// The subject by which events name a data key.
pub(in crate::vault) fn data_key_subject(id: DataKeyId) -> String {
    format!("data-key:{id}")
}

impl Caller {
    /// An event of this caller, with outcome allowed and count 1.
    pub(in crate::vault) fn event(&self, action: AuditAction, now: Timestamp) -> EventRow {
        event(&Actor::Principal(self.principal.clone()), self.request_id.as_str(), action, now)
    }
}

impl EventRow {
    /// Sets the project.
    pub(in crate::vault) fn in_project(self, project: &ProjectId) -> Self {
        Self { project: Some(project.as_str().to_owned()), ..self }
    }

    /// Sets the milestone.
    pub(in crate::vault) fn on_milestone(self, milestone: Option<&MilestoneId>) -> Self {
        Self { milestone: milestone.map(|id| id.as_str().to_owned()), ..self }
    }

    /// Sets the subject, by kind and id.
    pub(in crate::vault) fn about(self, subject: impl std::fmt::Display) -> Self {
        Self { subject: Some(subject.to_string()), ..self }
    }

    /// Sets the entry and its current version, with its project and milestone.
    pub(in crate::vault) fn on_entry(self, row: &EntryRow) -> Self {
        Self {
            entry: Some(row.id),
            entry_name: Some(row.name.clone()),
            entry_version: Some(row.current_version),
            ..self.in_project(&row.project).on_milestone(row.milestone.as_ref())
        }
    }

    /// As [`Self::on_entry`], for a change that wrote this row. The event also names the row's
    /// revision and data key, so that verification detects an older row, or one under another key.
    pub(in crate::vault) fn of_change(self, row: &EntryRow) -> Self {
        let subject = Some(data_key_subject(row.data_key));
        Self { entry_revision: Some(row.revision), subject, ..self.on_entry(row) }
    }

    /// As [`Self::of_change`], for the erasure of this row. The event names the next revision, so
    /// that a restored row is not the newest.
    pub(in crate::vault) fn of_erasure(self, mut row: EntryRow) -> Self {
        row.revision = row.revision.saturating_add(1);
        self.of_change(&row)
    }

    /// Sets outcome denied and the reason. Session and tool are removed, since a denied caller may
    /// not put its own text into the records.
    fn denied(self, reason: &Error) -> Self {
        let reason = Some(reason.code().to_owned());
        Self { outcome: AuditOutcome::Denied, reason, session: None, tool: None, ..self }
    }
}

impl Audit {
    /// Records a denial about an object whose existence the caller may know. Gives the error to
    /// answer: `refusal`, or RATE_LIMITED beyond the rates of [`super::denials`], or UNAVAILABLE
    /// when the denial could not be recorded.
    ///
    /// In no case may the caller go on with the operation.
    pub(in crate::vault) async fn deny(&self, event: EventRow, refusal: Error) -> Error {
        self.record_denial(Denial { named: Named::by(&event), event, is_decoy: false }, refusal).await
    }

    /// As [`Self::deny`], where the caller may not learn whether the object exists. Counts by what
    /// the caller named, and commits a row either way: an event, or a decoy if there is no such
    /// object. So neither timing nor failures reveal which it was.
    pub(in crate::vault) async fn deny_as_not_found(&self, denial: Denial, refusal: Error) -> Error {
        self.record_denial(denial, refusal).await
    }

    async fn record_denial(&self, denial: Denial, refusal: Error) -> Error {
        let denial = Denial { event: denial.event.denied(&refusal), ..denial };
        let denials = match self.0.denials.count(denial) {
            Outcome::Record(denials) => denials,
            Outcome::Repetition => return refusal,
            Outcome::Limited(wait) => {
                metrics::counter!("vault_rate_limited_total").increment(1);
                return Error::rate_limited(wait);
            }
        };
        // In a separate task: async-graphql drops a field's future when another field fails, but a
        // denial that counts as recorded must be recorded.
        let audit = self.clone();
        let recording = async move {
            let of = |is_decoy| denials.iter().filter(move |denial| denial.is_decoy == is_decoy);
            let events =
                |denials: &mut dyn Iterator<Item = &Denial>| denials.map(|denial| denial.event.clone()).collect();
            let (recorded, decoys) = (events(&mut of(false)), events(&mut of(true)));
            let record = CallRecord { events: recorded, decoys, used: Vec::new(), counted: 1 };
            if !record.decoys.is_empty() {
                audit.0.decoys_written.store(true, Ordering::Relaxed);
            }
            let recorded = audit.make_durable(record).await;
            if recorded.is_err() {
                audit.0.denials.put_back(denials.into_iter().map(Pending::Repeated).collect());
            }
            recorded
        };
        match tokio::spawn(recording.in_current_span()).await {
            Ok(Ok(())) => refusal,
            Ok(Err(error)) => error,
            Err(_) => Error::internal("the recording of a denial ended without an answer"),
        }
    }

    /// Commits the events of one call, which count as one in the metrics.
    ///
    /// # Errors
    /// UNAVAILABLE when they are not committed; the caller must not go on then.
    pub(in crate::vault) async fn record(&self, events: &[EventRow]) -> Result<()> {
        self.make_durable(CallRecord { events: events.to_vec(), counted: 1, ..CallRecord::default() }).await
    }

    /// Records the counts of denials whose window has ended, or all counts if `all` (the server
    /// stops), and erases the decoys. Called every few seconds.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; the counts are kept for the next call.
    pub async fn record_repeated_denials(&self, all: bool) -> Result<()> {
        let pending = self.0.denials.ended(self.now(), all);
        if !pending.is_empty() {
            let events: Vec<EventRow> = pending.iter().map(|pending| pending.event().clone()).collect();
            // The metric counted each of them when it happened.
            let recorded = self.make_durable(CallRecord { events, ..CallRecord::default() }).await;
            if recorded.is_err() {
                self.0.denials.put_back(pending);
            }
            recorded?;
        }
        self.erase_decoys().await
    }

    /// Erases the decoys, if there may be any. The first call also erases those of an earlier
    /// process.
    async fn erase_decoys(&self) -> Result<()> {
        // Cleared first, so that the next call erases decoys written meanwhile.
        if !self.0.decoys_written.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let erased = match self.0.store.conn().await {
            Ok(mut conn) => conn.erase_decoys().await,
            Err(error) => Err(error),
        };
        if erased.is_err() {
            self.0.decoys_written.store(true, Ordering::Relaxed);
        }
        Ok(erased?)
    }
}
