//! Locks by name within this process.
//!
//! A request that waits for a lock of the database holds one of the few connections. So one request
//! of a process at a time waits there for each lock, and the others wait here, without a
//! connection.

use crate::domain::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Maximum time that a request waits for a lock of this process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of remembered locks beyond which those that nobody holds or waits for are forgotten.
const MAX_IDLE_LOCKS: usize = 1_000;

/// Held until it is dropped.
pub(super) type KeyGuard = OwnedMutexGuard<()>;

/// One lock for each name that somebody holds or waits for.
#[derive(Default)]
pub(super) struct KeyedLocks(parking_lot::Mutex<HashMap<String, Weak<Mutex<()>>>>);

impl KeyedLocks {
    /// Takes the lock of this name.
    ///
    /// # Errors
    /// UNAVAILABLE when others hold it for too long.
    pub(super) async fn lock(&self, name: &str) -> Result<KeyGuard> {
        let guard = tokio::time::timeout(LOCK_TIMEOUT, self.mutex(name).lock_owned()).await;
        guard.map_err(|_| Error::unavailable("Too many changes of the same thing wait; try again in a moment."))
    }

    fn mutex(&self, name: &str) -> Arc<Mutex<()>> {
        let mut locks = self.0.lock();
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
