//! The outbox: changes of tuples that are committed and not applied yet. Any server applies them,
//! the rows of one partition in order.

use super::Tuples;
use super::partition::OutboxPartition;
use super::queued::QueuedTx;
use crate::authz::{Tuple, TupleChange, TupleFilter};
use crate::crypto::MacContext;
use crate::domain::{Error, Result};
use crate::store::Tx;
use crate::store::records::EventRow;
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
    pub(in crate::vault) async fn drain(&self, tx: &mut Tx, partition: OutboxPartition<'_>) -> Result<()> {
        let name = partition.to_string();
        tx.lock_name(&name).await?;
        self.apply_pending(tx, &name).await.map(drop)
    }

    /// Drains the partitions of all projects that have pending rows.
    ///
    /// # Errors
    /// As [`Self::begin_change`].
    pub(in crate::vault) async fn drain_projects(&self, tx: &mut Tx) -> Result<()> {
        for name in tx.outbox_partitions().await? {
            if partition_kind(&name) == "project" {
                tx.lock_name(&name).await?;
                self.apply_pending(tx, &name).await?;
            }
        }
        Ok(())
    }

    /// Commits events with the steps they stand for, then applies the steps.
    ///
    /// # Errors
    /// UNAVAILABLE without `will_take_effect` when nothing was committed; UNAVAILABLE with it when
    /// the steps are committed and not applied yet; INTERNAL when somebody else who writes to the
    /// database has removed the steps before they took effect.
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
        let in_effect = self.apply_partition(&name, steps, &pushed).await.map_err(|error| {
            tracing::warn!(partition = %partition_kind(&name), %error, "a committed change of tuples waits in the outbox");
            WILL_TAKE_EFFECT
        })?;
        if in_effect {
            return Ok(());
        }
        tracing::error!(
            partition = %name,
            "a committed change of tuples disappeared from the outbox before it was applied; make the change again and \
             find out who changed the database"
        );
        Err(Error::internal("a committed change of tuples disappeared from the outbox"))
    }

    /// Applies the pending rows of a partition, the caller's own steps among them. Returns whether
    /// those are in effect.
    async fn apply_partition(&self, partition: &str, steps: &[Step], own: &[OutboxEntry]) -> Result<bool> {
        let mut tx = self.begin_partition(partition).await?;
        tx.lock_name(partition).await?;
        let applied = self.apply_pending(&mut tx, partition).await?;
        let in_effect = own.iter().all(|row| applied.contains(row)) || self.confirm_effect(&mut tx, steps).await?;
        tx.commit().await?;
        Ok(in_effect)
    }

    /// Checks whether steps whose rows are gone are in effect, because another server applied them.
    /// They are not applied again: that server may have undone them since for somebody else, and
    /// access that was taken away would come back. Only the erasure of a project is completed here,
    /// since its id is never used again.
    async fn confirm_effect(&self, tx: &mut Tx, steps: &[Step]) -> Result<bool> {
        if let Some(Step::Erase { object, last: Some(last) }) = steps.last() {
            self.erase_tuples(tx, object, Some(last.clone())).await?;
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
        let step = serde_json::to_string(step).map_err(Error::internal)?;
        let mac = key.mac(MacContext::Outbox, [Some(partition), Some(step.as_str())]);
        Ok((tx.push_outbox(partition, &step, &mac, self.installation.now()).await?, step))
    }

    /// Applies the pending rows of all partitions. If one partition fails, the others are still
    /// applied. Called every second.
    ///
    /// # Errors
    /// The last failure, when there was one.
    pub async fn apply_outbox(&self) -> Result<()> {
        let partitions = self.store.conn().await?.outbox_partitions().await?;
        let mut result = Ok(());
        for partition in partitions {
            result = self.apply_partition(&partition, &[], &[]).await.map(drop).and(result);
        }
        result
    }

    /// Applies the pending rows of a partition and returns them. The caller holds the partition's
    /// lock. A row whose MAC is wrong stops the partition until an operator removes the row.
    async fn apply_pending(&self, tx: &mut Tx, partition: &str) -> Result<Vec<OutboxEntry>> {
        let waiting = tx.outbox_of(partition).await?;
        let mut applied = Vec::with_capacity(waiting.len());
        if waiting.is_empty() {
            return Ok(applied);
        }
        let key = self.installation.audit_key(tx).await?;
        for row in waiting {
            key.verify(MacContext::Outbox, [Some(row.partition.as_str()), Some(&row.change)], &row.mac).map_err(
                |error| {
                    tracing::error!(
                        row = row.seq,
                        "a change of tuples was not written by the vault; remove its row from the outbox"
                    );
                    Error::internal(error)
                },
            )?;
            match serde_json::from_str(&row.change).map_err(Error::internal)? {
                Step::Change(change) => self.authorizer.apply(tx, &change).await?,
                Step::Erase { object, last } => self.erase_tuples(tx, &object, last).await?,
            }
            tx.delete_outbox(row.seq).await?;
            applied.push((row.seq, row.change));
        }
        Ok(applied)
    }

    async fn erase_tuples(&self, tx: &mut Tx, object: &str, last: Option<Tuple>) -> Result<()> {
        let mut tuples = self.authorizer.read(tx, &TupleFilter::of_object(object)).await?;
        tuples.retain(|tuple| Some(tuple) != last.as_ref());
        self.authorizer.apply(tx, &TupleChange { write: vec![], delete: tuples }).await?;
        self.authorizer.apply(tx, &TupleChange { write: vec![], delete: last.into_iter().collect() }).await
    }
}

/// The kind of a partition, without the id that its name holds.
fn partition_kind(partition: &str) -> &str {
    partition.split(':').next().unwrap_or_default()
}
