//! Limits the number of open requests, in the process and of each caller.

use crate::domain::Principal;
use crate::http::shares::{Share, Shares};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Permits for open requests. Cheap to clone.
#[derive(Clone)]
pub(in crate::http) struct Permits {
    all: Arc<Semaphore>,
    callers: Shares<Semaphore>,
    /// Shares of the requests whose bodies may take the full time while connections are scarce.
    slow_bodies: Shares<Semaphore>,
}

impl Permits {
    /// Permits for `all` requests, at most `each` of one caller.
    pub(in crate::http) fn new(all: usize, each: usize) -> Self {
        let callers = || Shares::new(each, each, Semaphore::new);
        Self { all: Arc::new(Semaphore::new(all)), callers: callers(), slow_bodies: callers() }
    }

    /// Allows the body of a verified caller's request the full time to arrive; `None` when the
    /// caller has too many such requests.
    pub(super) fn allow_slow_body(&self, caller: &Principal) -> Option<OpenShare> {
        OpenShare::take(&self.slow_bodies, Some(caller))
    }

    /// Opens a request whose caller is not known yet; `None` when too many are open.
    pub(super) fn open(&self) -> Option<Permit> {
        let of_all = self.all.clone().try_acquire_owned().ok()?;
        Some(Permit { _of_all: of_all, callers: self.callers.clone(), share: Mutex::default() })
    }
}

/// One open request.
pub(super) struct Permit {
    _of_all: OwnedSemaphorePermit,
    callers: Shares<Semaphore>,
    /// The share the request counts to, once that is decided.
    share: Mutex<Option<OpenShare>>,
}

impl Permit {
    /// Counts the request to the share of this caller, or without one to the share of all requests
    /// without a verified caller. False when the share is used up; the request stays counted as
    /// before.
    pub(super) fn count_to(&self, caller: Option<&Principal>) -> bool {
        let mut share = self.share.lock();
        let Some(taken) = OpenShare::take(&self.callers, caller) else { return false };
        *share = Some(taken);
        true
    }

    /// Counts the request to the share of all requests without a verified caller, unless it is
    /// counted already. False when that share is used up.
    pub(super) fn ensure_counted(&self) -> bool {
        let is_counted = self.share.lock().is_some();
        is_counted || self.count_to(None)
    }
}

/// One request, counted to a caller's share until dropped.
pub(super) struct OpenShare(Share<Semaphore>);

impl OpenShare {
    fn take(shares: &Shares<Semaphore>, caller: Option<&Principal>) -> Option<Self> {
        let share = shares.of(caller);
        // None of the semaphores is ever closed.
        let taken: Option<Vec<_>> = share.levels().map(|level| level.try_acquire().ok()).collect();
        taken?.into_iter().for_each(SemaphorePermit::forget);
        Some(Self(share))
    }
}

impl Drop for OpenShare {
    fn drop(&mut self) {
        self.0.levels().for_each(|level| level.add_permits(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AgentId, Narrowing, RuntimeId, UserId};

    #[test]
    fn nobody_takes_more_than_a_share_and_nothing_is_kept_of_who_has_no_request() {
        let permits = Permits::new(4, 2);
        let ada = Principal::User(UserId::parse("ada").unwrap());
        let open = [permits.open().unwrap(), permits.open().unwrap(), permits.open().unwrap()];
        assert!(open[0].ensure_counted() && open[0].ensure_counted() && open[1].ensure_counted());
        assert!(!open[2].ensure_counted(), "the share of those whom nobody knows is used up");
        assert!(open[0].count_to(Some(&ada)) && open[2].ensure_counted(), "who is verified has a share of their own");
        assert!(open[1].count_to(Some(&ada)) && !open[2].count_to(Some(&ada)));
        let last = permits.open().unwrap();
        assert!(permits.open().is_none(), "all of them are a bound as well");
        drop((open, last));
        assert!(permits.callers.is_empty());
        assert!(permits.open().is_some());
    }

    #[test]
    fn a_token_for_one_agent_takes_a_quarter_of_its_runtimes_share() {
        let permits = Permits::new(100, 8);
        let token = |agent: &str| {
            let narrowing = Narrowing { agent: Some(AgentId::parse(agent).unwrap()), ..Narrowing::default() };
            Principal::Runtime(RuntimeId::parse("ada").unwrap(), narrowing)
        };
        let mut open = Vec::new();
        for agent in ["a", "b", "c", "d"] {
            for expected in [true, true, false] {
                let permit = permits.open().unwrap();
                assert_eq!(permit.count_to(Some(&token(agent))), expected, "{agent}");
                open.push(permit);
            }
        }
        assert!(!permits.open().unwrap().count_to(Some(&token("e"))), "together they have one share");
        drop(open);
        assert!(permits.callers.is_empty());
    }
}
