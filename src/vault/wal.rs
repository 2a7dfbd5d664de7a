//! Truncates the database's write-ahead log after an erasure, so that the database's files keep no
//! copy of erased rows.

use crate::domain::Result;
use crate::store::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Truncates SQLite's write-ahead log; with PostgreSQL it does nothing. Cheap to clone.
#[derive(Clone)]
pub struct Wal {
    store: Store,
    /// Whether the log may still hold erased rows.
    truncation_pending: Arc<AtomicBool>,
}

impl Wal {
    /// The log of a database. At first a truncation is pending, since an earlier process may have
    /// left erased rows there.
    pub(super) fn new(store: Store) -> Self {
        Self { store, truncation_pending: Arc::new(AtomicBool::new(true)) }
    }

    /// Truncates the log after an erasure. If that fails, a background job tries again.
    pub(super) async fn truncate(&self) {
        self.truncation_pending.store(true, Ordering::Relaxed);
        if let Err(error) = self.truncate_if_pending().await {
            tracing::warn!(%error, "erased rows are still in the database's write-ahead log; truncating it will be tried again");
        }
    }

    /// Truncates the log if it may hold erased rows. Called every few seconds.
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
            tracing::warn!(
                "erased rows stay in the database's write-ahead log while others read it; truncating it will be tried again"
            );
        }
        Ok(())
    }
}
