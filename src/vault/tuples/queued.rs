//! Transactions that change a project, an agent or a runtime, and may wait for the authorizer. Each
//! holds a database connection, so only [`MAX_TRANSACTIONS`] run at a time; the other connections
//! stay free for requests that read.

use super::Tuples;
use super::outbox::OutboxPartition;
use crate::domain::{Error, Result};
use crate::store::Tx;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Maximum number of such transactions of one process at a time: a quarter of the pool's
/// connections.
pub(super) const MAX_TRANSACTIONS: usize = 4;
/// Maximum time that a change waits for its permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction that holds locks of this process and a permit; both are released when it ends.
pub(in crate::vault) struct QueuedTx {
    tx: Tx,
    _permit: OwnedSemaphorePermit,
}

impl QueuedTx {
    /// Commits the transaction.
    ///
    /// # Errors
    /// When the database cannot commit; then nothing was changed.
    pub(in crate::vault) async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// When the database cannot be reached; nothing was changed then either.
    pub(in crate::vault) async fn rollback(self) -> Result<()> {
        Ok(self.tx.rollback().await?)
    }
}

impl Deref for QueuedTx {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for QueuedTx {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

impl Tuples {
    /// Begins a transaction for these partitions: waits for their locks within this process, then
    /// for a permit. The caller takes the locks in the database afterwards. List an agent's
    /// partition before a project's, so that two transactions never deadlock.
    ///
    /// Locks are taken before the permit, so that the requests for one partition hold at most one
    /// permit.
    ///
    /// # Errors
    /// UNAVAILABLE when a lock or a permit is not free in time.
    pub(in crate::vault) async fn begin(&self, partitions: &[OutboxPartition<'_>]) -> Result<QueuedTx> {
        let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        self.begin_named(&names).await
    }

    pub(super) async fn begin_named(&self, names: &[String]) -> Result<QueuedTx> {
        let mut guards = Vec::with_capacity(names.len());
        for name in names {
            guards.push(self.locks.lock(name).await?);
        }
        let acquire = self.permits.clone().acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(PERMIT_TIMEOUT, acquire).await else {
            return Err(Error::unavailable("Too many changes wait for the authorizer; try again in a moment."));
        };
        let mut tx = self.store.begin().await?;
        tx.at_end(move |_| drop(guards));
        Ok(QueuedTx { tx, _permit: permit })
    }
}
