//! The memory that requests and answers may take in this process, bounded as a whole and for each
//! caller.
//!
//! There are two budgets. A request holds its body as it arrives, and then what the body was parsed
//! into, until it has been executed. An answer reserves its upper bound before its operation is
//! executed, gives back the difference once it is known, and holds the rest until its last byte is
//! handed to the operating system: a peer that does not read holds what it was answered, and no
//! more than its share. A caller for whom nothing is left waits for a moment, and is refused then.

use super::shares::{Share, Shares};
use crate::domain::Principal;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

const MIB: usize = 1024 * 1024;

/// The bounds of a budget, in bytes.
#[derive(Clone, Copy)]
struct Limits {
    /// For all callers together.
    total: usize,
    /// For one caller, so that no few of them lock the others out.
    each: usize,
    /// For all requests without a token together.
    anonymous: usize,
    /// Up to this size nothing is counted: the number of requests bounds it.
    uncounted: usize,
    /// How long a caller waits for others to give back what it needs.
    wait: Duration,
}

/// A share is more than one request can need: a body of 2 MiB takes its bytes and, as values,
/// twelve times as much at most.
const REQUESTS: Limits =
    Limits { total: 128 * MIB, each: 32 * MIB, anonymous: 32 * MIB, uncounted: 4096, wait: Duration::from_secs(2) };

/// Bytes that a request may hold uncounted once it has arrived: how many are executed at once is
/// bounded, and none of them waits for its peer.
const UNCOUNTED_EXECUTING: usize = 16 * 1024;

/// An answer exists as values and as text while it is written, so that three times as much is in
/// use at worst: a quarter of what a server with 3 GiB has.
const ANSWERS: Limits =
    Limits { total: 256 * MIB, each: 64 * MIB, anonymous: 16 * MIB, uncounted: 4096, wait: Duration::from_secs(1) };

/// Set while more than half of a budget is held. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Pressure(Arc<AtomicBool>);

impl Pressure {
    #[cfg(test)]
    pub(super) fn fixed(high: bool) -> Self {
        Self(Arc::new(AtomicBool::new(high)))
    }

    /// Whether more than half is held.
    pub(super) fn is_high(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The bytes that requests, or answers, may take. Cheap to clone.
#[derive(Clone)]
pub(super) struct MemoryBudget(Arc<State>);

struct State {
    limits: Limits,
    total: Semaphore,
    shares: Shares<CallerBudget>,
    /// Told what is held, whenever that changes.
    gauge: fn(usize),
    pressure: Pressure,
}

/// The rest of one caller's share.
struct CallerBudget {
    bytes: Semaphore,
    /// One request of a caller that takes much of the processor or the database is worked on at a
    /// time, so that nobody waits behind many of another's.
    heavy: Arc<Semaphore>,
}

impl CallerBudget {
    fn new(bytes: usize) -> Self {
        Self { bytes: Semaphore::new(bytes), heavy: Arc::new(Semaphore::new(1)) }
    }
}

/// The share of the budget is used up, or the budget is.
#[derive(Debug)]
pub(super) struct Exhausted;

impl MemoryBudget {
    /// The budget of requests.
    pub(super) fn of_requests() -> Self {
        Self::new(REQUESTS, |_| {})
    }

    /// The budget of answers, which a metric tells.
    pub(super) fn of_answers() -> Self {
        Self::new(ANSWERS, super::metrics::set_unwritten)
    }

    fn new(limits: Limits, gauge: fn(usize)) -> Self {
        let shares = Shares::new(limits.each, limits.anonymous, CallerBudget::new);
        let (total, pressure) = (Semaphore::new(limits.total), Pressure::default());
        Self(Arc::new(State { limits, total, shares, gauge, pressure }))
    }

    /// Tells whether more than half of the budget is held.
    pub(super) fn pressure(&self) -> Pressure {
        self.0.pressure.clone()
    }

    /// Begins to account for a request of this caller; it holds nothing yet.
    pub(super) fn begin(&self, caller: Option<&Principal>) -> ReservedBytes {
        ReservedBytes { budget: self.clone(), share: self.0.shares.of(caller), bytes: 0 }
    }

    #[cfg(test)]
    fn held(&self) -> usize {
        self.0.limits.total - self.0.total.available_permits()
    }

    async fn acquire<'s>(&self, from: &'s Semaphore, bytes: usize) -> Result<SemaphorePermit<'s>, Exhausted> {
        let bytes = u32::try_from(bytes).map_err(|_| Exhausted)?;
        match timeout(self.0.limits.wait, from.acquire_many(bytes)).await {
            Ok(Ok(permit)) => Ok(permit),
            // None of the semaphores is ever closed.
            Err(_) | Ok(Err(AcquireError { .. })) => Err(Exhausted),
        }
    }
}

