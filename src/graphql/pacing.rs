//! Delays answers that must not distinguish a hidden object from a missing one by their time.
//!
//! The vault does the same work for both, but reading a row that exists takes some microseconds
//! longer, and with enough requests the difference can be measured. So such an answer waits for the
//! next multiple of [`STEP`], which hides every difference that does not cross a multiple.

use crate::domain::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Answers are delayed to a multiple of this time since the operation began. It is several times
/// what the work takes, so nearly all answers leave at the first multiple, and short enough for a
/// page that a gateway assembles from several requests.
pub(super) const STEP: Duration = Duration::from_millis(20);

/// Whether an operation met an object that is hidden from the caller, or missing. Cheap to clone.
#[derive(Clone, Default)]
pub struct Concealment(Arc<AtomicBool>);

impl Concealment {
    /// Notes that an object is hidden or missing.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// As [`Self::note`], if the error may conceal an object.
    pub fn note_error(&self, error: &Error) {
        if may_conceal(error) {
            self.note();
        }
    }

    /// Delays a change that began at `began` to the next step, if its error may conceal an object.
    /// The changes of one operation run one after another, so each waits for a step of its own;
    /// otherwise their differences in time would add up.
    pub(super) async fn delay_failed_change(&self, error: &Error, began: Instant) {
        if may_conceal(error) {
            self.note();
            until_next_step(began).await;
        }
    }

    /// Waits until the operation that began at `began` may be answered. Returns whether it had to
    /// wait.
    pub async fn wait(&self, began: Instant) -> bool {
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
        // Only callers who may see the object get these, or they come before any lookup.
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
            concealment.delay_failed_change(&error, began).await;
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
