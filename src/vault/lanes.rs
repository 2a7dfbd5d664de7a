//! Changing tuples. A change commits as an event and an outbox row, is then applied, and only then answered; rows of one lane
//! are applied in order until they are done, by whichever server comes first.

use super::{Caller, Vault};
use crate::authz::{Authorized, ProjectPermission, Tuple, TupleChange, TupleFilter};
use crate::crypto::Record;
use crate::domain::{AgentId, Error, ProjectId, Result, RuntimeId};
use crate::store::Tx;
use crate::store::records::EventRow;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// What is changed in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane<'a> {
    /// Everything of one project and its milestones.
    Project(&'a ProjectId),
    /// An agent's organization.
    Agent(&'a AgentId),
    /// A runtime's organization.
    Runtime(&'a RuntimeId),
    /// Registrars and auditors.
    Vault,
}

impl std::fmt::Display for Lane<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project:{id}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Runtime(id) => write!(f, "runtime:{id}"),
            Self::Vault => f.write_str("vault"),
        }
    }
}

/// One row of the outbox.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// These tuples are written and removed.
    Change(TupleChange),
    /// Every tuple of an object is removed, those that others wrote included; `last` after all others.
    Erase {
        /// As OpenFGA names it.
        object: String,
        /// The tuple that goes last.
        last: Option<Tuple>,
    },
}

/// A step as it stands in the outbox: its place, and what it says.
type Pushed = (i64, String);

const WILL_TAKE_EFFECT: Error = Error::Unavailable {
    message: "The change is saved, but the authorizer cannot be reached; it takes effect as soon as it can.",
    will_take_effect: true,
};

/// So many transactions wait for the authorizer at once; the other connections stay free for what reads.
pub(super) const LANES: usize = 4;
/// How long a change waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A transaction that may wait for the authorizer, with its place among the few that may.
pub(super) struct LaneTx {
    tx: Tx,
    permit: OwnedSemaphorePermit,
}

impl LaneTx {
    /// Makes it durable.
    pub(super) async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }
}

impl Deref for LaneTx {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for LaneTx {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

impl Vault {
    /// Begins a change of tuples: takes the lane and applies what waits in it, so that what is read next is the present. Whoever
    /// then answers that there is nothing to do commits, since the answer rests on what was applied here.
    pub(super) async fn begin_in(&self, lane: Lane<'_>) -> Result<LaneTx> {
        self.begin_in_all(&[lane]).await
    }

    /// As [`Self::begin_in`], for several lanes: an agent's before a project's, so that nobody waits in a circle.
    pub(super) async fn begin_in_all(&self, lanes: &[Lane<'_>]) -> Result<LaneTx> {
        let names: Vec<String> = lanes.iter().map(ToString::to_string).collect();
        let mut tx = self.begin_lanes(&names).await?;
        for lane in lanes {
            self.enter(&mut tx, *lane).await?;
        }
        Ok(tx)
    }

    /// The turn comes before the place among the few, so that those who wait for one lane take one place.
    async fn begin_lanes(&self, names: &[String]) -> Result<LaneTx> {
        let mut turns = Vec::with_capacity(names.len());
        for name in names {
            turns.push(self.0.turns.take(name).await?);
        }
        let acquire = self.0.lanes.clone().acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(PATIENCE, acquire).await else {
            return Err(Error::unavailable(
                "Too many changes of permissions wait for the authorizer; try again in a moment.",
            ));
        };
        let mut tx = self.0.store.begin().await?;
        tx.at_end(move |_| drop(turns));
        Ok(LaneTx { tx, permit })
    }

    /// As [`Vault::hold`], in a lane.
    pub(super) async fn hold_in<P: ProjectPermission>(
        &self,
        caller: &Caller,
        lane: LaneTx,
        event: EventRow,
        project: &ProjectId,
        not_found: Error,
    ) -> Result<(LaneTx, Authorized<P>)> {
        let LaneTx { tx, permit } = lane;
        let (tx, authorized, _) = self.hold(caller, tx, event, project, not_found).await?;
        Ok((LaneTx { tx, permit }, authorized))
    }

    async fn enter(&self, tx: &mut Tx, lane: Lane<'_>) -> Result<()> {
        let name = lane.to_string();
        tx.lock_name(&name).await?;
        self.apply_waiting(tx, &name).await.map(drop)
    }

    /// Takes every project's lane in which something waits, and applies it.
    pub(super) async fn enter_waiting_projects(&self, tx: &mut Tx) -> Result<()> {
        for name in tx.outbox_lanes().await? {
            if lane_kind(&name) == "project" {
                tx.lock_name(&name).await?;
                self.apply_waiting(tx, &name).await?;
            }
        }
        Ok(())
    }

    /// Commits events with the steps they stand for, then applies them.
    ///
    /// # Errors
    /// UNAVAILABLE without `will_take_effect` when nothing was committed, with it when the steps are still to be applied.
    /// INTERNAL when the steps are gone from the outbox and not in effect: whoever writes the database removed them.
    pub(super) async fn finish_in(
        &self,
        mut tx: LaneTx,
        lane: Lane<'_>,
        events: &[EventRow],
        steps: &[Step],
    ) -> Result<()> {
        let name = lane.to_string();
        self.append(&mut tx, events).await?;
        let mut pushed = Vec::with_capacity(steps.len());
        for step in steps {
            pushed.push(self.push(&mut tx, &name, step).await?);
        }
        tx.commit().await?;
        let in_effect = self.apply_own(&name, steps, &pushed).await.map_err(|error| {
            tracing::warn!(lane = %lane_kind(&name), %error, "a committed change of tuples waits in the outbox");
            WILL_TAKE_EFFECT
        })?;
        if in_effect {
            return Ok(());
        }
        tracing::error!(
            lane = %name,
            "a committed change of tuples disappeared from the outbox before it was applied; make the change again and \
             find out who changed the database"
        );
        Err(Error::internal("a committed change of tuples disappeared from the outbox"))
    }

    /// Applies what waits in a lane, the caller's own steps among it. Whether these are in effect.
    async fn apply_own(&self, lane: &str, steps: &[Step], own: &[Pushed]) -> Result<bool> {
        let mut tx = self.begin_lanes(&[lane.to_owned()]).await?;
        tx.lock_name(lane).await?;
        let applied = self.apply_waiting(&mut tx, lane).await?;
        let in_effect = own.iter().all(|row| applied.contains(row)) || self.confirm_effect(&mut tx, steps).await?;
        tx.commit().await?;
        Ok(in_effect)
    }

    /// Whether steps whose rows are gone are in effect all the same, because another server applied
    /// them. They are not applied again: that server may have undone them since for somebody else,
    /// and access that was taken away would come back. The erasure of a project is finished, since
    /// its id is never used again.
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
            let held = self.0.authorizer.read(tx, &TupleFilter::of_object(object)).await?;
            let mut of_object = wanted.iter().filter(|(tuple, _)| tuple.object() == object);
            let is_as_wanted = of_object.all(|(tuple, present)| held.contains(tuple) == *present)
                && (!erased.contains(object) || held.iter().all(|tuple| wanted.get(tuple) == Some(&true)));
            if !is_as_wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Saves a change of tuples in a lane and leaves it there, as a server does that dies right after its commit: for tests of what
    /// the others do then.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn save_only(&self, lane: &str, change: TupleChange) -> Result<()> {
        let mut tx = self.0.store.begin().await?;
        self.push(&mut tx, lane, &Step::Change(change)).await?;
        Ok(tx.commit().await?)
    }

