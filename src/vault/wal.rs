//! Cutting erased rows off the database's write-ahead log. The erasure itself is done before; this
//! makes sure that the database's files do not keep a copy.

use crate::domain::Result;
use crate::store::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Truncates SQLite's write-ahead log after an erasure; PostgreSQL needs nothing of the kind. Cheap
/// to clone.
#[derive(Clone)]
pub struct Wal {
    store: Store,
    /// Whether the log may still hold erased rows.
    truncation_pending: Arc<AtomicBool>,
}

impl Wal {
    /// The log of a database. At first it counts as holding erased rows, which a process before
    /// this one may have left there.
    pub(super) fn new(store: Store) -> Self {
        Self { store, truncation_pending: Arc::new(AtomicBool::new(true)) }
    }

    /// Truncates the log after an erasure. Where that fails, a background job tries again.
    pub(super) async fn truncate(&self) {
        self.truncation_pending.store(true, Ordering::Relaxed);
        if let Err(error) = self.truncate_if_pending().await {
            tracing::warn!(%error, "erased rows are still in the database's log; truncating it is tried again");
        }
    }

    /// Truncates the log where it may hold erased rows. Called every few seconds.
    ///
    /// # Errors
    /// When the database cannot be reached; the next call tries again.
    pub async fn truncate_if_pending(&self) -> Result<()> {
        // Cleared before the attempt, so that an erasure that happens meanwhile is not missed.
        if !self.truncation_pending.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let truncated = match self.store.conn().await {
            Ok(mut conn) => conn.truncate_wal().await,
            Err(error) => Err(error),
        };
        if !matches!(truncated, Ok(true)) {
            self.truncation_pending.store(true, Ordering::Relaxed);
        }
        if !truncated? {
            tracing::warn!("erased rows stay in the database's log while others read it; truncating it is tried again");
        }
        Ok(())
    }
}
