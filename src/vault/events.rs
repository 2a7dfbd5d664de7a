//! Recording: what is done commits with its event, what is refused leaves one as well.

use super::recorder::Record;
use super::{Caller, Vault};
use crate::domain::{
    Actor, AuditAction, AuditOutcome, DataKeyId, EntryId, Error, EventId, MilestoneId, ProjectId, Result, Timestamp,
};
use crate::store::records::{EntryRow, EventRow};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::Instrument as _;

/// Repetitions of a denial within this time are one more event.
const WINDOW: Duration = Duration::from_secs(60);
/// So many different denials are remembered at once; beyond, each repetition is an event of its own.
const REMEMBERED: usize = 10_000;
/// So many rows hold notes of nothing.
const NOTES: u8 = 64;

/// An event of an actor that is allowed and stands for one.
pub(super) fn event(actor: &Actor, request_id: &str, action: AuditAction, now: Timestamp) -> EventRow {
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

/// A data key, as events name it.
pub(super) fn data_key_subject(id: DataKeyId) -> String {
    format!("data-key:{id}")
}

impl Caller {
    /// An event of this caller that is allowed and stands for one.
    pub(super) fn event(&self, action: AuditAction, now: Timestamp) -> EventRow {
        event(&Actor::Principal(self.principal.clone()), self.request_id.as_str(), action, now)
    }
}

impl EventRow {
    /// In this project.
    pub(super) fn in_project(self, project: &ProjectId) -> Self {
        Self { project: Some(project.as_str().to_owned()), ..self }
    }

    /// About this milestone.
    pub(super) fn on_milestone(self, milestone: Option<&MilestoneId>) -> Self {
        Self { milestone: milestone.map(|id| id.as_str().to_owned()), ..self }
    }

    /// About somebody, by kind and id.
    pub(super) fn about(self, subject: impl std::fmt::Display) -> Self {
        Self { subject: Some(subject.to_string()), ..self }
    }

    /// About this entry as it is now.
    pub(super) fn on_entry(self, row: &EntryRow) -> Self {
        Self {
            entry: Some(row.id),
            entry_name: Some(row.name.clone()),
            entry_version: Some(row.current_version),
            ..self.in_project(&row.project).on_milestone(row.milestone.as_ref())
        }
    }

    /// Of a change that left this row behind. It names the revision and the data key, so that an
    /// older row, or one under another key, shows.
    pub(super) fn of_change(self, row: &EntryRow) -> Self {
        let subject = Some(data_key_subject(row.data_key));
        Self { entry_revision: Some(row.revision), subject, ..self.on_entry(row) }
    }

    /// Of the erasure of an entry with this row: one revision later, so that no row of it is the
    /// newest any more.
    pub(super) fn of_erasure(self, mut row: EntryRow) -> Self {
        row.revision = row.revision.saturating_add(1);
        self.of_change(&row)
    }

    fn denied(self, reason: &Error) -> Self {
        Self { outcome: AuditOutcome::Denied, reason: Some(reason.code().to_owned()), ..self }
    }
}

#[derive(PartialEq, Eq, Hash)]
struct DenialKey {
    actor: String,
    action: AuditAction,
    project: Option<String>,
    agent: Option<String>,
    entry: Option<EntryId>,
    reason: Option<String>,
}

impl DenialKey {
    fn of(event: &EventRow) -> Self {
        Self {
            actor: event.actor.clone(),
            action: event.action,
            project: event.project.clone(),
            agent: event.agent.clone(),
            entry: event.entry,
            reason: event.reason.clone(),
        }
    }
}

struct Repeated {
    since: Timestamp,
    count: i64,
    last: EventRow,
}

impl Repeated {
    /// The event of all repetitions, where there were any.
    fn event(self) -> Option<EventRow> {
        (self.count > 0).then(|| EventRow { id: EventId::new(), count: self.count, ..self.last })
    }
}

/// The denials of the last minute, so that repetitions become one event. What is only here is lost with the process: the
/// counts of repetitions, nothing else.
#[derive(Default)]
pub(super) struct Denials(Mutex<HashMap<DenialKey, Repeated>>);

impl Denials {
    /// The events that a denial leaves: none where it is a repetition, which is counted; else its own, after that of the
    /// repetitions within the minute that it ends.
    fn events(&self, event: EventRow) -> Vec<EventRow> {
        let key = DenialKey::of(&event);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Repeated { since: event.occurred_at, count: 0, last: event.clone() };
        match known.get_mut(&key) {
            Some(repeated) if event.occurred_at < repeated.since.plus(WINDOW) => {
                repeated.count += 1;
                repeated.last = event;
                Vec::new()
            }
            Some(repeated) => std::mem::replace(repeated, begun).event().into_iter().chain([event]).collect(),
            None => {
                if known.len() < REMEMBERED {
                    known.insert(key, begun);
                }
                vec![event]
            }
        }
    }

    /// Puts back what could not be recorded, with what was counted meanwhile. It is due at once, and the next denial is no
    /// repetition.
    fn put_back(&self, events: Vec<EventRow>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for last in events {
            let (since, count) = (Timestamp::from_millis(0), last.count);
            let repeated = known.entry(DenialKey::of(&last)).or_insert(Repeated { since, count: 0, last });
            repeated.since = since;
            repeated.count += count;
        }
    }

    /// Takes out the denials whose minute has ended, or all of them, with an event for each that was repeated.
    fn ended(&self, now: Timestamp, all: bool) -> Vec<EventRow> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = known.extract_if(|_, repeated| all || now >= repeated.since.plus(WINDOW));
        ended.filter_map(|(_, repeated)| repeated.event()).collect()
    }
}

