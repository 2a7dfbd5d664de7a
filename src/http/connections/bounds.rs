//! The limits of connections.

use std::time::Duration;

/// The limits of the connections of one address.
#[derive(Clone, Copy)]
pub(in crate::http) struct Bounds {
    /// Maximum number of open connections; further ones wait to be accepted.
    pub(in crate::http) slots: usize,
    /// How long a connection may take until the headers of its first request have arrived.
    pub(in crate::http) first_request: Duration,
    /// The same for later requests, counted from the end of the one before.
    pub(in crate::http) next_request: Duration,
    /// The same while others wait for a slot.
    pub(in crate::http) when_full: Duration,
    /// How long a request without a verified caller may take to send its body, while others wait
    /// for a slot.
    pub(in crate::http) body_when_full: Duration,
    /// How long a peer may read nothing of an answer.
    pub(in crate::http) stall: Duration,
    /// Upper bound of `stall` and `slow` while unread answers hold much memory.
    pub(in crate::http) stall_under_pressure: Duration,
    /// The lowest rate at which a peer may read, in bytes per second. It applies to a full socket
    /// after `stall`, and to each answer after `slow`.
    pub(in crate::http) rate: u64,
    /// How long an answer may be read more slowly than `rate`.
    pub(in crate::http) slow: Duration,
    /// Maximum age of a connection.
    pub(in crate::http) age: Duration,
    /// How long running requests may take to finish once the connection is being closed.
    pub(in crate::http) grace: Duration,
    /// How long an idle connection that is being closed stays open, so that the peer can close it.
    pub(in crate::http) linger: Duration,
}

impl Bounds {
    /// The limits while unread answers hold much memory.
    pub(super) fn under_pressure(self) -> Self {
        let stall = self.stall.min(self.stall_under_pressure);
        Self { stall, slow: self.slow.min(stall), ..self }
    }

    /// How often to check whether a peer reads.
    pub(super) fn tick(&self) -> Duration {
        (self.stall / 4).min(Duration::from_secs(1))
    }
}
