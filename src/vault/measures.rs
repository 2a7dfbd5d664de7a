//! The metrics of what the vault does. None tells whether something exists that a caller may not
//! see: what gets the same answer is counted the same.

use crate::domain::{Error, ErrorCode, Purpose, SecretOutcome};
use crate::measures::{Kind, declare, number};
use std::time::Instant;

const RESOLVED: &str = "vault_resolved_names_total";
const DECRYPT: &str = "vault_decrypt_duration_seconds";
const UNAUTHENTIC: &str = "vault_unauthentic_rows_total";
const DENIALS: &str = "vault_denials_total";
const LIMITED: &str = "vault_rate_limited_total";
const EVENTS: &str = "vault_audit_events_total";
const COMMITS: &str = "vault_audit_commits_total";
const COMMIT_EVENTS: &str = "vault_audit_commit_events";
const NOT_RECORDED: &str = "vault_audit_failures_total";
const OUTBOX_SET_ASIDE: &str = "vault_outbox_set_aside";
const HEAD_SIGNED: &str = "vault_audit_head_timestamp_seconds";

/// The codes of denials.
const DENIED: [&str; 3] =
    [ErrorCode::Forbidden.as_str(), ErrorCode::NotFound.as_str(), ErrorCode::RateLimited.as_str()];

/// Declares the metrics.
pub(super) fn declare_metrics() {
    let outcomes: Vec<&str> = SecretOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    let purposes: Vec<&str> = Purpose::ALL.iter().map(|purpose| purpose.as_str()).collect();
    declare(
        Kind::Counter,
        RESOLVED,
        "Names that were answered to runtimes, by outcome and purpose.",
        &[("outcome", &outcomes), ("purpose", &purposes)],
    );
    declare(Kind::Histogram, DECRYPT, "How long it took to decrypt one value for release.", &[]);
    declare(
        Kind::Counter,
        UNAUTHENTIC,
        "Times that a row or value failed authentication, or was missing: the database is damaged, or was changed by hand.",
        &[],
    );
    declare(
        Kind::Counter,
        DENIALS,
        "Calls that were denied, by the code of the denial; whether the thing asked for exists makes no difference.",
        &[("code", &DENIED)],
    );
    declare(
        Kind::Counter,
        LIMITED,
        "Calls that were answered with RATE_LIMITED, since their caller was denied, or resolves, too often.",
        &[],
    );
    declare(
        Kind::Counter,
        EVENTS,
        "Uses and denials that were recorded; a denial counts the same whatever exists of what was asked for.",
        &[],
    );
    declare(Kind::Counter, COMMITS, "Commits by which they were recorded.", &[]);
    declare(Kind::Histogram, COMMIT_EVENTS, "Number of uses and denials in one commit.", &[]);
    declare(
        Kind::Counter,
        NOT_RECORDED,
        "Calls that could not be recorded, so that nothing was released or changed.",
        &[],
    );
    declare(
        Kind::Gauge,
        OUTBOX_SET_ASIDE,
        "Changes of permissions that cannot be applied and are set aside; `project-vault outbox list` shows them.",
        &[],
    );
    declare(
        Kind::Gauge,
        HEAD_SIGNED,
        "When this server last saw to it that the audit chains' ends are signed, since the Unix epoch; 0 before the first time.",
        &[],
    );
}

/// Counts a name that was answered to a runtime.
pub(super) fn count_resolved(outcome: SecretOutcome, purpose: Purpose) {
    metrics::counter!(RESOLVED, "outcome" => outcome.as_str(), "purpose" => purpose.as_str()).increment(1);
}

/// Records the decryption of a value that began then.
pub(super) fn record_decrypt(began: Instant) {
    // The text of `DECRYPT`; a literal, so that the key is static.
    metrics::histogram!("vault_decrypt_duration_seconds").record(began.elapsed());
}

/// Counts a row or value that fails authentication, or that its project lists and nobody finds.
pub(super) fn count_unauthentic() {
    metrics::counter!(UNAUTHENTIC).increment(1);
}

/// Counts a denial.
pub(super) fn count_denial(refusal: &Error) {
    metrics::counter!(DENIALS, "code" => refusal.code().as_str()).increment(1);
}

/// Counts a call that is answered with RATE_LIMITED.
pub(super) fn count_limited() {
    metrics::counter!(LIMITED).increment(1);
}

/// Counts a commit of this many uses and denials. A commit of summed up repetitions has none, since
/// each was counted when it happened.
pub(super) fn count_recorded(events: u64) {
    if events > 0 {
        metrics::counter!(COMMITS).increment(1);
        metrics::counter!(EVENTS).increment(events);
        metrics::histogram!(COMMIT_EVENTS).record(number(events));
    }
}

/// Counts a call that could not be recorded, if it has any uses or denials.
pub(super) fn count_not_recorded(events: u64) {
    if events > 0 {
        metrics::counter!(NOT_RECORDED).increment(1);
    }
}

/// Sets the number of changes of permissions that are set aside.
pub(super) fn note_set_aside(changes: i64) {
    metrics::gauge!(OUTBOX_SET_ASIDE).set(number(changes));
}

/// Notes that the ends of the chains are signed at this time, in seconds since the Unix epoch.
pub(super) fn note_head(seconds: i64) {
    #[allow(clippy::cast_precision_loss, reason = "whole seconds of the next million years are exact")]
    metrics::gauge!(HEAD_SIGNED).set(seconds as f64);
}
