//! Limits the memory that requests and answers take in this process, in total and for each caller.
//!
//! There are two budgets. A request reserves memory for its body as it arrives, and then for what
//! the body was parsed into, until it has been executed. An answer reserves its upper bound before
//! its operation is executed, gives back the difference once its size is known, and keeps the rest
//! until its last byte is handed to the operating system. So a peer that does not read its answers
//! uses up its own share and no more. A caller whose share is used up waits for a moment, and is
//! then refused.

use super::shares::{Share, Shares};
use crate::domain::Principal;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

const MIB: usize = 1024 * 1024;

/// The limits of a budget, in bytes.
#[derive(Clone, Copy)]
struct Limits {
    /// For all callers together.
    total: usize,
    /// For one caller, so that a few of them cannot lock the others out.
    each: usize,
    /// For all requests without a token together.
    anonymous: usize,
    /// Up to this size a reservation is not counted: the number of requests bounds these.
    uncounted: usize,
    /// How long a caller waits for others to give back what it needs.
    wait: Duration,
}

/// A share is more than one request can need: a body of 2 MiB takes its own size and, as parsed
/// values, at most twelve times as much.
const REQUESTS: Limits =
    Limits { total: 128 * MIB, each: 32 * MIB, anonymous: 32 * MIB, uncounted: 4096, wait: Duration::from_secs(2) };

/// Bytes that an executing request may take without being counted: the number of them is bounded,
/// and none waits for its peer.
const UNCOUNTED_EXECUTING: usize = 16 * 1024;

/// An answer exists both as values and as text while it is serialized, so at worst three times as
/// much is in use: a quarter of a server's 3 GiB.
const ANSWERS: Limits =
    Limits { total: 256 * MIB, each: 64 * MIB, anonymous: 16 * MIB, uncounted: 4096, wait: Duration::from_secs(1) };

/// Tells whether more than half of a budget is reserved. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Pressure(Arc<AtomicBool>);

impl Pressure {
    #[cfg(test)]
    pub(super) fn fixed(high: bool) -> Self {
        Self(Arc::new(AtomicBool::new(high)))
    }

    /// Whether more than half is reserved.
    pub(super) fn is_high(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The memory that requests, or answers, may take. Cheap to clone.
#[derive(Clone)]
pub(super) struct MemoryBudget(Arc<State>);

struct State {
    limits: Limits,
    total: Semaphore,
    shares: Shares<CallerBudget>,
    /// Called with the reserved bytes whenever they change.
    gauge: fn(usize),
    pressure: Pressure,
}

/// What is left of one caller's share.
struct CallerBudget {
    bytes: Semaphore,
    /// Only one of a caller's requests that need much of the processor or the database runs at a
    /// time, so that no caller waits behind many requests of another.
    heavy: Arc<Semaphore>,
}

impl CallerBudget {
    fn new(bytes: usize) -> Self {
        Self { bytes: Semaphore::new(bytes), heavy: Arc::new(Semaphore::new(1)) }
    }
}

/// The caller's share of the budget is used up, or the whole budget is.
#[derive(Debug)]
pub(super) struct Exhausted;

impl MemoryBudget {
    /// The budget of requests.
    pub(super) fn of_requests() -> Self {
        Self::new(REQUESTS, |_| {})
    }

    /// The budget of answers; a metric shows how much is reserved.
    pub(super) fn of_answers() -> Self {
        Self::new(ANSWERS, super::metrics::set_unwritten)
    }

    fn new(limits: Limits, gauge: fn(usize)) -> Self {
        let shares = Shares::new(limits.each, limits.anonymous, CallerBudget::new);
        let (total, pressure) = (Semaphore::new(limits.total), Pressure::default());
        Self(Arc::new(State { limits, total, shares, gauge, pressure }))
    }

    /// A handle that tells whether more than half of the budget is reserved.
    pub(super) fn pressure(&self) -> Pressure {
        self.0.pressure.clone()
    }

    /// An empty reservation for a request of this caller.
    pub(super) fn reservation(&self, caller: Option<&Principal>) -> Reservation {
        Reservation { budget: self.clone(), share: self.0.shares.of(caller), bytes: 0 }
    }

    #[cfg(test)]
    fn reserved(&self) -> usize {
        self.0.limits.total - self.0.total.available_permits()
    }

    async fn acquire<'s>(&self, from: &'s Semaphore, bytes: usize) -> Result<SemaphorePermit<'s>, Exhausted> {
        let bytes = u32::try_from(bytes).map_err(|_| Exhausted)?;
        match timeout(self.0.limits.wait, from.acquire_many(bytes)).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphores are never closed.
            Err(_) | Ok(Err(AcquireError { .. })) => Err(Exhausted),
        }
    }
}

/// The memory reserved for one request, or its answer, until dropped.
pub(super) struct Reservation {
    budget: MemoryBudget,
    share: Share<CallerBudget>,
    bytes: usize,
}

