//! Recording actions: a change commits with its event, and a denial is recorded as well.

use super::Audit;
use super::denials::{Decision, Denial, Named, Pending};
use super::recorder::CallRecord;
use crate::domain::{
    Actor, AuditAction, AuditOutcome, DataKeyId, Error, EventId, MilestoneId, ProjectId, Result, Timestamp,
};
use crate::store::records::{EntryRow, EventRow};
use crate::trace::InRequest;
use crate::vault::{Caller, measures};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An event of this actor, ALLOWED, that stands for one occurrence.
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

/// The name of a data key in events.
pub(in crate::vault) fn data_key_subject(id: DataKeyId) -> String {
    format!("data-key:{id}")
}

impl Caller {
    /// An event of this caller, ALLOWED, that stands for one occurrence.
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

    /// Sets the entry, as it is now.
    pub(in crate::vault) fn on_entry(self, row: &EntryRow) -> Self {
        Self {
            entry: Some(row.id),
            entry_name: Some(row.name.clone()),
            entry_version: Some(row.current_version),
            ..self.in_project(&row.project).on_milestone(row.milestone.as_ref())
        }
    }

    /// Records the row that a change wrote: its revision and data key, so that an older row, or one
    /// under another key, is found.
    pub(in crate::vault) fn of_change(self, row: &EntryRow) -> Self {
        let subject = Some(data_key_subject(row.data_key));
        Self { entry_revision: Some(row.revision), subject, ..self.on_entry(row) }
    }

    /// Records the erasure of this row, as one revision later: a row that is put back is older than
    /// this event, and is refused.
    pub(in crate::vault) fn of_erasure(self, mut row: EntryRow) -> Self {
        row.revision = row.revision.saturating_add(1);
        self.of_change(&row)
    }

    /// Makes it a denial. Session and tool are texts that the caller chose, so a denial does not
    /// record them.
    fn denied(self, reason: &Error) -> Self {
        let reason = Some(reason.code().to_string());
        Self { outcome: AuditOutcome::Denied, reason, session: None, tool: None, ..self }
    }
}

impl Audit {
    /// Records the denial of something whose existence the caller may know of, and returns the
    /// error to answer; RATE_LIMITED beyond the rate of [`super::denials`].
    ///
    /// If the record cannot be written, the answer is still a refusal: UNAVAILABLE.
    pub(in crate::vault) async fn deny(&self, event: EventRow, refusal: Error) -> Error {
        self.record_denial(Denial { named: Named::by(&event), event, is_decoy: false }, refusal).await
    }

    /// As [`Self::deny`], for a caller that may do what it asks for, but not so often.
    pub(in crate::vault) async fn deny_as_too_often(&self, event: EventRow, wait: Duration) -> Error {
        measures::count_limited();
        match self.deny(event, Error::rate_limited(wait)).await {
            // The longer of the two is answered either way.
            Error::RateLimited { retry_after } => Error::rate_limited(retry_after.max(wait)),
            error => error,
        }
    }

    /// As [`Self::deny`], where the caller must not learn whether the object exists. The first
    /// denial of an object the caller names makes something durable: an event or, if the object
    /// does not exist, a decoy. So neither timing nor faults tell.
    pub(in crate::vault) async fn deny_as_not_found(&self, denial: Denial, refusal: Error) -> Error {
        self.record_denial(denial, refusal).await
    }

    async fn record_denial(&self, denial: Denial, refusal: Error) -> Error {
        let denial = Denial { event: denial.event.denied(&refusal), ..denial };
        measures::count_denial(&refusal);
        let denials = match self.0.denials.count(denial) {
            Decision::Record(denials) => denials,
            Decision::Repetition => return refusal,
            Decision::Limited(wait) => {
                measures::count_limited();
                return Error::rate_limited(wait);
            }
        };
        // On a task of its own, which nothing cancels: async-graphql drops a field when another one
        // has failed, and this denial counts as recorded already.
        let audit = self.clone();
        let recording = async move {
            let of = |is_decoy| denials.iter().filter(move |denial| denial.is_decoy == is_decoy);
            let events =
                |denials: &mut dyn Iterator<Item = &Denial>| denials.map(|denial| denial.event.clone()).collect();
            let (recorded, decoys) = (events(&mut of(false)), events(&mut of(true)));
            let record = CallRecord { events: recorded, decoys, used: Vec::new(), counted: 1 };
            // Also if there are none, so that the next erasure does not tell.
            audit.0.decoys_written.store(true, Ordering::Relaxed);
            let recorded = audit.make_durable(record).await;
            if recorded.is_err() {
                audit.0.denials.put_back(denials.into_iter().map(Pending::Repeated).collect());
            }
            recorded
        };
        match tokio::spawn(InRequest::current().within(recording)).await {
            Ok(Ok(())) => refusal,
            Ok(Err(error)) => error,
            Err(_) => Error::internal("the recording of a denial ended without an answer"),
        }
    }

    /// Makes one call's record durable, and adds 1 to the metric of events.
    pub(in crate::vault) async fn record(&self, events: &[EventRow]) -> Result<()> {
        self.make_durable(CallRecord { events: events.to_vec(), counted: 1, ..CallRecord::default() }).await
    }

    /// Records the counts of denials of minutes that have ended, or all counts when the server
    /// stops, and erases the decoys. Called every few seconds.
    ///
    /// # Errors
    /// When the database cannot be reached; the counts are kept for the next time.
    pub async fn record_repeated_denials(&self, all: bool) -> Result<()> {
        let pending = self.0.denials.ended(self.now(), all);
        if !pending.is_empty() {
            // Repetitions about what does not exist are summed up as decoys: the metrics of the
            // database would tell otherwise.
            let of = |is_decoy| pending.iter().filter(move |pending| pending.is_decoy() == is_decoy);
            let [events, decoys] = [false, true].map(|is_decoy| of(is_decoy).map(|one| one.event().clone()).collect());
            self.0.decoys_written.store(true, Ordering::Relaxed);
            // Each of them was counted when it happened.
            let recorded = self.make_durable(CallRecord { events, decoys, ..CallRecord::default() }).await;
            if recorded.is_err() {
                self.0.denials.put_back(pending);
            }
            recorded?;
        }
        self.erase_decoys().await
    }

    /// Erases the decoys, if there can be any; the first time also those of earlier processes.
    async fn erase_decoys(&self) -> Result<()> {
        // Taken before the deletion: decoys written meanwhile are for the next time.
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
