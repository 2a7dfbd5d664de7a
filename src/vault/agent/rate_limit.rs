//! How often a runtime may resolve: a bound on what whoever stole its token can take before someone
//! notices. Off unless the operator sets it. Each process counts for itself, so with several
//! servers a runtime may resolve as often at each of them.

use crate::domain::{RuntimeId, Timestamp};
use crate::vault::audit::{Allowance, Rate};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Maximum number of runtimes that are counted at a time. Only registered runtimes are.
const MAX_RUNTIMES: usize = 10_000;

/// The resolves that each runtime has left.
#[derive(Default)]
pub(super) struct ResolveRateLimit {
    rate: OnceLock<Rate>,
    left: Mutex<HashMap<RuntimeId, Allowance>>,
}

impl ResolveRateLimit {
    /// Sets the limit, once: so many resolves at once, and as many in each minute.
    pub(super) fn set_limit(&self, per_minute: NonZeroU32) {
        let rate = Rate { burst: per_minute.get(), every: MINUTE / per_minute.get() };
        if self.rate.set(rate).is_err() {
            tracing::error!("the limit of resolves is set already and stays as it is");
        }
    }

    /// Counts a resolve; the error is the time until the runtime may resolve again.
    pub(super) fn count(&self, runtime: &RuntimeId, now: Timestamp) -> Result<(), Duration> {
        let Some(rate) = self.rate.get() else { return Ok(()) };
        let mut left = self.left.lock();
        if !left.contains_key(runtime) && left.len() >= MAX_RUNTIMES {
            left.retain(|_, allowance| !allowance.is_full(now));
            if left.len() >= MAX_RUNTIMES {
                return Err(MINUTE);
            }
        }
        left.entry(runtime.clone()).or_default().take(rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(n: usize) -> RuntimeId {
        RuntimeId::parse(format!("r{n}")).unwrap()
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let limit = ResolveRateLimit::default();
        let now = Timestamp::from_millis(0);
        assert!((0..10_000).all(|_| limit.count(&runtime(0), now).is_ok()));
        assert!(limit.left.lock().is_empty());
    }

    #[test]
    fn each_runtime_has_its_own_allowance_which_comes_back() {
        let limit = ResolveRateLimit::default();
        limit.set_limit(NonZeroU32::new(6).unwrap());
        let start = Timestamp::from_millis(0);
        for one in [0, 1] {
            assert!((0..6).all(|_| limit.count(&runtime(one), start).is_ok()));
            assert_eq!(limit.count(&runtime(one), start), Err(Duration::from_secs(10)));
        }
        let later = start.plus(Duration::from_secs(10));
        assert_eq!(limit.count(&runtime(0), later), Ok(()));
        assert!(limit.count(&runtime(0), later).is_err());
    }

    #[test]
    fn the_number_of_runtimes_is_bounded() {
        let limit = ResolveRateLimit::default();
        limit.set_limit(NonZeroU32::new(1).unwrap());
        let start = Timestamp::from_millis(0);
        assert!((0..MAX_RUNTIMES).all(|n| limit.count(&runtime(n), start).is_ok()));
        assert_eq!(limit.count(&runtime(MAX_RUNTIMES), start), Err(MINUTE));
        assert_eq!(limit.count(&runtime(MAX_RUNTIMES), start.plus(MINUTE)), Ok(()));
        assert_eq!(limit.left.lock().len(), 1);
    }
}