    async fn push(&self, tx: &mut Tx, lane: &str, step: &Step) -> Result<Pushed> {
        let key = self.audit_key(tx).await?;
        let step = serde_json::to_string(step).map_err(Error::internal)?;
        let mac = key.mac(Record::Outbox, [Some(lane), Some(step.as_str())]);
        Ok((tx.push_outbox(lane, &step, &mac, self.now()).await?, step))
    }

    /// Applies everything that waits in any lane; the rest goes on where one fails. Called every second.
    ///
    /// # Errors
    /// The last failure, when there was one.
    pub async fn apply_outbox(&self) -> Result<()> {
        let lanes = self.0.store.conn().await?.outbox_lanes().await?;
        let mut result = Ok(());
        for lane in lanes {
            result = self.apply_lane(&lane).await.and(result);
        }
        result
    }

    async fn apply_lane(&self, lane: &str) -> Result<()> {
        self.apply_own(lane, &[], &[]).await.map(drop)
    }

    /// Applies everything that waits in a lane; what that was.
    async fn apply_waiting(&self, tx: &mut Tx, lane: &str) -> Result<Vec<Pushed>> {
        let waiting = tx.outbox_of(lane).await?;
        let mut applied = Vec::with_capacity(waiting.len());
        if waiting.is_empty() {
            return Ok(applied);
        }
        let key = self.audit_key(tx).await?;
        for row in waiting {
            key.verify(Record::Outbox, [Some(row.lane.as_str()), Some(&row.change)], &row.mac).map_err(|error| {
                tracing::error!(
                    row = row.seq,
                    "a change of tuples was not written by the vault; remove its row from the outbox"
                );
                Error::internal(error)
            })?;
            match serde_json::from_str(&row.change).map_err(Error::internal)? {
                Step::Change(change) => self.0.authorizer.apply(tx, &change).await?,
                Step::Erase { object, last } => self.erase_tuples(tx, &object, last).await?,
            }
            tx.delete_outbox(row.seq).await?;
            applied.push((row.seq, row.change));
        }
        Ok(applied)
    }

    async fn erase_tuples(&self, tx: &mut Tx, object: &str, last: Option<Tuple>) -> Result<()> {
        let mut tuples = self.0.authorizer.read(tx, &TupleFilter::of_object(object)).await?;
        tuples.retain(|tuple| Some(tuple) != last.as_ref());
        self.0.authorizer.apply(tx, &TupleChange { write: vec![], delete: tuples }).await?;
        self.0.authorizer.apply(tx, &TupleChange { write: vec![], delete: last.into_iter().collect() }).await
    }
}

/// The part of a lane's name that is no id.
fn lane_kind(lane: &str) -> &str {
    lane.split(':').next().unwrap_or_default()
}
