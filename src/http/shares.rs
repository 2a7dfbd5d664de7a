//! The shares of callers in something that is limited.

use crate::domain::{Narrowing, Principal};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A token that is narrowed to one agent may use one part in this many of its runtime's share, so
/// that no sandbox stops the others.
const AGENTS_PART: usize = 4;

/// The shares of all callers that have anything at the moment: a `T` for each principal, one for
/// all requests without a token together, and one for each agent that a token is narrowed to,
/// beside its principal's. Cheap to clone.
pub(super) struct Shares<T>(Arc<Registry<T>>);

struct Registry<T> {
    /// The size of one caller's share.
    each: usize,
    /// The size of the share of all requests without a token together.
    anonymous: usize,
    make: fn(usize) -> T,
    known: Mutex<HashMap<String, Weak<T>>>,
}

impl<T> Clone for Shares<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Shares<T> {
    /// Shares of this size, which `make` turns into a `T`.
    pub(super) fn new(each: usize, anonymous: usize, make: fn(usize) -> T) -> Self {
        Self(Arc::new(Registry { each, anonymous, make, known: Mutex::default() }))
    }

    /// The share of a caller; none for all without a token.
    pub(super) fn of(&self, caller: Option<&Principal>) -> Share<T> {
        let principal = caller.map(ToString::to_string).unwrap_or_default();
        let size = if caller.is_some() { self.0.each } else { self.0.anonymous };
        let of_agent = match caller {
            Some(Principal::Runtime(_, Narrowing { agent: Some(agent), .. })) => {
                Some((format!("{principal}\n{agent}"), size / AGENTS_PART))
            }
            Some(_) | None => None,
        };
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut level = |name: String, size| {
            let of = known.get(&name).and_then(Weak::upgrade).unwrap_or_else(|| {
                let made = Arc::new((self.0.make)(size));
                known.insert(name.clone(), Arc::downgrade(&made));
                made
            });
            Level { name, size, of }
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
        self.0.known.lock().unwrap().is_empty()
    }
}

struct Level<T> {
    name: String,
    size: usize,
    of: Arc<T>,
}

/// The share of one caller. It is forgotten when nobody holds it any more.
pub(super) struct Share<T> {
    /// The agent's, or else the principal's.
    narrowest: Level<T>,
    /// The principal's, where there is an agent's.
    wider: Option<Level<T>>,
    registry: Arc<Registry<T>>,
}

impl<T> Share<T> {
    /// The shares that every request of the caller counts to: an agent's first, then its
    /// principal's.
    pub(super) fn levels(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.narrowest).chain(&self.wider).map(|level| &*level.of)
    }

    /// The first of them.
    pub(super) fn narrowest(&self) -> &T {
        &self.narrowest.of
    }

    /// The size of the first of them.
    pub(super) fn size(&self) -> usize {
        self.narrowest.size
    }
}

impl<T> Drop for Share<T> {
    fn drop(&mut self) {
        let mut known = self.registry.known.lock().unwrap_or_else(PoisonError::into_inner);
        for level in std::iter::once(&self.narrowest).chain(&self.wider) {
            // Shares are handed out under this lock only.
            if Arc::strong_count(&level.of) == 1 {
                known.remove(&level.name);
            }
        }
    }
}
