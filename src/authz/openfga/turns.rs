//! Turns at OpenFGA. With a few hundred checks under way on two cores it answers none of them in
//! time, so only so many are under way at once, and the rest wait here, first come, first served.
//!
//! There are two queues: one for what a resolve or a change asks, a few checks, and one for what
//! lists ask. So an agent's session does not wait behind people's dashboards.

use super::{BATCH, unavailable};
use crate::domain::{Error, Result};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Maximum number of checks of a call that waits in the first queue.
const FEW: usize = 8;
/// Maximum number of checks under way for calls with few of them.
const CHECKS_OF_SMALL_CALLS: usize = 64;
/// Maximum number of checks under way for calls with more: two full batches.
const CHECKS_OF_LARGE_CALLS: usize = 2 * BATCH;
/// Maximum time a batch waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// The number of batches refused because their turn did not come in time.
const SHED: &str = "vault_authorizer_shed_total";

pub(super) struct Turns {
    small: Queue,
    large: Queue,
}

impl Default for Turns {
    fn default() -> Self {
        let queue = |checks| Queue(Semaphore::new(checks));
        Self { small: queue(CHECKS_OF_SMALL_CALLS), large: queue(CHECKS_OF_LARGE_CALLS) }
    }
}

impl Turns {
    /// The queue of a call with this many checks in all its batches.
    pub(super) const fn queue(&self, checks: usize) -> &Queue {
        if checks <= FEW { &self.small } else { &self.large }
    }
}

/// The checks that may still begin.
pub(super) struct Queue(Semaphore);

impl Queue {
    /// Waits for the turn of a batch, which lasts until the permit is dropped.
    ///
    /// # Errors
    /// UNAVAILABLE when it does not come within ten seconds.
    pub(super) async fn take<T>(&self, batch: &[T]) -> Result<SemaphorePermit<'_>> {
        self.take_within(batch.len(), MAX_WAIT).await
    }

    async fn take_within(&self, checks: usize, limit: Duration) -> Result<SemaphorePermit<'_>> {
        let permits = u32::try_from(checks).map_err(Error::internal)?;
        if let Ok(Ok(permit)) = tokio::time::timeout(limit, self.0.acquire_many(permits)).await {
            return Ok(permit);
        }
        metrics::counter!(SHED).increment(1);
        tracing::warn!("more is asked of OpenFGA than it answers; a call was refused");
        Err(unavailable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_small_call_does_not_wait_behind_large_ones() {
        let turns = Turns::default();
        let large = turns.queue(FEW + 1);
        let _first = large.take_within(BATCH, SOON).await.unwrap();
        let _second = large.take_within(BATCH, SOON).await.unwrap();
        assert!(large.take_within(1, SOON).await.is_err(), "the last batch of a large call waits");
        assert!(turns.queue(FEW).take_within(FEW, SOON).await.is_ok(), "a small call does not");
    }

    #[tokio::test]
    async fn no_more_checks_are_under_way_than_a_queue_allows() {
        let turns = Turns::default();
        let small = turns.queue(2);
        let mut taken = Vec::new();
        while let Ok(turn) = small.take_within(2, SOON).await {
            taken.push(turn);
        }
        assert_eq!(taken.len() * 2, CHECKS_OF_SMALL_CALLS);
        taken.pop();
        assert!(small.take_within(2, SOON).await.is_ok(), "a turn that ends lets the next begin");
    }
}
