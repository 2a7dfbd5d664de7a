//! The metrics of key providers.

use crate::crypto::KeyringError;
use crate::measures::{Kind, declare};
use std::time::Instant;

const DURATION: &str = "vault_key_provider_duration_seconds";
const FAILURES: &str = "vault_key_provider_failures_total";
/// The values of the label `operation`.
const OPERATIONS: [&str; 2] = ["unwrap", "wrap"];

/// Declares the metrics of key providers.
pub fn declare_metrics() {
    let by_operation: [_; 1] = [("operation", &OPERATIONS[..])];
    declare(
        Kind::Histogram,
        DURATION,
        "How long the provider of the master keys took to wrap or unwrap a key.",
        &by_operation,
    );
    declare(
        Kind::Counter,
        FAILURES,
        "Keys that could not be wrapped or unwrapped: the provider did not answer, or the master key is missing or wrong.",
        &by_operation,
    );
}

/// Records what a provider was asked, which began then, and whether it failed.
pub(super) fn record<T>(operation: &'static str, began: Instant, done: &Result<T, KeyringError>) {
    metrics::histogram!(DURATION, "operation" => operation).record(began.elapsed());
    if done.is_err() {
        metrics::counter!(FAILURES, "operation" => operation).increment(1);
    }
}
