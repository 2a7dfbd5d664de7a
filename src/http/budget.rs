//! The memory that answers may take in this process, from before an operation is executed until the
//! last byte of its answer is handed to the operating system.
//!
//! An operation reserves the largest answer it can have, and returns the difference once the answer
//! is known. A peer that does not read holds its own answers, up to its caller's share. When nothing
//! is left, operations are refused before anything runs.

use crate::domain::Principal;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of all answers together. While an answer is serialized it exists as values and as text, so
/// up to three times as much memory is in use: a quarter of a server with 3 GiB.
const TOTAL: usize = 256 * 1024 * 1024;
/// Bytes of one principal's answers, so that one caller alone cannot exhaust the budget.
const SHARE: usize = TOTAL / 4;
/// Bytes of the answers to all requests without a token.
const ANONYMOUS_SHARE: usize = TOTAL / 16;
/// Answers of up to this many bytes are not counted: the limit on open requests bounds them.
const SMALL: usize = 4 * 1024;
/// How long a request waits for others to be answered.
const WAIT: Duration = Duration::from_secs(1);
/// Number of principals above which the shares of idle ones are removed.
const MAX_IDLE_SHARES: usize = 1_000;

/// The bytes that answers may take. Cheap to clone.
#[derive(Clone)]
pub(super) struct AnswerBudget(Arc<Limits>);

struct Limits {
    total: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
    /// By the principal's name.
    shares: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// The bytes of one answer, until it is dropped.
pub(super) struct Reserved {
    bytes: usize,
    /// None for a small answer.
    permits: Option<Permits>,
    budget: AnswerBudget,
    share: Arc<Semaphore>,
}

struct Permits {
    share: OwnedSemaphorePermit,
    total: OwnedSemaphorePermit,
}

/// Nothing was left for an answer.
#[derive(Debug)]
pub(super) struct Exhausted;

impl AnswerBudget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Limits {
            total: Arc::new(Semaphore::new(TOTAL)),
            anonymous: Arc::new(Semaphore::new(ANONYMOUS_SHARE)),
            shares: Mutex::default(),
        }))
    }

    /// Bytes that are reserved.
    pub(super) fn held(&self) -> usize {
        TOTAL.saturating_sub(self.0.total.available_permits())
    }

    /// Reserves an answer's bytes, out of what its caller may hold. Waits a second for others to
    /// give theirs back.
    pub(super) async fn reserve(&self, caller: Option<&Principal>, bytes: usize) -> Result<Reserved, Exhausted> {
        let share = match caller {
            None => self.0.anonymous.clone(),
            Some(principal) => self.share(principal.to_string()),
        };
        let mut reserved = Reserved { bytes: 0, permits: None, budget: self.clone(), share };
        reserved.resize(bytes).await?;
        Ok(reserved)
    }

    fn share(&self, principal: String) -> Arc<Semaphore> {
        let mut shares = self.0.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&principal).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= MAX_IDLE_SHARES {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(SHARE));
        shares.insert(principal, Arc::downgrade(&share));
        share
    }

    fn export(&self) {
        super::metrics::set_unwritten(self.held());
    }
}

impl Reserved {
    /// Reserves so many bytes in the place of those reserved before. To get more, it waits a second
    /// for others to give theirs back.
    pub(super) async fn resize(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = if bytes <= SMALL { 0 } else { bytes };
        if bytes <= self.bytes {
            self.shrink(bytes);
        } else {
            self.grow(bytes).await?;
        }
        self.bytes = bytes;
        self.budget.export();
        Ok(())
    }

    fn shrink(&mut self, bytes: usize) {
        match &mut self.permits {
            Some(permits) if bytes > 0 => {
                drop(permits.share.split(self.bytes - bytes));
                drop(permits.total.split(self.bytes - bytes));
            }
            permits => *permits = None,
        }
    }

