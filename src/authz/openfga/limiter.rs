//! Bounds the checks under way at OpenFGA, which answers none in time when there are too many. The
//! rest wait, first come, first served. Small calls, such as a resolve or a change, and larger ones,
//! such as lists, have separate limits, so that a resolve never waits behind lists.

use super::{BATCH, unavailable};
use crate::domain::{Error, Result};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Maximum number of checks of a small call.
const LARGEST_SMALL_CALL: usize = 8;
/// Maximum number of checks under way for small calls.
const CHECKS_OF_SMALL_CALLS: usize = 64;
/// Maximum number of checks under way for larger calls: two full batches.
const CHECKS_OF_LARGE_CALLS: usize = 2 * BATCH;
/// Maximum time a batch waits.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Counts the batches that were refused because they waited too long.
const SHED: &str = "vault_authorizer_shed_total";

pub(super) struct CheckLimiter {
    small: Limit,
    large: Limit,
}

impl Default for CheckLimiter {
    fn default() -> Self {
        let limit = |checks| Limit(Semaphore::new(checks));
        Self { small: limit(CHECKS_OF_SMALL_CALLS), large: limit(CHECKS_OF_LARGE_CALLS) }
    }
}

impl CheckLimiter {
    /// The limit for a call with this many checks in all its batches.
    pub(super) const fn for_call(&self, checks: usize) -> &Limit {
        if checks <= LARGEST_SMALL_CALL { &self.small } else { &self.large }
    }
}

/// The number of checks that may still begin.
pub(super) struct Limit(Semaphore);

impl Limit {
    /// Waits until a batch may be asked; it counts until the permit is dropped.
    ///
    /// # Errors
    /// UNAVAILABLE when it has waited for ten seconds.
    pub(super) async fn acquire<T>(&self, batch: &[T]) -> Result<SemaphorePermit<'_>> {
        self.acquire_within(batch.len(), MAX_WAIT).await
    }

    async fn acquire_within(&self, checks: usize, within: Duration) -> Result<SemaphorePermit<'_>> {
        let permits = u32::try_from(checks).map_err(Error::internal)?;
        if let Ok(Ok(permit)) = tokio::time::timeout(within, self.0.acquire_many(permits)).await {
            return Ok(permit);
        }
        metrics::counter!(SHED).increment(1);
        tracing::warn!("OpenFGA is overloaded: a batch of checks waited 10 seconds and was refused");
        Err(unavailable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_small_call_does_not_wait_behind_large_ones() {
        let limiter = CheckLimiter::default();
        let large = limiter.for_call(LARGEST_SMALL_CALL + 1);
        let _first = large.acquire_within(BATCH, SOON).await.unwrap();
        let _second = large.acquire_within(BATCH, SOON).await.unwrap();
        assert!(large.acquire_within(1, SOON).await.is_err(), "the last batch of a large call waits");
        assert!(
            limiter.for_call(LARGEST_SMALL_CALL).acquire_within(LARGEST_SMALL_CALL, SOON).await.is_ok(),
            "a small call does not"
        );
    }

    #[tokio::test]
    async fn no_more_checks_are_under_way_than_a_limit_allows() {
        let limiter = CheckLimiter::default();
        let small = limiter.for_call(2);
        let mut held = Vec::new();
        while let Ok(permit) = small.acquire_within(2, SOON).await {
            held.push(permit);
        }
        assert_eq!(held.len() * 2, CHECKS_OF_SMALL_CALLS);
        held.pop();
        assert!(small.acquire_within(2, SOON).await.is_ok(), "a batch that ends lets the next begin");
    }
}
