//! Transactions that change a partition, and may wait for the authorizer meanwhile. Each holds a
//! database connection, so few run at a time, and the other connections
//! stay free for requests that read.

use super::Tuples;
use super::partition::OutboxPartition;
use crate::domain::{Error, Result};
use crate::store::Tx;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// Maximum number of such transactions of one process at a time: a quarter of a pool's connections.
pub(super) const MAX_TRANSACTIONS: usize = 4;
/// Maximum time that a change waits for its permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction that holds its partitions' locks of this process, and its permit, until it ends.
pub(in crate::vault) struct QueuedTx {
    tx: Tx,
}

impl QueuedTx {
    /// Commits the transaction.
    ///
    /// # Errors
    /// When the database cannot; then nothing of it is there.
    pub(in crate::vault) async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// When the database cannot be reached; then nothing of it is there either.
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
    /// Takes this process's locks of these partitions, then a permit, and begins a transaction. The
    /// caller takes the locks in the database itself, and names an agent's partition before a
    /// project's, so that no two transactions wait for each other.
    ///
    /// The locks come before the permit, so that requests that wait for one busy partition hold no
    /// permits.
    ///
    /// # Errors
    /// UNAVAILABLE when that takes too long.
    pub(in crate::vault) async fn begin(&self, partitions: &[OutboxPartition<'_>]) -> Result<QueuedTx> {
        let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        self.begin_named(&names).await
    }

    pub(super) async fn begin_named(&self, names: &[String]) -> Result<QueuedTx> {
        let mut guards = Vec::with_capacity(names.len());
        for name in names {
            guards.push(self.locks.lock(name).await?);
        }
        // Its events need the key, and the provider of the master keys may be slow.
        self.installation.open_audit_key().await?;
        let acquire = self.permits.clone().acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(PERMIT_TIMEOUT, acquire).await else {
            return Err(Error::unavailable("Too many changes wait for the authorizer; try again in a moment."));
        };
        let mut tx = self.store.begin().await?;
        // Dropped without a commit, it is rolled back later, and holds its connection until then.
        tx.at_end(move |_| drop((guards, permit)));
        Ok(QueuedTx { tx })
    }
}