impl Reservation {
    /// Changes the reservation to this many bytes; waits where that is more than before. One
    /// request never counts for more than a caller's whole share.
    ///
    /// # Errors
    /// When others keep too much reserved for too long. The reservation is then unchanged.
    pub(super) async fn resize(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let uncounted = self.budget.0.limits.uncounted;
        self.resize_above(uncounted, bytes).await
    }

    /// As [`Self::resize`], for a request that has arrived and is being executed.
    ///
    /// # Errors
    /// As [`Self::resize`].
    pub(super) async fn resize_to_execute(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.resize_above(UNCOUNTED_EXECUTING, bytes).await
    }

    async fn resize_above(&mut self, uncounted: usize, bytes: usize) -> Result<(), Exhausted> {
        let bytes = if bytes <= uncounted { 0 } else { bytes.min(self.share.size()) };
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let mut permits = Vec::with_capacity(3);
            let levels = self.share.levels().map(|level| &level.bytes);
            for from in levels.chain([&self.budget.0.total]) {
                permits.push(self.budget.acquire(from, more).await?);
            }
            permits.into_iter().for_each(SemaphorePermit::forget);
        } else {
            self.release(self.bytes - bytes);
        }
        self.bytes = bytes;
        self.report();
        Ok(())
    }

    /// Waits until a heavy request of this caller may run: alone among the caller's, and as one of
    /// `all`. Both permits are to be kept while it runs.
    ///
    /// # Errors
    /// When waiting takes too long.
    pub(super) async fn acquire_heavy(&self, all: &Arc<Semaphore>) -> Result<[OwnedSemaphorePermit; 2], Exhausted> {
        match timeout(self.budget.0.limits.wait, self.own_and_one_of(all)).await {
            Ok(Ok(permits)) => Ok(permits),
            Err(_) | Ok(Err(AcquireError { .. })) => Err(Exhausted),
        }
    }

    async fn own_and_one_of(&self, all: &Arc<Semaphore>) -> Result<[OwnedSemaphorePermit; 2], AcquireError> {
        let own = self.share.narrowest().heavy.clone().acquire_owned().await?;
        Ok([own, all.clone().acquire_owned().await?])
    }

    /// The bytes of an answer, which keep the reservation until the last piece of them is dropped.
    pub(super) fn attach_to(self, body: Vec<u8>) -> Bytes {
        Bytes::from_owner(ReservedBytes { body, _reservation: self })
    }

    fn release(&self, bytes: usize) {
        self.share.levels().for_each(|level| level.bytes.add_permits(bytes));
        self.budget.0.total.add_permits(bytes);
    }

    fn report(&self) {
        let State { limits, total, gauge, pressure, .. } = &*self.budget.0;
        let reserved = limits.total.saturating_sub(total.available_permits());
        gauge(reserved);
        pressure.0.store(reserved > limits.total / 2, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.release(self.bytes);
            self.report();
        }
    }
}

