//! Transactions that change a partition, and may wait for the authorizer meanwhile. Each holds a
//! database connection, so few run at a time, and the other connections stay free for requests that
//! read.

use super::Tuples;
use super::partition::OutboxPartition;
use super::pending::PendingRows;
use crate::authz::Tuple;
use crate::domain::{Error, ProjectId, Result};
use crate::store::Tx;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Maximum number of transactions of one process at a time that change tuples. PostgreSQL's pool
/// has 16 connections; SQLite's writers wait without one.
pub(super) const MAX_TUPLE_CHANGES: usize = 4;
/// The same for the other transactions that change a project. They have permits of their own, so
/// that many large imports delay no revocation, and leave connections for requests that read.
pub(super) const MAX_PROJECT_CHANGES: usize = 6;
/// Maximum time that a change waits for its permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction that holds its partitions' locks of this process, and its permit, until it ends.
pub(in crate::vault) struct QueuedTx {
    tx: Tx,
    /// The tuples that rows which stay in the outbox of its partitions would write.
    pending_writes: Vec<Tuple>,
    /// Those that they would delete.
    pending_deletes: Vec<Tuple>,
}

impl QueuedTx {
    /// Commits the transaction.
    ///
    /// # Errors
    /// When the database cannot; then nothing of it is there.
    pub(in crate::vault) async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    /// The tuples that rows which stay in the outbox of its partitions would write. A change that takes
    /// access away takes these away as well: an operator may have the rows applied later.
    pub(in crate::vault) fn pending_writes(&self) -> &[Tuple] {
        &self.pending_writes
    }

    /// The tuples that rows which stay in the outbox of its partitions would delete. Checks for
    /// the last holder of a role treat these as deleted.
    pub(in crate::vault) fn pending_deletes(&self) -> &[Tuple] {
        &self.pending_deletes
    }

    pub(super) fn add_pending(&mut self, rows: &PendingRows) {
        self.pending_writes.extend(rows.writes().cloned());
        self.pending_deletes.extend(rows.deletes().cloned());
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
        self.begin_named(&names, &self.permits).await
    }

    /// As [`Self::begin`], for a change of a project that changes no tuples.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(in crate::vault) async fn begin_without_tuples(&self, project: &ProjectId) -> Result<QueuedTx> {
        self.begin_named(&[OutboxPartition::Project(project).to_string()], &self.project_permits).await
    }

    /// As [`Self::begin`], for a partition by its name.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(super) async fn begin_partition(&self, name: &str) -> Result<QueuedTx> {
        self.begin_named(&[name.to_owned()], &self.permits).await
    }

    async fn begin_named(&self, names: &[String], permits: &Arc<Semaphore>) -> Result<QueuedTx> {
        let mut guards = Vec::with_capacity(names.len());
        for name in names {
            guards.push(self.locks.lock(name).await?);
        }
        // Its events need the key, and the provider of the master keys may be slow.
        self.installation.open_audit_key().await?;
        let acquire = permits.clone().acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(PERMIT_TIMEOUT, acquire).await else {
            return Err(Error::unavailable("Too many changes wait for the authorizer; try again in a moment."));
        };
        let mut tx = self.store.begin().await?;
        // Dropped without a commit, it is rolled back later, and holds its connection until then.
        tx.at_end(move |_| drop((guards, permit)));
        Ok(QueuedTx { tx, pending_writes: Vec::new(), pending_deletes: Vec::new() })
    }
}
