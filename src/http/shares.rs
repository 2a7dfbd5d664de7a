//! Divides a limited resource into shares, one for each caller.

use crate::domain::{Narrowing, Principal};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// An agent's share is its runtime's share divided by this number, so that one sandbox cannot use
/// up the share of the others.
const AGENT_DIVISOR: usize = 4;

/// The shares that are in use: a `T` for each principal, one for all requests without a token
/// together, and one for each agent that a runtime's token is narrowed to, within the runtime's.
/// Cheap to clone.
pub(super) struct Shares<T>(Arc<Registry<T>>);

struct Registry<T> {
    /// The size of one caller's share.
    each: usize,
    /// The size of the share of all requests without a token together.
    anonymous: usize,
    make: fn(usize) -> T,
    /// Each share in use, with the number of its holders.
    known: Mutex<HashMap<String, (usize, Arc<T>)>>,
}

impl<T> Clone for Shares<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Shares<T> {
    /// Shares of these sizes; `make` makes a `T` of a size.
    pub(super) fn new(each: usize, anonymous: usize, make: fn(usize) -> T) -> Self {
        Self(Arc::new(Registry { each, anonymous, make, known: Mutex::default() }))
    }

    /// The share of `caller`; `None` stands for all requests without a token.
    pub(super) fn of(&self, caller: Option<&Principal>) -> Share<T> {
        let principal = caller.map(ToString::to_string).unwrap_or_default();
        let size = if caller.is_some() { self.0.each } else { self.0.anonymous };
        let of_agent = match caller {
            Some(Principal::Runtime(_, Narrowing { agent: Some(agent), .. })) => {
                Some((format!("{principal}\n{agent}"), size / AGENT_DIVISOR))
            }
            Some(_) | None => None,
        };
        let mut known = self.0.known.lock();
        let mut level = |name: String, size| {
            let (holders, of) = known.entry(name.clone()).or_insert_with(|| (0, Arc::new((self.0.make)(size))));
            *holders += 1;
            Level { name, size, of: of.clone() }
        };
        let principal = level(principal, size);
        let (narrowest, wider) = match of_agent {
            None => (principal, None),
            Some((agent, size)) => (level(agent, size), Some(principal)),
        };
        drop(known);
        Share { narrowest, wider, registry: self.0.clone() }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.known.lock().is_empty()
    }
}

struct Level<T> {
    name: String,
    size: usize,
    of: Arc<T>,
}

/// The share of one caller. The registry forgets it when its last holder drops it.
pub(super) struct Share<T> {
    /// The agent's, or else the principal's.
    narrowest: Level<T>,
    /// The principal's, where there is an agent's.
    wider: Option<Level<T>>,
    registry: Arc<Registry<T>>,
}

impl<T> Share<T> {
    /// The shares that each request of the caller counts to: the agent's, if any, then the
    /// principal's.
    pub(super) fn levels(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.narrowest).chain(&self.wider).map(|level| &*level.of)
    }

    /// The first of [`Self::levels`].
    pub(super) fn narrowest(&self) -> &T {
        &self.narrowest.of
    }

    /// The size of the first of [`Self::levels`].
    pub(super) fn size(&self) -> usize {
        self.narrowest.size
    }
}

impl<T> Drop for Share<T> {
    fn drop(&mut self) {
        let mut known = self.registry.known.lock();
        for level in std::iter::once(&self.narrowest).chain(&self.wider) {
            if let Some((holders, _)) = known.get_mut(&level.name) {
                *holders -= 1;
                if *holders == 0 {
                    known.remove(&level.name);
                }
            }
        }
    }
}
