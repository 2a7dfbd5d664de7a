//! The metrics of the authorizer.

use crate::domain::Result;
use crate::measures::{Kind, declare};
use std::time::Instant;

const DURATION: &str = "vault_authorizer_duration_seconds";
const FAILURES: &str = "vault_authorizer_failures_total";
/// Counts the requests that were refused because they waited too long.
pub(super) const SHED: &str = "vault_authorizer_shed_total";

/// Declares the metrics of the authorizer.
pub fn declare_metrics() {
    declare(
        Kind::Histogram,
        DURATION,
        "How long the authorizer took to answer a request for permission checks, with the wait for its turn.",
        &[],
    );
    declare(Kind::Counter, FAILURES, "Requests for permission checks that the authorizer did not answer.", &[]);
    declare(
        Kind::Counter,
        SHED,
        "Requests for permission checks that were refused because they waited 10 seconds for OpenFGA.",
        &[],
    );
}

/// Records a request for permission checks that began then, and whether it was answered.
pub(super) fn record<T>(began: Instant, answers: &Result<T>) {
    // The text of `DURATION`; a literal, so that the key is static.
    metrics::histogram!("vault_authorizer_duration_seconds").record(began.elapsed());
    if answers.is_err() {
        metrics::counter!(FAILURES).increment(1);
    }
}