impl Vault {
    /// Records that somebody was refused, and gives the refusal back.
    ///
    /// The answer stays no where the record cannot be written; it is UNAVAILABLE then.
    pub(super) async fn deny(&self, event: EventRow, refusal: Error) -> Error {
        let events = self.0.denials.events(event.denied(&refusal));
        if events.is_empty() { refusal } else { self.record_denial(events, refusal).await }
    }

    async fn record_denial(&self, events: Vec<EventRow>, refusal: Error) -> Error {
        // On a task of its own: async-graphql drops a field when another one has failed, and what counts as recorded must be.
        let vault = self.clone();
        let recording = async move {
            let recorded = vault.record(&events).await;
            if recorded.is_err() {
                vault.0.denials.put_back(events);
            }
            recorded
        };
        match tokio::spawn(recording.in_current_span()).await {
            Ok(Ok(())) => refusal,
            Ok(Err(error)) => error,
            Err(_) => Error::internal("the recording of a denial ended without an answer"),
        }
    }

    /// As [`Self::deny`], where nobody may learn whether the thing exists: something is made durable every time, the event of a
    /// denial, or a note of nothing where it is a repetition or there is no such thing. So time and faults tell nothing either.
    pub(super) async fn conceal(&self, denied: Option<EventRow>, refusal: Error) -> Error {
        let events = denied.map(|event| self.0.denials.events(event.denied(&refusal))).unwrap_or_default();
        if events.is_empty() {
            return self.record_nothing().await.err().unwrap_or(refusal);
        }
        self.record_denial(events, refusal).await
    }

    /// The same work as [`Self::record`] of one event, on one of a few rows, so that those who do it at once rarely wait for each
    /// other.
    async fn record_nothing(&self) -> Result<()> {
        let row = EventId::new().0.as_bytes()[15] % NOTES;
        self.make_durable(Record { note: Some(format!("nothing.{row}")), ..Record::default() }).await
    }

    /// Makes events durable by themselves.
    pub(super) async fn record(&self, events: &[EventRow]) -> Result<()> {
        self.make_durable(Record { events: events.to_vec(), ..Record::default() }).await
    }

    /// Records the repetitions of denials whose minute has ended, or of all when the server stops. Called every few seconds.
    ///
    /// # Errors
    /// When the database cannot be reached; the counts are kept for the next time.
    pub async fn record_repeated_denials(&self, all: bool) -> Result<()> {
        let events = self.0.denials.ended(self.now(), all);
        if events.is_empty() {
            return Ok(());
        }
        let recorded = self.record(&events).await;
        if recorded.is_err() {
            self.0.denials.put_back(events);
        }
        recorded
    }
}
