//! The outbox: changes of tuples that are committed but not applied to the authorizer yet. Any
//! server may apply them, in order within a partition. A MAC proves that the vault wrote the row.

use super::Tuples;
use super::queued::QueuedTx;
use crate::authz::{Tuple, TupleChange, TupleFilter};
use crate::crypto::Record;
use crate::domain::{AgentId, Error, ProjectId, Result, RuntimeId};
use crate::store::Tx;
use crate::store::records::EventRow;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// A partition of the outbox. Its rows are applied in order.
#[derive(Debug, Clone, Copy)]
pub(in crate::vault) enum OutboxPartition<'a> {
    /// The tuples of one project and its milestones.
    Project(&'a ProjectId),
    /// The organization of one agent.
    Agent(&'a AgentId),
    /// The organization of one runtime.
    Runtime(&'a RuntimeId),
    /// The registrars and auditors of the vault.
    Vault,
}

impl std::fmt::Display for OutboxPartition<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project:{id}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Runtime(id) => write!(f, "runtime:{id}"),
            Self::Vault => f.write_str("vault"),
        }
    }
}

/// A change of tuples: the content of one outbox row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::vault) enum Step {
    /// Writes and deletes these tuples.
    Change(TupleChange),
    /// Deletes every tuple of an object, whoever wrote it, and `last` after all others.
    Erase {
        /// The object, as OpenFGA names it.
        object: String,
        /// The tuple that is deleted last.
        last: Option<Tuple>,
    },
}

/// A step in the outbox: its sequence number, and its JSON.
type Pushed = (i64, String);

const WILL_TAKE_EFFECT: Error = Error::Unavailable {
    message: "The change is saved, but the authorizer cannot be reached; it takes effect as soon as it can.",
    will_take_effect: true,
};

impl Tuples {
    /// Begins a change of tuples in this partition: takes its lock and applies the rows that wait
    /// in it, so that the caller then reads current tuples. A caller that finds nothing to change
    /// must still commit, to keep what was applied here.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the authorizer does not answer in time.
    pub(in crate::vault) async fn begin_change(&self, partition: OutboxPartition<'_>) -> Result<QueuedTx> {
        let mut tx = self.begin(&[partition]).await?;
        self.drain(&mut tx, partition).await?;
        Ok(tx)
    }

    /// Takes a partition's lock and applies the rows that wait in it.
    ///
    /// # Errors
    /// As [`Self::begin_change`].
    pub(in crate::vault) async fn drain(&self, tx: &mut Tx, partition: OutboxPartition<'_>) -> Result<()> {
        let name = partition.to_string();
        tx.lock_name(&name).await?;
        self.apply_pending(tx, &name).await.map(drop)
    }

    /// Drains the partition of every project that has waiting rows.
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

    /// Commits events together with the steps that they record, then applies the steps.
    ///
    /// # Errors
    /// UNAVAILABLE without `will_take_effect` when nothing was committed, with it when the steps
    /// are still to be applied. INTERNAL when the steps are missing from the outbox and not in
    /// effect, because someone removed them from the database.
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
        let in_effect = self.apply_own(&name, steps, &pushed).await.map_err(|error| {
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

    /// Applies the rows that wait in a partition, including the caller's own. Gives whether the
    /// caller's steps are in effect.
    async fn apply_own(&self, partition: &str, steps: &[Step], own: &[Pushed]) -> Result<bool> {
        let mut tx = self.begin_named(&[partition.to_owned()]).await?;
        tx.lock_name(partition).await?;
        let applied = self.apply_pending(&mut tx, partition).await?;
        let in_effect = own.iter().all(|row| applied.contains(row)) || self.confirm_effect(&mut tx, steps).await?;
        tx.commit().await?;
        Ok(in_effect)
    }

    /// Whether steps whose rows are missing are in effect, because another server applied them.
    /// They are not applied again: a later change may have undone them, and applying them would
    /// restore access that was taken away. Only the erasure of a project is repeated, since its id
    /// is never reused.
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

    /// Commits a change to the outbox without applying it, for tests of a server that dies right
    /// after its commit.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn save_only(&self, partition: &str, change: TupleChange) -> Result<()> {
        let mut tx = self.store.begin().await?;
        self.push(&mut tx, partition, &Step::Change(change)).await?;
        Ok(tx.commit().await?)
    }

    async fn push(&self, tx: &mut Tx, partition: &str, step: &Step) -> Result<Pushed> {
        let key = self.installation.audit_key(tx).await?;
        let step = serde_json::to_string(step).map_err(Error::internal)?;
        let mac = key.mac(Record::Outbox, [Some(partition), Some(step.as_str())]);
        Ok((tx.push_outbox(partition, &step, &mac, self.installation.now()).await?, step))
    }

    /// Applies the waiting rows of all partitions. When one partition fails, the others are still
    /// applied. Called every second.
    ///
    /// # Errors
    /// The failure of the last partition that failed.
    pub async fn apply_outbox(&self) -> Result<()> {
        let partitions = self.store.conn().await?.outbox_partitions().await?;
        let mut result = Ok(());
        for partition in partitions {
            result = self.apply_own(&partition, &[], &[]).await.map(drop).and(result);
        }
        result
    }

    /// Applies the rows that wait in a partition and gives them. The caller holds the partition's
    /// lock.
    async fn apply_pending(&self, tx: &mut Tx, partition: &str) -> Result<Vec<Pushed>> {
        let waiting = tx.outbox_of(partition).await?;
        let mut applied = Vec::with_capacity(waiting.len());
        if waiting.is_empty() {
            return Ok(applied);
        }
        let key = self.installation.audit_key(tx).await?;
        for row in waiting {
            key.verify(Record::Outbox, [Some(row.partition.as_str()), Some(&row.change)], &row.mac).map_err(
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

/// The kind of a partition: its name without the id.
fn partition_kind(partition: &str) -> &str {
    partition.split(':').next().unwrap_or_default()
}
