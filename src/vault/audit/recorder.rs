//! Group commit: records of calls that arrive together are committed together. A call that arrives
//! while a commit is under way waits for the next one, which takes as many waiting calls along as
//! fit. So a call normally waits for at most two commits.

use super::Audit;
use crate::domain::{EntryId, Error, Result, Timestamp};
use crate::store::records::EventRow;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Maximum number of events in one commit, unless a single call has more.
const MAX_EVENTS: usize = 5_000;

/// Maximum time of one commit.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

const COMMITS: &str = "vault_audit_commits_total";
const EVENTS: &str = "vault_audit_events_total";

const NOT_RECORDED: Error =
    Error::unavailable("What you asked for could not be recorded, so nothing was released or changed; try again.");

/// The queue of records to write.
#[derive(Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: Vec<Submission>,
    /// Whether a task is writing the queue. The task ends when the queue is empty.
    has_writer: bool,
}

/// A record in the queue, and where its result goes.
struct Submission {
    record: CallRecord,
    done: oneshot::Sender<Result<()>>,
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

impl Recorder {
    /// Adds a record; also says whether the caller has to start the task that writes the queue.
    fn add(&self, record: CallRecord) -> (oneshot::Receiver<Result<()>>, bool) {
        let (done, receiver) = oneshot::channel();
        let mut queue = self.0.lock();
        queue.waiting.push(Submission { record, done });
        (receiver, !std::mem::replace(&mut queue.has_writer, true))
    }

    /// Takes the oldest records that fit into one commit; `None` when none wait, and the task ends.
    fn next(&self) -> Option<Vec<Submission>> {
        let mut queue = self.0.lock();
        if queue.waiting.is_empty() {
            queue.has_writer = false;
            return None;
        }
        let mut events = 0;
        let fit = queue.waiting.iter().take_while(|one| {
            events += one.record.events.len() + one.record.decoys.len();
            events <= MAX_EVENTS
        });
        let count = fit.count().max(1);
        Some(queue.waiting.drain(..count).collect())
    }
}

/// The task that writes the queue. If it ends early, or never begins, what waits is dropped, so that no caller waits
/// in vain, and the next record starts another task.
struct Writer {
    recorder: Recorder,
    /// Whether the queue was empty. From then on it may be another task's.
    has_ended: bool,
}

impl Writer {
    fn of(recorder: &Recorder) -> Self {
        Self { recorder: recorder.clone(), has_ended: false }
    }

    fn next(&mut self) -> Option<Vec<Submission>> {
        let batch = self.recorder.next();
        self.has_ended = batch.is_none();
        batch
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let dropped = {
            let mut queue = self.recorder.0.lock();
            queue.has_writer = false;
            std::mem::take(&mut queue.waiting)
        };
        tracing::error!(calls = dropped.len(), "writing records ended early; nothing of these calls was released");
    }
}

impl Audit {
    /// Makes records durable, together with those of other calls.
    ///
    /// # Errors
    /// UNAVAILABLE when they are not; then nothing may leave.
    pub(in crate::vault) async fn make_durable(&self, record: CallRecord) -> Result<()> {
        let (done, is_first) = self.0.recorder.add(record);
        if is_first {
            // On a task of its own: a caller that disconnects must not lose other callers' records. It
            // writes for many requests, so its log lines belong to none.
            let (audit, writer) = (self.clone(), Writer::of(&self.0.recorder));
            self.0.store.spawn(async move { audit.write_queue(writer).await });
        }
        // The sender is gone when the task ended early.
        done.await.unwrap_or(Err(NOT_RECORDED))
    }

    async fn write_queue(&self, mut writer: Writer) {
        while let Some(batch) = writer.next() {
            self.commit_batch(batch).await;
        }
    }

    async fn commit_batch(&self, mut batch: Vec<Submission>) {
        let merged = self.commit_in_time(batch.iter().map(|waiting| &waiting.record)).await;
        // A caller that no longer waits needs no answer.
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
                // If the database refuses one record, the others are still committed: each is tried
                // alone.
                Err(_) => self.commit_in_time([&waiting.record]).await,
            };
            let _ = waiting.done.send(result);
        }
    }

    /// Commits within the time limit, so that a database that does not answer keeps no call
    /// waiting.
    async fn commit_in_time<'a>(&self, records: impl IntoIterator<Item = &'a CallRecord>) -> Result<()> {
        tokio::time::timeout(COMMIT_TIMEOUT, self.commit_records(records)).await.unwrap_or(Err(NOT_RECORDED))
    }

    async fn commit_records<'a>(&self, records: impl IntoIterator<Item = &'a CallRecord>) -> Result<()> {
        let (mut events, mut used) = (Vec::new(), HashMap::<EntryId, i64>::new());
        let mut now: Option<Timestamp> = None;
        let (mut decoys, mut counted) = (Vec::new(), 0);
        for record in records {
            counted += record.counted;
            events.extend(&record.events);
            now = now.max(record.events.iter().map(|event| event.occurred_at).max());
            for id in &record.used {
                *used.entry(*id).or_default() += 1;
            }
            decoys.extend(&record.decoys);
        }
        self.0.installation.open_audit_key().await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_task_writes_the_queue_and_a_record_after_its_end_starts_another() {
        let recorder = Recorder::default();
        let (_first, starts) = recorder.add(CallRecord::default());
        assert!(starts);
        let (_second, starts) = recorder.add(CallRecord::default());
        assert!(!starts, "the task of the first record takes it along");
        assert_eq!(recorder.next().map(|batch| batch.len()), Some(2));
        assert!(recorder.next().is_none());
        let (_third, starts) = recorder.add(CallRecord::default());
        assert!(starts);
    }

    #[test]
    fn what_waits_is_refused_when_the_task_ends_early() {
        let recorder = Recorder::default();
        let (mut waiting, _) = recorder.add(CallRecord::default());
        drop(Writer::of(&recorder));
        assert!(matches!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        let (_next, starts) = recorder.add(CallRecord::default());
        assert!(starts, "the next record starts another task");
    }

    #[test]
    fn a_record_that_comes_when_the_queue_was_just_empty_is_the_next_tasks() {
        let recorder = Recorder::default();
        let mut writer = Writer::of(&recorder);
        let (_first, _) = recorder.add(CallRecord::default());
        assert!(writer.next().is_some());
        assert!(writer.next().is_none());
        // Before the first task is gone.
        let (mut waiting, starts) = recorder.add(CallRecord::default());
        assert!(starts);
        drop(writer);
        assert!(matches!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Empty)), "the next task writes it");
    }
}
