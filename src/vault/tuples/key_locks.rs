//! Locks by name within this process, one per outbox partition.
//!
//! A request that waits for a lock in the database holds one of the few connections. So for each
//! lock, one request of this process at a time waits in the database; the others wait here, without
//! a connection.

use crate::domain::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Maximum time that a request waits for a lock of this process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of locks in the map beyond which those that are neither held nor waited for are removed.
const MAX_IDLE_LOCKS: usize = 1_000;

/// A held lock; dropping it releases the lock.
pub(super) type KeyGuard = OwnedMutexGuard<()>;

/// One lock for each name that is held or waited for.
#[derive(Default)]
pub(super) struct KeyedLocks(std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>);

impl KeyedLocks {
    /// Waits for the lock of this name and takes it.
    ///
    /// # Errors
    /// UNAVAILABLE when it is not free within [`LOCK_TIMEOUT`].
    pub(super) async fn lock(&self, name: &str) -> Result<KeyGuard> {
        let guard = tokio::time::timeout(LOCK_TIMEOUT, self.mutex(name).lock_owned()).await;
        guard.map_err(|_| Error::unavailable("Too many changes of the same thing wait; try again in a moment."))
    }

    fn mutex(&self, name: &str) -> Arc<Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mutex) = locks.get(name).and_then(Weak::upgrade) {
            return mutex;
        }
        if locks.len() >= MAX_IDLE_LOCKS {
            locks.retain(|_, mutex| mutex.strong_count() > 0);
        }
        let mutex = Arc::default();
        locks.insert(name.to_owned(), Arc::downgrade(&mutex));
        mutex
    }
}
