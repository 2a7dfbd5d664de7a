//! The memory that requests hold from their first byte until they have been executed, bounded for the
//! process and for each caller.
//!
//! A body is paid for as it arrives, not as it is announced, and what it was parsed into is paid for in
//! its place. Whoever cannot pay waits for a moment and is then told to try again.

use super::refusal::Refusal;
use crate::domain::Principal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Maximum number of bytes that all requests hold together: 128 MiB.
const TOTAL: usize = 128 * 1024 * 1024;
/// Maximum number of bytes that the requests of one caller hold together, and those without a token:
/// 32 MiB, so that no caller keeps everybody else out. It is more than one request can need.
const EACH: usize = 32 * 1024 * 1024;
/// How long a request waits for others to let go of what it needs.
const PATIENCE: Duration = Duration::from_secs(2);

/// What all requests of a process share.
pub(in crate::http) struct Budget {
    total: Arc<Semaphore>,
    each: usize,
    patience: Duration,
    /// What every caller that holds anything has left, by its kind and id; all without a token are one.
    callers: Mutex<HashMap<String, Weak<Semaphore>>>,
    /// Large requests are parsed on as many threads as there are processors, beside those that serve.
    parsers: Arc<Semaphore>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(TOTAL, EACH, PATIENCE)
    }
}

impl Budget {
    fn new(total: usize, each: usize, patience: Duration) -> Self {
        let parsers = available_parallelism().map_or(1, usize::from);
        Self {
            total: Arc::new(Semaphore::new(total)),
            each,
            patience,
            callers: Mutex::default(),
            parsers: Arc::new(Semaphore::new(parsers)),
        }
    }

    /// Begins a request, which holds nothing yet.
    pub(super) fn begin(self: &Arc<Self>, caller: Option<&Principal>) -> Held {
        let caller = caller.map(ToString::to_string).unwrap_or_default();
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let share = match callers.get(&caller).and_then(Weak::upgrade) {
            Some(share) => share,
            None => {
                let share = Arc::new(Semaphore::new(self.each));
                callers.insert(caller.clone(), Arc::downgrade(&share));
                share
            }
        };
        drop(callers);
        Held { budget: self.clone(), caller, share, bytes: 0 }
    }

    /// Waits until another large request may be parsed.
    ///
    /// # Errors
    /// UNAVAILABLE when that takes too long.
    pub(super) async fn parser(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.in_time(self.parsers.clone().acquire_owned()).await
    }

    async fn in_time<P>(&self, acquired: impl Future<Output = Result<P, AcquireError>>) -> Result<P, Refusal> {
        // None of the semaphores is ever closed.
        timeout(self.patience, acquired).await.ok().and_then(Result::ok).ok_or_else(Refusal::busy)
    }
}

/// What one request holds until it is dropped.
pub(super) struct Held {
    budget: Arc<Budget>,
    caller: String,
    share: Arc<Semaphore>,
    bytes: usize,
}

impl Held {
    /// Holds this many bytes from now on, for which it waits where they are more than before. One
    /// request never counts for more than a caller's whole share.
    ///
    /// # Errors
    /// UNAVAILABLE when others hold too much for too long; then it holds what it held before.
    pub(super) async fn resize(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = bytes.min(self.budget.each);
        if bytes > self.bytes {
            let more = u32::try_from(bytes - self.bytes).unwrap_or(u32::MAX);
            let own = self.budget.in_time(self.share.acquire_many(more)).await?;
            let total = self.budget.in_time(self.budget.total.acquire_many(more)).await?;
            own.forget();
            total.forget();
        } else {
            self.release(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    fn release(&self, bytes: usize) {
        self.share.add_permits(bytes);
        self.budget.total.add_permits(bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release(self.bytes);
        let mut callers = self.budget.callers.lock().unwrap_or_else(PoisonError::into_inner);
        // Shares are handed out under this lock only.
        if Arc::strong_count(&self.share) == 1 {
            callers.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Narrowing, RuntimeId, UserId};

    const KIB: usize = 1024;
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    fn user(id: &str) -> Principal {
        Principal::User(UserId::parse(id).unwrap())
    }

    fn left(budget: &Budget) -> usize {
        budget.total.available_permits()
    }

    #[tokio::test]
    async fn a_request_holds_what_it_was_last_sized_to_until_it_is_dropped() {
        let budget = Arc::new(Budget::new(100 * KIB, 50 * KIB, SHORT));
        let ada = user("ada");
        let mut held = budget.begin(Some(&ada));
        for (bytes, holds) in [(10, 10), (30 * KIB, 30 * KIB), (7, 7), (7, 7), (0, 0), (99 * KIB, 50 * KIB)] {
            held.resize(bytes).await.unwrap();
            assert_eq!(left(&budget), 100 * KIB - holds, "{bytes}");
        }
        drop(held);
        assert_eq!(left(&budget), 100 * KIB);
        assert!(budget.callers.lock().unwrap().is_empty(), "nobody is remembered who holds nothing");
    }

    #[tokio::test]
    async fn one_caller_cannot_hold_everything_however_many_tokens_it_has() {
        let budget = Arc::new(Budget::new(100 * KIB, 50 * KIB, SHORT));
        let runtime = |names| {
            let narrowing = Narrowing { names, ..Narrowing::default() };
            Principal::Runtime(RuntimeId::parse("ada").unwrap(), narrowing)
        };
        let mut first = budget.begin(Some(&runtime(None)));
        first.resize(40 * KIB).await.unwrap();
        let mut second = budget.begin(Some(&runtime(Some(["A".to_owned()].into()))));
        second.resize(10 * KIB).await.unwrap();
        let refused = second.resize(10 * KIB + 1).await.err().unwrap();
        assert_eq!((refused.status.as_u16(), refused.code), (503, "UNAVAILABLE"));
        assert_eq!(left(&budget), 50 * KIB, "what could not be had is not held");
        let (person, nobody) = (user("ada"), None);
        let mut others = [budget.begin(Some(&person)), budget.begin(nobody)];
        for other in &mut others {
            other.resize(25 * KIB).await.unwrap();
        }
        assert!(budget.begin(Some(&user("eve"))).resize(1).await.is_err(), "the total is a bound as well");
    }

    #[tokio::test]
    async fn a_request_goes_on_when_another_lets_go_in_time() {
        let budget = Arc::new(Budget::new(10, 10, LONG));
        let mut first = budget.begin(None);
        first.resize(10).await.unwrap();
        let mut second = budget.begin(Some(&user("ada")));
        let (waited, ()) = tokio::join!(second.resize(10), async {
            tokio::time::sleep(SHORT).await;
            drop(first);
        });
        waited.unwrap();
        // Somebody who goes away while waiting leaves nothing behind.
        let mut third = budget.begin(None);
        assert!(timeout(SHORT, third.resize(5)).await.is_err());
        drop((second, third));
        assert_eq!(left(&budget), 10);
    }
}