struct ReservedBytes {
    body: Vec<u8>,
    _reservation: Reservation,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AgentId, Narrowing, RuntimeId, UserId};

    const KIB: usize = 1024;
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    fn user(id: &str) -> Principal {
        Principal::User(UserId::parse(id).unwrap())
    }

    fn budget(total: usize, each: usize, wait: Duration) -> MemoryBudget {
        MemoryBudget::new(Limits { total, each, anonymous: each, uncounted: 4, wait }, |_| {})
    }

    #[tokio::test]
    async fn a_request_holds_what_it_was_last_sized_to_until_it_is_dropped() {
        let budget = budget(100 * KIB, 50 * KIB, SHORT);
        let ada = user("ada");
        let mut reservation = budget.reservation(Some(&ada));
        for (bytes, holds) in [(10, 10), (30 * KIB, 30 * KIB), (7, 7), (7, 7), (4, 0), (0, 0), (99 * KIB, 50 * KIB)] {
            reservation.resize(bytes).await.unwrap();
            assert_eq!(budget.reserved(), holds, "{bytes}");
        }
        drop(reservation);
        assert_eq!(budget.reserved(), 0);
        assert!(budget.0.shares.is_empty(), "nobody is remembered who holds nothing");
    }

    #[tokio::test]
    async fn one_caller_cannot_hold_everything_however_many_tokens_it_has() {
        let budget = budget(100 * KIB, 50 * KIB, SHORT);
        let runtime = |names| {
            let narrowing = Narrowing { names, ..Narrowing::default() };
            Principal::Runtime(RuntimeId::parse("ada").unwrap(), narrowing)
        };
        let mut first = budget.reservation(Some(&runtime(None)));
        first.resize(40 * KIB).await.unwrap();
        let mut second = budget.reservation(Some(&runtime(Some(["A".to_owned()].into()))));
        second.resize(10 * KIB).await.unwrap();
        assert!(second.resize(10 * KIB + 1).await.is_err());
        assert_eq!(budget.reserved(), 50 * KIB, "what could not be had is not held");
        let (person, nobody) = (user("ada"), None);
        let mut others = [budget.reservation(Some(&person)), budget.reservation(nobody)];
        for other in &mut others {
            other.resize(25 * KIB).await.unwrap();
        }
        assert!(budget.reservation(Some(&user("eve"))).resize(5).await.is_err(), "the total is a bound as well");
        assert!(budget.reservation(Some(&user("eve"))).resize(4).await.is_ok(), "a small one is never refused");
    }

    #[tokio::test]
    async fn a_token_for_one_agent_leaves_something_to_the_others_of_its_runtime() {
        let budget = budget(100 * KIB, 40 * KIB, SHORT);
        let token = |agent: Option<&str>| {
            let agent = agent.map(|agent| AgentId::parse(agent).unwrap());
            Principal::Runtime(RuntimeId::parse("ada").unwrap(), Narrowing { agent, ..Narrowing::default() })
        };
        let mut sandboxes = ["a", "b", "c"].map(|agent| budget.reservation(Some(&token(Some(agent)))));
        for sandbox in &mut sandboxes {
            sandbox.resize(99 * KIB).await.unwrap();
        }
        assert_eq!(budget.reserved(), 30 * KIB, "a quarter of the share each");
        assert!(budget.reservation(Some(&token(Some("a")))).resize(5).await.is_err());
        assert!(!budget.pressure().is_high());
        let mut runtime = budget.reservation(Some(&token(None)));
        runtime.resize(10 * KIB).await.unwrap();
        assert!(budget.reservation(Some(&token(Some("d")))).resize(5).await.is_err(), "together they have one share");
        let mut other = budget.reservation(Some(&user("bob")));
        other.resize(11 * KIB).await.unwrap();
        assert!(budget.pressure().is_high());
        drop((runtime, sandboxes));
        assert!(!budget.pressure().is_high());
        drop(other);
        assert!(budget.0.shares.is_empty(), "nobody is remembered who holds nothing");
    }

    #[tokio::test]
    async fn a_request_that_is_executed_holds_something_when_it_is_large() {
        let budget = budget(100 * KIB, 50 * KIB, SHORT);
        let mut reservation = budget.reservation(Some(&user("ada")));
        for (bytes, holds) in [(5, 0), (16 * KIB, 0), (16 * KIB + 1, 16 * KIB + 1), (1, 0)] {
            reservation.resize_to_execute(bytes).await.unwrap();
            assert_eq!(budget.reserved(), holds, "{bytes}");
        }
    }

    #[tokio::test]
    async fn heavy_requests_of_a_caller_are_worked_on_one_by_one() {
        let (budget, processors) = (budget(10, 10, SHORT), Arc::new(Semaphore::new(2)));
        let (ada, bob, eve) = (user("ada"), user("bob"), user("eve"));
        let requests = [&ada, &ada, &bob, &eve].map(|caller| budget.reservation(Some(caller)));
        let first = requests[0].acquire_heavy(&processors).await.unwrap();
        assert!(requests[1].acquire_heavy(&processors).await.is_err(), "of the same caller");
        let _second = requests[2].acquire_heavy(&processors).await.unwrap();
        assert!(requests[3].acquire_heavy(&processors).await.is_err(), "no processor is left");
        drop(first);
        assert!(requests[3].acquire_heavy(&processors).await.is_ok());
        assert!(requests[1].acquire_heavy(&processors).await.is_ok());
    }

    #[tokio::test]
    async fn a_request_goes_on_when_another_lets_go_in_time() {
        let budget = budget(10, 10, LONG);
        let mut first = budget.reservation(None);
        first.resize(10).await.unwrap();
        let mut second = budget.reservation(Some(&user("ada")));
        let (waited, ()) = tokio::join!(second.resize(10), async {
            tokio::time::sleep(SHORT).await;
            drop(first);
        });
        waited.unwrap();
        // A caller that stops waiting leaves no reservation behind.
        let mut third = budget.reservation(None);
        assert!(timeout(SHORT, third.resize(5)).await.is_err());
        drop((second, third));
        assert_eq!(budget.reserved(), 0);
    }

    #[tokio::test]
    async fn an_answer_is_held_until_its_last_piece_is_dropped() {
        let budget = budget(100 * KIB, 100 * KIB, SHORT);
        let mut reservation = budget.reservation(Some(&user("ada")));
        reservation.resize(70_000).await.unwrap();
        let mut bytes = reservation.attach_to(vec![b'x'; 70_000]);
        let first = bytes.split_to(10);
        drop(bytes);
        assert_eq!(budget.reserved(), 70_000);
        drop(first);
        assert_eq!(budget.reserved(), 0);
    }
}
