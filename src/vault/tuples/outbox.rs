//! The outbox: changes of tuples that are committed and not applied yet. Any server applies them,
//! the rows of one partition in order.

use super::Tuples;
use super::partition::OutboxPartition;
use super::pending::PendingRows;
use super::queued::QueuedTx;
use crate::authz::{InvalidChange, Object, Tuple, TupleChange, TupleFilter};
use crate::crypto::{AuditKey, MacContext};
use crate::domain::{AgentId, Error, Result};
use crate::store::Tx;
use crate::store::records::{EventRow, OutboxRow};
use crate::vault::measures;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// The change of tuples in one row of the outbox.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::vault) enum Step {
    /// Writes and deletes these tuples.
    Change(TupleChange),
    /// Deletes every tuple of an object, also those that others wrote, and `last` after all others.
    Erase {
        /// The object, as OpenFGA names it.
        object: String,
        /// The tuple that is deleted last.
        last: Option<Tuple>,
    },
}

/// A step in the outbox: its sequence number, and its JSON.
type OutboxEntry = (i64, String);

const FORGED: &str = "it is not what the vault wrote: its MAC is wrong";
const UNREADABLE: &str = "it cannot be read";
const INVALID: &str = "the authorizer refuses it as invalid";

/// What became of the pending rows of a partition.
#[derive(Default)]
pub(super) struct Drained {
    /// The rows that were applied.
    applied: Vec<OutboxEntry>,
    /// The rows that stay.
    pub(super) left: PendingRows,
}

/// What became of a caller's own steps.
enum ChangeOutcome {
    /// They are in effect.
    InEffect,
    /// They stay in the outbox until an operator has repaired it.
    Pending,
    /// They are gone, and not in effect.
    Lost,
}

const NEEDS_REPAIR: Error = Error::Unavailable {
    message: "The change is saved, but it or one before it cannot be applied; an operator has to repair that before it takes effect.",
    will_take_effect: true,
};

const WILL_TAKE_EFFECT: Error = Error::Unavailable {
    message: "The change is saved, but the authorizer cannot be reached; it takes effect as soon as it can.",
    will_take_effect: true,
};

impl Tuples {
    /// Begins a change of tuples in this partition: takes its lock and applies its pending rows, so
    /// that the caller reads current tuples. A caller that finds nothing to change still commits,
    /// so that the applied rows leave the outbox.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the authorizer does not answer in time.
    pub(in crate::vault) async fn begin_change(&self, partition: OutboxPartition<'_>) -> Result<QueuedTx> {
        let mut tx = self.begin(&[partition]).await?;
        self.drain(&mut tx, partition).await?;
        Ok(tx)
    }

    /// Takes a partition's lock and applies its pending rows.
    ///
    /// # Errors
    /// As [`Self::begin_change`].
    pub(in crate::vault) async fn drain(&self, tx: &mut QueuedTx, partition: OutboxPartition<'_>) -> Result<()> {
        let name = partition.to_string();
        tx.lock_name(&name).await?;
        let drained = self.apply_pending(tx, &name, None).await?;
        tx.add_pending(&drained.left);
        Ok(())
    }

    /// Drains the partitions of the projects in which pending rows name an agent, and strikes the
    /// agent from the rows that stay there: they would assign it.
    ///
    /// # Errors
    /// As [`Self::begin_change`].
    pub(in crate::vault) async fn drain_assignments(&self, tx: &mut Tx, agent: &AgentId) -> Result<()> {
        let agent = Object::agent(agent);
        for name in tx.outbox_partitions_mentioning(&agent).await? {
            if partition_kind(&name) == "project" {
                tx.lock_name(&name).await?;
                let mut drained = self.apply_pending(tx, &name, None).await?;
                let delete = drained.left.writes().filter(|tuple| tuple.subject() == agent).cloned().collect();
                let key = self.installation.audit_key(tx).await?;
                let struck = Step::Change(TupleChange { write: vec![], delete });
                self.strike(tx, &key, &mut drained.left, &struck).await?;
            }
        }
        Ok(())
    }

    /// Commits events with the steps they stand for, then applies the steps.
    ///
    /// # Errors
    /// UNAVAILABLE without `will_take_effect` when nothing was committed; UNAVAILABLE with it when
    /// the steps are committed and not applied yet, or cannot be; INTERNAL when somebody else who
    /// writes to the database has removed the steps before they took effect.
    pub(in crate::vault) async fn commit_and_apply(
        &self,
        mut tx: QueuedTx,
        partition: OutboxPartition<'_>,
        events: &[EventRow],
        steps: &[Step],
    ) -> Result<()> {
        let name = partition.to_string();
        self.audit.append(&mut tx, events).await?;
        let mut pushed = Vec::with_capacity(steps.len());
        for step in steps {
            pushed.push(self.push(&mut tx, &name, step).await?);
        }
        tx.commit().await?;
        let outcome = self.apply_partition(&name, steps, &pushed).await.map_err(|error| {
            tracing::warn!(partition = %partition_kind(&name), %error, "a committed change of tuples waits in the outbox");
            WILL_TAKE_EFFECT
        })?;
        match outcome {
            ChangeOutcome::InEffect => return Ok(()),
            ChangeOutcome::Pending => return Err(NEEDS_REPAIR),
            ChangeOutcome::Lost => {}
        }
        tracing::error!(
            partition = %name,
            "a committed change of tuples disappeared from the outbox before it was applied; make the change again and \
             find out who changed the database"
        );
        Err(Error::internal("a committed change of tuples disappeared from the outbox"))
    }