/// The memory that one request, or its answer, holds until it is dropped.
pub(super) struct ReservedBytes {
    budget: MemoryBudget,
    share: Share<CallerBudget>,
    bytes: usize,
}

impl ReservedBytes {
    /// Holds this many bytes from now on; where they are more than before, waits for them. One
    /// request never counts for more than a caller's whole share.
    ///
    /// # Errors
    /// When others hold too much for too long; then it holds what it held before.
    pub(super) async fn resize(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let uncounted = self.budget.0.limits.uncounted;
        self.hold_more_than(uncounted, bytes).await
    }

    /// As [`Self::resize`], for a request that has arrived and is executed.
    ///
    /// # Errors
    /// As [`Self::resize`].
    pub(super) async fn resize_to_execute(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.hold_more_than(UNCOUNTED_EXECUTING, bytes).await
    }

    async fn hold_more_than(&mut self, uncounted: usize, bytes: usize) -> Result<(), Exhausted> {
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
        self.tell();
        Ok(())
    }

    /// Waits until a request of this caller that takes much may be worked on, as one of `all`, for
    /// as long as both permits are kept.
    ///
    /// # Errors
    /// When that takes too long.
    pub(super) async fn heavy(&self, all: &Arc<Semaphore>) -> Result<[OwnedSemaphorePermit; 2], Exhausted> {
        let both = async {
            let own = self.share.narrowest().heavy.clone().acquire_owned().await?;
            Ok::<_, AcquireError>([own, all.clone().acquire_owned().await?])
        };
        match timeout(self.budget.0.limits.wait, both).await {
            Ok(Ok(permits)) => Ok(permits),
            Err(_) | Ok(Err(AcquireError { .. })) => Err(Exhausted),
        }
    }

    /// The bytes of an answer. What they hold is given back when the last piece of them was written
    /// or dropped.
    pub(super) fn hold(self, body: Vec<u8>) -> Bytes {
        Bytes::from_owner(HeldBytes { body, _held: self })
    }

    fn release(&self, bytes: usize) {
        self.share.levels().for_each(|level| level.bytes.add_permits(bytes));
        self.budget.0.total.add_permits(bytes);
    }

    fn tell(&self) {
        let State { limits, total, gauge, pressure, .. } = &*self.budget.0;
        let held = limits.total.saturating_sub(total.available_permits());
        gauge(held);
        pressure.0.store(held > limits.total / 2, Ordering::Relaxed);
    }
}

impl Drop for ReservedBytes {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.release(self.bytes);
            self.tell();
        }
    }
}

struct HeldBytes {
    body: Vec<u8>,
    _held: ReservedBytes,
}

