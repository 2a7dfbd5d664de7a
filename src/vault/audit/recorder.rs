//! Group commit: records of calls that arrive together are committed together. A call that arrives
//! while a commit is under way waits for the next one, which takes as many waiting calls along as
//! fit. So a call normally waits for at most two commits.

use super::Audit;
use crate::domain::{EntryId, Error, Result, Timestamp};
use crate::groups::{Groups, Request};
use crate::store::records::{EventRow, Uses};
use crate::trace::ExportedSpan;
use crate::vault::measures;
use std::collections::HashMap;
use std::time::Duration;

/// Maximum number of events in one commit, unless a single call has more.
const MAX_EVENTS: usize = 5_000;

/// Maximum time of one commit.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) const NOT_RECORDED: Error =
    Error::unavailable("What you asked for could not be recorded, so nothing was released or changed; try again.");

/// Records to write, each with its result; also those of callers that left. One task writes them,
/// since one transaction at a time appends to a chain.
pub(super) type Recorder = Groups<CallRecord, Result<()>>;

pub(super) fn recorder() -> Recorder {
    Groups::of_lasting_requests(1, MAX_EVENTS)
}

/// The records of one call.
#[derive(Default)]
pub(in crate::vault) struct CallRecord {
    pub events: Vec<EventRow>,
    /// The entries of which a value is about to leave.
    pub used: Vec<EntryId>,
    /// Decoys, which make denying a missing object as much work as denying a hidden one.
    pub decoys: Vec<EventRow>,
    /// The amount to add to the metric of events: 1 for a denial, whether it is an event or a
    /// decoy, so that the metric does not tell whether the object exists; 0 for the event that sums
    /// up repetitions.
    pub counted: u64,
}

impl Audit {
    /// Makes records durable, together with those of other calls.
    ///
    /// # Errors
    /// UNAVAILABLE when they are not; then nothing may leave.
    pub(in crate::vault) async fn make_durable(&self, record: CallRecord) -> Result<()> {
        let size = record.events.len() + record.decoys.len();
        let counted = record.counted;
        let span = ExportedSpan::record_events();
        let written = span.around(self.0.recorder.ask(record, size, |mut leader| {
            // It writes for many requests, so its log lines belong to none.
            let audit = self.clone();
            self.0.store.spawn(async move {
                loop {
                    // Calls that can run now ask first, and are in the group. With SQLite, this task has a
                    // thread of its own, and nobody waits for it.
                    tokio::task::yield_now().await;
                    let Some(group) = leader.next_group() else { break };
                    let span = group.first().map_or_else(ExportedSpan::entered, |first| first.asked_in.clone());
                    span.around(audit.commit_group(group)).await;
                }
            });
        }));
        let written = written.await.unwrap_or(Err(NOT_RECORDED));
        if let Err(error) = &written {
            span.failed(error.code().as_str());
        }
        if written.is_err() {
            measures::count_not_recorded(counted);
        }
        written
    }

    async fn commit_group(&self, mut group: Vec<Request<CallRecord, Result<()>>>) {
        let merged = self.commit_in_time(group.iter().map(|one| &one.question)).await;
        if group.len() == 1
            && let Some(only) = group.pop()
        {
            only.answer(merged);
            return;
        }
        let outage = |result: &Result<()>| match result {
            Err(Error::Unavailable { message, .. }) => Some(*message),
            _ => None,
        };
        let mut unavailable = outage(&merged);
        for one in group {
            let result = match (&merged, unavailable) {
                (Ok(()), _) => Ok(()),
                (Err(_), Some(message)) => Err(Error::unavailable(message)),
                // If the database refuses one record, the others are still committed: each is tried
                // alone.
                (Err(_), None) => self.commit_in_time([&one.question]).await,
            };
            unavailable = unavailable.or_else(|| outage(&result));
            one.answer(result);
        }
    }

    /// Commits within the time limit, so that a database that does not answer keeps no call
    /// waiting.
    async fn commit_in_time<'a>(&self, records: impl IntoIterator<Item = &'a CallRecord>) -> Result<()> {
        tokio::time::timeout(COMMIT_TIMEOUT, self.commit_records(records)).await.unwrap_or(Err(NOT_RECORDED))
    }

    async fn commit_records<'a>(&self, records: impl IntoIterator<Item = &'a CallRecord>) -> Result<()> {
        let (mut events, mut times) = (Vec::new(), HashMap::<EntryId, i64>::new());
        let mut now: Option<Timestamp> = None;
        let (mut decoys, mut counted) = (Vec::new(), 0);
        for record in records {
            counted += record.counted;
            events.extend(&record.events);
            now = now.max(record.events.iter().map(|event| event.occurred_at).max());
            for id in &record.used {
                *times.entry(*id).or_default() += 1;
            }
            decoys.extend(&record.decoys);
        }
        let at = now.unwrap_or_else(|| self.now());
        let uses = (!times.is_empty()).then(|| Uses { entries: times.into_iter().collect(), at });
        let written = self.commit_events(&events, &decoys, uses.as_ref()).await;
        self.0.store.note_record(!matches!(written, Err(Error::Unavailable { .. })));
        written?;
        if counted > 0 {
            measures::count_recorded(counted);
        }
        Ok(())
    }
}