    /// Applies the pending rows of a partition, the caller's own steps among them. Returns what
    /// became of those.
    async fn apply_partition(&self, partition: &str, steps: &[Step], own: &[OutboxEntry]) -> Result<ChangeOutcome> {
        let mut tx = self.begin_partition(partition).await?;
        tx.lock_name(partition).await?;
        let Drained { applied, left } = self.apply_pending(&mut tx, partition, None).await?;
        let outcome = if own.iter().any(|(seq, _)| left.contains(*seq)) {
            ChangeOutcome::Pending
        } else if own.iter().all(|row| applied.contains(row)) || self.confirm_effect(&mut tx, steps).await? {
            ChangeOutcome::InEffect
        } else {
            ChangeOutcome::Lost
        };
        tx.commit().await?;
        Ok(outcome)
    }

    /// Checks whether steps whose rows are gone are in effect, because another server applied them.
    /// They are not applied again: that server may have undone them since for somebody else, and
    /// access that was taken away would come back. Only the erasure of a project is completed here,
    /// since its id is never used again.
    async fn confirm_effect(&self, tx: &mut Tx, steps: &[Step]) -> Result<bool> {
        if let Some(Step::Erase { object, last: Some(last) }) = steps.last() {
            self.erase_tuples(tx, object, Some(last.clone())).await?.map_err(Error::internal)?;
        }
        let (mut wanted, mut erased) = (HashMap::<&Tuple, bool>::new(), HashSet::new());
        for step in steps {
            match step {
                Step::Change(change) => {
                    wanted.extend(change.delete.iter().map(|tuple| (tuple, false)));
                    wanted.extend(change.write.iter().map(|tuple| (tuple, true)));
                }
                Step::Erase { object, .. } => {
                    wanted.retain(|tuple, _| tuple.object() != object);
                    erased.insert(object.as_str());
                }
            }
        }
        let objects: HashSet<&str> = wanted.keys().map(|tuple| tuple.object()).chain(erased.iter().copied()).collect();
        for object in objects {
            let held = self.authorizer.read(tx, &TupleFilter::of_object(object)).await?;
            let mut of_object = wanted.iter().filter(|(tuple, _)| tuple.object() == object);
            let is_as_wanted = of_object.all(|(tuple, present)| held.contains(tuple) == *present)
                && (!erased.contains(object) || held.iter().all(|tuple| wanted.get(tuple) == Some(&true)));
            if !is_as_wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Commits a change of tuples to a partition and leaves it there, as a server does that dies
    /// right after its commit: for tests of what the others do then.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    #[doc(hidden)]
    pub async fn save_only(&self, partition: &str, change: TupleChange) -> Result<()> {
        let mut tx = self.store.begin().await?;
        self.push(&mut tx, partition, &Step::Change(change)).await?;
        Ok(tx.commit().await?)
    }

    async fn push(&self, tx: &mut Tx, partition: &str, step: &Step) -> Result<OutboxEntry> {
        let key = self.installation.audit_key(tx).await?;
        let (step, mac) = signed(&key, partition, step)?;
        Ok((tx.push_outbox(partition, &step, &mac, self.installation.now()).await?, step))
    }

    /// Applies the pending rows of all partitions. If one partition fails, the others are still
    /// applied. Called every second.
    ///
    /// # Errors
    /// The last failure, when there was one.
    pub async fn apply_outbox(&self) -> Result<()> {
        let partitions = self.store.conn().await?.outbox_partitions().await?;
        let is_empty = partitions.is_empty();
        let mut result = Ok(());
        for partition in partitions {
            result = self.apply_partition(&partition, &[], &[]).await.map(drop).and(result);
        }
        let set_aside = if is_empty { 0 } else { self.count_set_aside().await? };
        measures::note_set_aside(set_aside);
        result
    }

    /// Applies the pending rows of a partition. The caller holds the partition's lock. A row that
    /// can never be applied is set aside, and `retried` is tried although it was; later rows
    /// overtake those that stay as [`super::pending`] says.
    pub(super) async fn apply_pending(&self, tx: &mut Tx, partition: &str, retried: Option<i64>) -> Result<Drained> {
        let waiting = tx.outbox_of(partition).await?;
        let mut drained = Drained::default();
        if waiting.is_empty() {
            return Ok(drained);
        }
        let key = self.installation.audit_key(tx).await?;
        for row in waiting {
            let step = match read_step(&key, &row) {
                Ok(step) => step,
                Err(reason) => {
                    self.set_aside(tx, &row, reason).await?;
                    drained.left.push(row, None);
                    continue;
                }
            };
            if row.set_aside_at.is_some() && retried != Some(row.seq) {
                drained.left.push(row, Some(step));
                continue;
            }
            if drained.left.hold_back(&step) {
                let step = self.take_away(tx, &key, &row, step, &mut drained.left).await?;
                drained.left.push(row, Some(step));
                continue;
            }
            let applied = match &step {
                Step::Change(change) => self.authorizer.try_apply(tx, change).await?,
                Step::Erase { object, last } => self.erase_tuples(tx, object, last.clone()).await?,
            };
            if let Err(InvalidChange) = applied {
                self.set_aside(tx, &row, INVALID).await?;
                drained.left.push(row, Some(step));
                continue;
            }
            tx.delete_outbox(row.seq).await?;
            self.strike(tx, &key, &mut drained.left, &step).await?;
            drained.applied.push((row.seq, row.change));
        }
        Ok(drained)
    }

    /// Takes away at once what a row takes away that must wait with what it grants. Gives what the
    /// row still does.
    async fn take_away(
        &self,
        tx: &mut Tx,
        key: &AuditKey,
        row: &OutboxRow,
        step: Step,
        left: &mut PendingRows,
    ) -> Result<Step> {
        let Step::Change(TupleChange { write, delete }) = step else { return Ok(step) };
        if delete.is_empty() {
            return Ok(Step::Change(TupleChange { write, delete }));
        }
        let now = TupleChange { write: vec![], delete };
        if self.authorizer.try_apply(tx, &now).await?.is_err() {
            self.set_aside(tx, row, INVALID).await?;
            return Ok(Step::Change(TupleChange { write, ..now }));
        }
        self.strike(tx, key, left, &Step::Change(now)).await?;
        let later = Step::Change(TupleChange { write, delete: vec![] });
        let (change, mac) = signed(key, &row.partition, &later)?;
        tx.rewrite_outbox(row.seq, &change, &mac).await?;
        Ok(later)
    }

    async fn set_aside(&self, tx: &mut Tx, row: &OutboxRow, reason: &'static str) -> Result<()> {
        if row.set_aside_at.is_some() && row.reason.as_deref() == Some(reason) {
            return Ok(());
        }
        tracing::error!(
            row = row.seq,
            partition = %partition_kind(&row.partition),
            reason,
            "a change of tuples cannot be applied and is set aside; run `project-vault outbox list`"
        );
        Ok(tx.set_outbox_aside(row.seq, reason, self.installation.now()).await?)
    }

    /// Strikes what a later step takes away from the rows that stay.
    async fn strike(&self, tx: &mut Tx, key: &AuditKey, left: &mut PendingRows, later: &Step) -> Result<()> {
        for (row, step) in left.strike(later) {
            let (change, mac) = signed(key, &row.partition, step)?;
            tx.rewrite_outbox(row.seq, &change, &mac).await?;
        }
        Ok(())
    }

    async fn erase_tuples(
        &self,
        tx: &mut Tx,
        object: &str,
        last: Option<Tuple>,
    ) -> Result<std::result::Result<(), InvalidChange>> {
        let mut tuples = self.authorizer.read(tx, &TupleFilter::of_object(object)).await?;
        tuples.retain(|tuple| Some(tuple) != last.as_ref());
        for delete in [tuples, last.into_iter().collect()] {
            let erased = self.authorizer.try_apply(tx, &TupleChange { write: vec![], delete }).await?;
            if erased.is_err() {
                return Ok(erased);
            }
        }
        Ok(Ok(()))
    }
}

/// A step as it is stored: its JSON and its MAC.
fn signed(key: &AuditKey, partition: &str, step: &Step) -> Result<(String, [u8; 32])> {
    let step = serde_json::to_string(step).map_err(Error::internal)?;
    let mac = key.mac(MacContext::Outbox, [Some(partition), Some(step.as_str())]);
    Ok((step, mac))
}

/// The step of a row that the vault wrote, or why there is none.
fn read_step(key: &AuditKey, row: &OutboxRow) -> std::result::Result<Step, &'static str> {
    key.verify(MacContext::Outbox, [Some(row.partition.as_str()), Some(&row.change)], &row.mac).map_err(|_| FORGED)?;
    serde_json::from_str(&row.change).map_err(|_| UNREADABLE)
}

/// The kind of a partition, without the id that its name holds.
pub(super) fn partition_kind(partition: &str) -> &str {
    partition.split(':').next().unwrap_or_default()
}
