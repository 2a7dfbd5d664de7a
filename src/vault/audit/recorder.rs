//! Group commit of events. Calls that arrive while a commit runs wait for the next one, which
//! commits the events of all of them. So no call waits for more than two commits while the events
//! fit into one.

use super::Audit;
use crate::domain::{EntryId, Error, Result, Timestamp};
use crate::store::records::EventRow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::Instrument as _;

/// Maximum number of events in one commit, unless a single call has more.
const MAX_EVENTS: usize = 5_000;

/// Maximum time of one commit.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

const COMMITS: &str = "vault_audit_commits_total";
const EVENTS: &str = "vault_audit_events_total";

const NOT_RECORDED: Error =
    Error::unavailable("What you asked for could not be recorded, so nothing was released or changed; try again.");

/// The records that wait to be committed.
#[derive(Default)]
pub(super) struct Recorder {
    waiting: Mutex<Vec<Submission>>,
    /// Held during a commit, so that one runs at a time.
    commit_lock: Arc<tokio::sync::Mutex<()>>,
}

/// One call's record, and where its result is sent.
struct Submission {
    record: CallRecord,
    done: oneshot::Sender<Result<()>>,
}

#[derive(Default)]
pub(in crate::vault) struct CallRecord {
    pub events: Vec<EventRow>,
    /// The entries whose value is about to be released.
    pub used: Vec<EntryId>,
    /// Rows that cost the same work as an event, where there is no event to record.
    pub decoys: Vec<EventRow>,
    /// What the event counter of the metrics grows by. It must not reveal whether an object exists:
    /// a denial counts once, as an event or as a decoy, and the event that carries the count of
    /// repetitions does not count again.
    pub counted: u64,
}

impl Recorder {
    fn add(&self, record: CallRecord) -> oneshot::Receiver<Result<()>> {
        let (done, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Submission { record, done });
        receiver
    }

    /// Takes the submissions that fit into one commit, oldest first.
    fn next(&self) -> Vec<Submission> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = 0;
        let fit = waiting.iter().take_while(|one| {
            events += one.record.events.len() + one.record.decoys.len();
            events <= MAX_EVENTS
        });
        let count = fit.count().max(1).min(waiting.len());
        waiting.drain(..count).collect()
    }
}

impl Audit {
    /// Commits a record, together with those of other calls.
    ///
    /// # Errors
    /// UNAVAILABLE when it is not committed; then the caller must release nothing.
    pub(in crate::vault) async fn make_durable(&self, record: CallRecord) -> Result<()> {
        let mut done = self.0.recorder.add(record);
        loop {
            let guard = self.0.recorder.commit_lock.clone().lock_owned().await;
            match done.try_recv() {
                Ok(result) => return result,
                // The task that was committing it ended without a result.
                Err(oneshot::error::TryRecvError::Closed) => return Err(NOT_RECORDED),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            // In a separate task: a caller that is cancelled must not cancel the commit of the
            // others.
            let audit = self.clone();
            let commit = async move {
                let _guard = guard;
                let batch = audit.0.recorder.next();
                audit.commit_batch(batch).await;
            };
            if tokio::spawn(commit.in_current_span()).await.is_err() {
                return Err(NOT_RECORDED);
            }
        }
    }

    async fn commit_batch(&self, mut batch: Vec<Submission>) {
        let merged = self.commit_in_time(batch.iter().map(|waiting| &waiting.record)).await;
        // Sending fails when the caller no longer waits, and that is fine.
        let last = if batch.len() == 1 { batch.pop() } else { None };
        if let Some(only) = last {
            let _ = only.done.send(merged);
            return;
        }
        for waiting in batch {
            let result = match &merged {
                Ok(()) => Ok(()),
                Err(Error::Unavailable { message, will_take_effect }) => {
                    Err(Error::Unavailable { message, will_take_effect: *will_take_effect })
                }
                // The database refused the batch: commit each record by itself, so that only the
                // faulty one fails.
                Err(_) => self.commit_in_time([&waiting.record]).await,
            };
            let _ = waiting.done.send(result);
        }
    }

    /// Commits records within [`COMMIT_TIMEOUT`].
    async fn commit_in_time<'a>(&self, records: impl IntoIterator<Item = &'a CallRecord>) -> Result<()> {
        tokio::time::timeout(COMMIT_TIMEOUT, self.commit_records(records)).await.unwrap_or(Err(NOT_RECORDED))
    }

    async fn commit_records<'a>(&self, records: impl IntoIterator<Item = &'a CallRecord>) -> Result<()> {
        let (mut events, mut used) = (Vec::new(), HashMap::<EntryId, i64>::new());
        let mut now: Option<Timestamp> = None;
        let (mut decoys, mut counted) = (Vec::new(), 0);
        for record in records {
            counted += record.counted;
            events.extend_from_slice(&record.events);
            now = now.max(record.events.iter().map(|event| event.occurred_at).max());
            for id in &record.used {
                *used.entry(*id).or_default() += 1;
            }
            decoys.extend_from_slice(&record.decoys);
        }
        let mut tx = self.0.store.begin().await?;
        if !used.is_empty() {
            let used: Vec<(EntryId, i64)> = used.into_iter().collect();
            tx.record_usage(&used, now.unwrap_or_else(|| self.now())).await?;
        }
        self.append_with_decoys(&mut tx, &events, &decoys).await?;
        tx.commit().await?;
        if counted > 0 {
            metrics::counter!(COMMITS).increment(1);
            metrics::counter!(EVENTS).increment(counted);
        }
        Ok(())
    }
}