impl AsRef<[u8]> for HeldBytes {
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
        let mut held = budget.begin(Some(&ada));
        for (bytes, holds) in [(10, 10), (30 * KIB, 30 * KIB), (7, 7), (7, 7), (4, 0), (0, 0), (99 * KIB, 50 * KIB)] {
            held.resize(bytes).await.unwrap();
            assert_eq!(budget.held(), holds, "{bytes}");
        }
        drop(held);
        assert_eq!(budget.held(), 0);
        assert!(budget.0.shares.is_empty(), "nobody is remembered who holds nothing");
    }

    #[tokio::test]
    async fn one_caller_cannot_hold_everything_however_many_tokens_it_has() {
        let budget = budget(100 * KIB, 50 * KIB, SHORT);
        let runtime = |names| {
            let narrowing = Narrowing { names, ..Narrowing::default() };
            Principal::Runtime(RuntimeId::parse("ada").unwrap(), narrowing)
        };
        let mut first = budget.begin(Some(&runtime(None)));
        first.resize(40 * KIB).await.unwrap();
        let mut second = budget.begin(Some(&runtime(Some(["A".to_owned()].into()))));
        second.resize(10 * KIB).await.unwrap();
        assert!(second.resize(10 * KIB + 1).await.is_err());
        assert_eq!(budget.held(), 50 * KIB, "what could not be had is not held");
        let (person, nobody) = (user("ada"), None);
        let mut others = [budget.begin(Some(&person)), budget.begin(nobody)];
        for other in &mut others {
            other.resize(25 * KIB).await.unwrap();
        }
        assert!(budget.begin(Some(&user("eve"))).resize(5).await.is_err(), "the total is a bound as well");
        assert!(budget.begin(Some(&user("eve"))).resize(4).await.is_ok(), "a small one is never refused");
    }

    #[tokio::test]
    async fn a_token_for_one_agent_leaves_something_to_the_others_of_its_runtime() {
        let budget = budget(100 * KIB, 40 * KIB, SHORT);
        let token = |agent: Option<&str>| {
            let agent = agent.map(|agent| AgentId::parse(agent).unwrap());
            Principal::Runtime(RuntimeId::parse("ada").unwrap(), Narrowing { agent, ..Narrowing::default() })
        };
        let mut sandboxes = ["a", "b", "c"].map(|agent| budget.begin(Some(&token(Some(agent)))));
        for sandbox in &mut sandboxes {
            sandbox.resize(99 * KIB).await.unwrap();
        }
        assert_eq!(budget.held(), 30 * KIB, "a quarter of the share each");
        assert!(budget.begin(Some(&token(Some("a")))).resize(5).await.is_err());
        assert!(!budget.pressure().is_high());
        let mut runtime = budget.begin(Some(&token(None)));
        runtime.resize(10 * KIB).await.unwrap();
        assert!(budget.begin(Some(&token(Some("d")))).resize(5).await.is_err(), "together they have one share");
        let mut other = budget.begin(Some(&user("bob")));
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
        let mut held = budget.begin(Some(&user("ada")));
        for (bytes, holds) in [(5, 0), (16 * KIB, 0), (16 * KIB + 1, 16 * KIB + 1), (1, 0)] {
            held.resize_to_execute(bytes).await.unwrap();
            assert_eq!(budget.held(), holds, "{bytes}");
        }
    }

    #[tokio::test]
    async fn heavy_requests_of_a_caller_are_worked_on_one_by_one() {
        let (budget, processors) = (budget(10, 10, SHORT), Arc::new(Semaphore::new(2)));
        let (ada, bob, eve) = (user("ada"), user("bob"), user("eve"));
        let requests = [&ada, &ada, &bob, &eve].map(|caller| budget.begin(Some(caller)));
        let first = requests[0].heavy(&processors).await.unwrap();
        assert!(requests[1].heavy(&processors).await.is_err(), "of the same caller");
        let _second = requests[2].heavy(&processors).await.unwrap();
        assert!(requests[3].heavy(&processors).await.is_err(), "no processor is left");
        drop(first);
        assert!(requests[3].heavy(&processors).await.is_ok());
        assert!(requests[1].heavy(&processors).await.is_ok());
    }

    #[tokio::test]
    async fn a_request_goes_on_when_another_lets_go_in_time() {
        let budget = budget(10, 10, LONG);
        let mut first = budget.begin(None);
        first.resize(10).await.unwrap();
        let mut second = budget.begin(Some(&user("ada")));
        let (waited, ()) = tokio::join!(second.resize(10), async {
            tokio::time::sleep(SHORT).await;
            drop(first);
        });
        waited.unwrap();
        // A caller who goes away while waiting leaves nothing behind.
        let mut third = budget.begin(None);
        assert!(timeout(SHORT, third.resize(5)).await.is_err());
        drop((second, third));
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn an_answer_is_held_until_its_last_piece_is_dropped() {
        let budget = budget(100 * KIB, 100 * KIB, SHORT);
        let mut held = budget.begin(Some(&user("ada")));
        held.resize(70_000).await.unwrap();
        let mut bytes = held.hold(vec![b'x'; 70_000]);
        let first = bytes.split_to(10);
        drop(bytes);
        assert_eq!(budget.held(), 70_000);
        drop(first);
        assert_eq!(budget.held(), 0);
    }
}
