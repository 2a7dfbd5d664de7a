//! Notices: that entries are about to expire or due for rotation, and that somebody is refused in
//! bulk. `due` finds what is due and puts it into an outbox, once for each entry and threshold,
//! whichever server finds it; `outbox` delivers what waits there, and retries it.
//!
//! The outbox holds ids and instants alone. A message is made when it is sent, from the entry as it
//! is then, so an entry that was rotated or erased meanwhile is told to nobody. Messages hold no
//! values.

mod due;
mod outbox;

use super::keys::Installation;
use crate::domain::{Timestamp, text_enum};
use crate::measures::{Kind, declare};
use crate::store::Store;
use std::time::Duration;

const NOTICES: &str = "vault_notices_total";
const RESULTS: [&str; 4] = ["delivered", "failed", "given_up", "outdated"];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How many days before an entry expires or is due for rotation there is a notice.
const THRESHOLDS: [i32; 2] = [1, 7];

text_enum! {
    /// What a notice is about. The texts are those of messages, too.
    pub enum NoticeKind {
        /// An entry expires soon.
        EntryExpiring = "entry.expiring",
        /// The value of an entry is due for rotation.
        RotationDue = "entry.rotation_due",
        /// A caller was refused many times within an hour.
        AccessesRefused = "accesses.refused",
    }
}

/// Declares the metrics of notices.
pub(super) fn declare_metrics() {
    let kinds: Vec<&str> = NoticeKind::ALL.iter().map(|kind| kind.as_str()).collect();
    declare(
        Kind::Counter,
        NOTICES,
        "Attempts to deliver a notice: delivered, failed and to be repeated, given up, and outdated, which were not sent.",
        &[("kind", &kinds), ("result", &RESULTS)],
    );
}

/// Finds and delivers notices. Cheap to clone.
#[derive(Clone)]
pub struct Notices {
    store: Store,
    installation: Installation,
}

impl Notices {
    pub(super) fn new(installation: Installation) -> Self {
        Self { store: installation.store().clone(), installation }
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }
}

/// The smallest threshold that is reached, in days; none if it is too early.
fn threshold(due_at: Timestamp, now: Timestamp) -> Option<i32> {
    THRESHOLDS.into_iter().find(|days| due_at.minus(DAY * days.unsigned_abs()) <= now)
}
