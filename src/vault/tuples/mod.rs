//! Changes of tuples, the facts that permissions rest on.
//!
//! The authorizer keeps the tuples, and it may be another server. So a change commits first, as an
//! event and a row of the outbox in one transaction; then the row is applied to the authorizer;
//! then the caller is answered. A process that dies in between leaves a row that any server applies
//! later.
//!
//! The outbox is divided into partitions: a project, an agent, a runtime, or the vault. Rows of one
//! partition are applied in order, under the partition's lock in the database. A row that can never
//! be applied is set aside, which [`pending`] is about, until an operator repairs it ([`repair`]).
//! [`key_locks`] keeps the requests of one process from waiting for that lock with a database
//! connection each.

mod key_locks;
mod outbox;
mod partition;
mod pending;
mod queued;
mod repair;

pub(super) use outbox::Step;
pub(super) use partition::OutboxPartition;
pub(super) use queued::QueuedTx;
pub use repair::SetAside;

use super::audit::Audit;
use super::keys::Installation;
use crate::authz::{Authorizer, Tuple, TupleFilter};
use crate::domain::Result;
use crate::store::{Conn, Store};
use key_locks::KeyedLocks;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Changes tuples, and bounds and orders the transactions that change a partition. Cheap to clone.
#[derive(Clone)]
pub struct Tuples {
    store: Store,
    installation: Installation,
    authorizer: Authorizer,
    audit: Audit,
    locks: Arc<KeyedLocks>,
    /// Bounds the transactions that may wait for the authorizer.
    permits: Arc<Semaphore>,
    /// Bounds the other transactions that change a project.
    project_permits: Arc<Semaphore>,
}

impl Tuples {
    pub(super) fn new(installation: Installation, authorizer: Authorizer, audit: Audit) -> Self {
        Self {
            store: installation.store().clone(),
            installation,
            authorizer,
            audit,
            locks: Arc::default(),
            permits: Arc::new(Semaphore::new(queued::MAX_TUPLE_CHANGES)),
            project_permits: Arc::new(Semaphore::new(queued::MAX_PROJECT_CHANGES)),
        }
    }

    /// Reads tuples; where the database keeps them, as the transaction of `conn` sees them.
    ///
    /// # Errors
    /// UNAVAILABLE when they cannot be read.
    pub(super) async fn read(&self, conn: &mut Conn, filter: &TupleFilter) -> Result<Vec<Tuple>> {
        self.authorizer.read(conn, filter).await
    }
}