    async fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let more = u32::try_from(bytes - self.bytes).map_err(|_| Exhausted)?;
        let (of_share, of_all) = (self.share.clone(), self.budget.0.total.clone());
        let acquired = timeout(WAIT, async {
            let share = of_share.acquire_many_owned(more).await?;
            let total = of_all.acquire_many_owned(more).await?;
            Ok::<_, tokio::sync::AcquireError>(Permits { share, total })
        });
        let Ok(Ok(acquired)) = acquired.await else { return Err(Exhausted) };
        match &mut self.permits {
            Some(permits) => {
                permits.share.merge(acquired.share);
                permits.total.merge(acquired.total);
            }
            none => *none = Some(acquired),
        }
        Ok(())
    }

    /// The bytes of an answer. They are given back when the last piece of them was written or
    /// dropped.
    pub(super) fn hold(self, body: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { body, _reserved: self })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.permits.take().is_some() {
            self.budget.export();
        }
    }
}

struct Held {
    body: Vec<u8>,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    fn user(id: &str) -> Principal {
        Principal::User(UserId::parse(id).unwrap())
    }

    #[tokio::test]
    async fn an_answer_is_held_until_its_last_piece_is_dropped() {
        let budget = AnswerBudget::new();
        let mut reserved = budget.reserve(Some(&user("ada")), 100_000).await.unwrap();
        assert_eq!(budget.held(), 100_000);
        reserved.resize(60_000).await.unwrap();
        assert_eq!(budget.held(), 60_000);
        reserved.resize(70_000).await.unwrap();
        let mut bytes = reserved.hold(vec![b'x'; 70_000]);
        let first = bytes.split_to(10);
        drop(bytes);
        assert_eq!(budget.held(), 70_000);
        drop(first);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn a_small_answer_is_never_refused() {
        let budget = AnswerBudget::new();
        let all = budget.reserve(None, ANONYMOUS_SHARE).await.unwrap();
        let small = budget.reserve(None, SMALL).await.unwrap();
        assert_eq!(budget.held(), ANONYMOUS_SHARE);
        drop((all, small));
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn nobody_takes_more_than_a_share_and_the_others_get_theirs() {
        let budget = AnswerBudget::new();
        let (ada, bea) = (user("ada"), user("bea"));
        let half = budget.reserve(Some(&ada), SHARE / 2).await.unwrap();
        let rest = budget.reserve(Some(&ada), SHARE / 2).await.unwrap();
        assert!(budget.reserve(Some(&ada), SMALL + 1).await.is_err());
        assert!(budget.reserve(Some(&bea), SHARE).await.is_ok());
        assert!(budget.reserve(None, ANONYMOUS_SHARE + 1).await.is_err());
        assert!(budget.reserve(None, ANONYMOUS_SHARE).await.is_ok());
        drop(half);
        assert!(budget.reserve(Some(&ada), SHARE / 2).await.is_ok());
        drop(rest);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn all_together_take_no_more_than_the_whole() {
        let budget = AnswerBudget::new();
        let mut held = Vec::new();
        for caller in 0..4 {
            held.push(budget.reserve(Some(&user(&format!("u{caller}"))), SHARE).await.unwrap());
        }
        assert!(budget.reserve(Some(&user("late")), SMALL + 1).await.is_err());
        let (waits, gone) = (user("late"), held.pop());
        let waiting = budget.reserve(Some(&waits), SHARE);
        let later = async {
            tokio::time::sleep(WAIT / 2).await;
            drop(gone);
        };
        assert!(tokio::join!(waiting, later).0.is_ok());
        // What could not grow keeps what it has.
        assert!(held[0].resize(SHARE + 1).await.is_err());
        drop(held);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn shares_that_nobody_uses_are_forgotten() {
        let budget = AnswerBudget::new();
        let kept = budget.reserve(Some(&user("kept")), 10_000).await.unwrap();
        for caller in 0..3 * MAX_IDLE_SHARES {
            drop(budget.reserve(Some(&user(&format!("u{caller}"))), 10_000).await.unwrap());
        }
        assert!(budget.0.shares.lock().unwrap().len() <= MAX_IDLE_SHARES + 1);
        assert_eq!(budget.held(), 10_000);
        drop(kept);
    }
}
