//! How many requests are open at once, in the process and of each caller.

use crate::domain::Principal;
use crate::http::budget::{AGENTS_PART, share_names};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits for open requests. Cheap to clone.
#[derive(Clone)]
pub(in crate::http) struct Permits {
    all: Arc<Semaphore>,
    callers: Arc<Callers>,
    /// Whose bodies have all their time, though connections are scarce.
    patience: Arc<Callers>,
}

struct Callers {
    /// Maximum number of open requests of one caller.
    each: usize,
    /// Number of open requests of each caller that has any, and of each agent of a runtime.
    open: Mutex<HashMap<String, usize>>,
}

impl Permits {
    /// Permits for `all` requests, of which one caller has `each` at most.
    pub(in crate::http) fn new(all: usize, each: usize) -> Self {
        let callers = || Arc::new(Callers { each, open: Mutex::default() });
        Self { all: Arc::new(Semaphore::new(all)), callers: callers(), patience: callers() }
    }

    /// Gives a request of a verified caller all the time that bodies have; none to one who has too
    /// many such requests.
    pub(super) fn patience(&self, caller: &Principal) -> Option<Share> {
        self.patience.clone().take(Some(caller))
    }

    /// Opens a request of a caller who is not known yet; none when too many are open.
    pub(super) fn open(&self) -> Option<Permit> {
        let of_all = self.all.clone().try_acquire_owned().ok()?;
        Some(Permit { _of_all: of_all, callers: self.callers.clone(), share: Mutex::default() })
    }
}

/// One open request.
pub(super) struct Permit {
    _of_all: OwnedSemaphorePermit,
    callers: Arc<Callers>,
    /// Whose share the request counts to, once that is decided.
    share: Mutex<Option<Share>>,
}

impl Permit {
    /// Counts the request to the share of this caller; without one, to that of all requests that
    /// nobody was verified for. False when the share is used up.
    pub(super) fn count_to(&self, caller: Option<&Principal>) -> bool {
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(taken) = self.callers.clone().take(caller) else { return false };
        *share = Some(taken);
        true
    }

    /// Lets a request wait for its peer, though nobody may be verified for it yet.
    pub(super) fn may_wait(&self) -> bool {
        let decided = self.share.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        decided || self.count_to(None)
    }
}

impl Callers {
    fn take(self: Arc<Self>, caller: Option<&Principal>) -> Option<Share> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (principal, agent) = share_names(caller);
        let names = agent.map(|agent| (agent, self.each / AGENTS_PART)).into_iter().chain([(principal, self.each)]);
        let (names, most): (Vec<_>, Vec<_>) = names.unzip();
        let has_room = |(name, most): (&String, &usize)| open.get(name).is_none_or(|open| open < most);
        if !names.iter().zip(&most).all(has_room) {
            return None;
        }
        for name in &names {
            *open.entry(name.clone()).or_default() += 1;
        }
        drop(open);
        Some(Share { names, callers: self })
    }
}

/// One request of a caller's share.
pub(super) struct Share {
    names: Vec<String>,
    callers: Arc<Callers>,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.callers.open.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &self.names {
            if let Some(count) = open.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    open.remove(name);
                }
            }
        }
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
        assert!(open[0].may_wait() && open[0].may_wait() && open[1].may_wait());
        assert!(!open[2].may_wait(), "the share of those whom nobody knows is used up");
        assert!(open[0].count_to(Some(&ada)) && open[2].may_wait(), "who is verified has a share of their own");
        assert!(open[1].count_to(Some(&ada)) && !open[2].count_to(Some(&ada)));
        let last = permits.open().unwrap();
        assert!(permits.open().is_none(), "all of them are a bound as well");
        drop((open, last));
        assert!(permits.callers.open.lock().unwrap().is_empty());
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
        assert!(permits.callers.open.lock().unwrap().is_empty());
    }
}
