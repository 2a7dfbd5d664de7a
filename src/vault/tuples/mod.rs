//! Tuples, the facts from which the authorizer derives permissions, and the outbox through which
//! every change of them passes.
//!
//! The authorizer keeps the tuples, possibly on another server, so one transaction cannot cover
//! both. A change takes three steps: [`Tuples::begin_change`] locks a partition of the outbox and
//! applies the rows that wait in it; [`Tuples::commit_and_apply`] commits events and outbox rows in
//! one transaction, and then applies the rows to the authorizer. Only then is the caller answered.
//! If the process dies in between, [`Tuples::apply_outbox`] on any server applies the rows later.
//!
//! Each project, agent and runtime has a partition of the outbox, and the vault has one. Rows of
//! one partition are applied in order, under the partition's lock in the database. [`queued`]
//! begins these transactions and limits their number; [`key_locks`] lets waiting requests of one
//! process wait without a database connection.

mod key_locks;
mod outbox;
mod queued;

pub(super) use outbox::{OutboxPartition, Step};
pub(super) use queued::QueuedTx;

use super::audit::Audit;
use super::keys::Installation;
use crate::authz::{Authorizer, Tuple, TupleFilter};
use crate::domain::Result;
use crate::store::{Conn, Store};
use key_locks::KeyedLocks;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Changes tuples through the outbox, and begins transactions that change a project. Cheap to
/// clone.
#[derive(Clone)]
pub struct Tuples {
    store: Store,
    installation: Installation,
    authorizer: Authorizer,
    audit: Audit,
    locks: Arc<KeyedLocks>,
    /// Limits the number of transactions that may wait for the authorizer.
    permits: Arc<Semaphore>,
}

impl Tuples {
    pub(super) fn new(installation: Installation, authorizer: Authorizer, audit: Audit) -> Self {
        Self {
            store: installation.store().clone(),
            installation,
            authorizer,
            audit,
            locks: Arc::default(),
            permits: Arc::new(Semaphore::new(queued::MAX_TRANSACTIONS)),
        }
    }

    /// Reads tuples. If the database keeps them, reads them in the transaction of `conn`.
    ///
    /// # Errors
    /// UNAVAILABLE when they cannot be read.
    pub(super) async fn read(&self, conn: &mut Conn, filter: &TupleFilter) -> Result<Vec<Tuple>> {
        self.authorizer.read(conn, filter).await
    }
}
