//! When an answer leaves that must not tell a hidden object from a missing one. The vault does the
//! same work for both, but a row that is found takes some microseconds longer to read than one that
//! is not, and with enough questions that shows. So the answer waits for the next of a few fixed
//! instants, which hides every difference that does not reach from one into the next.

use crate::domain::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The time between the instants, counted from the operation's beginning: several times what the
/// work takes, so that nearly all answers leave at the first one, and short enough for a page that
/// a gateway puts together.
pub(super) const STEP: Duration = Duration::from_millis(20);

/// Whether an operation has met something that is hidden from the caller, or missing. Cheap to
/// clone.
#[derive(Clone, Default)]
pub(super) struct Concealment(Arc<AtomicBool>);

impl Concealment {
    /// Something is hidden or missing.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// As [`Self::note`], where an error may stand for that.
    pub(super) fn note_error(&self, error: &Error) {
        if may_conceal(error) {
            self.note();
        }
    }

    /// Notes how a change ended that was begun then; where its error may conceal something, waits for
    /// a step of its own. Changes of an operation are made one after another, and what each of them
    /// tells by its time would add up.
    pub(super) async fn pace_change(&self, error: &Error, began: Instant) {
        if may_conceal(error) {
            self.note();
            until_next_step(began).await;
        }
    }

    /// Waits until the operation that began then may be answered; whether it had to.
    pub(super) async fn wait(&self, began: Instant) -> bool {
        let conceals = self.0.load(Ordering::Relaxed);
        if conceals {
            until_next_step(began).await;
        }
        conceals
    }
}

fn may_conceal(error: &Error) -> bool {
    match error {
        Error::NotFound(_) | Error::Forbidden(_) | Error::RateLimited { .. } | Error::Unavailable { .. } => true,
        // Told only to those who may know of the object, or before anything is looked up.
        Error::InvalidInput { .. } | Error::Conflict(_) | Error::LimitExceeded { .. } | Error::Internal(_) => false,
    }
}

async fn until_next_step(began: Instant) {
    tokio::time::sleep_until(began + next_step(began.elapsed())).await;
}

fn next_step(elapsed: Duration) -> Duration {
    let steps = elapsed.as_nanos() / STEP.as_nanos() + 1;
    STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_refused_change_ends_at_a_step_of_its_own() {
        let concealment = Concealment::default();
        for (error, paced) in [(Error::NotFound("No such entry."), true), (Error::Conflict(String::new()), false)] {
            let began = Instant::now();
            concealment.pace_change(&error, began).await;
            assert_eq!(began.elapsed() >= STEP, paced, "{error:?}");
        }
    }

    #[test]
    fn an_answer_leaves_at_the_first_step_that_lies_ahead() {
        let ms = Duration::from_millis;
        for (elapsed, leaves) in
            [(ms(0), 20), (ms(1), 20), (Duration::from_micros(19_999), 20), (ms(20), 40), (ms(101), 120)]
        {
            assert_eq!(next_step(elapsed), ms(leaves), "{elapsed:?}");
        }
    }
}
