//! Metrics in Prometheus' text format. Labels have fixed values: no id, name or other data of a
//! request becomes one.
//!
//! They have an address of their own, for monitoring only. Even so, no counter reveals whether
//! something exists that its caller may not see: requests with the same answer count the same.

use async_graphql::parser::types::OperationType;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Duration;

const REQUESTS: &str = "vault_http_requests_total";
const DURATION: &str = "vault_http_request_duration_seconds";
const OPERATIONS: &str = "vault_graphql_operations_total";
const UNWRITTEN: &str = "vault_unwritten_answer_bytes";

/// Upper bounds of the durations' buckets, in seconds.
const BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// How often measurements are aggregated; otherwise they would pile up until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// The one recorder of the process, for all servers in it; none when another library has installed
/// its own.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

fn recorder() -> Option<&'static PrometheusHandle> {
    let installed = RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(BUCKETS);
        let handle = builder.and_then(PrometheusBuilder::install_recorder);
        let handle = handle
            .inspect_err(
                |error| tracing::error!(%error, "the metrics recorder cannot be installed; /metrics will answer 503"),
            )
            .ok()?;
        metrics::describe_counter!(REQUESTS, "Requests that were answered, by route and status.");
        metrics::describe_histogram!(DURATION, "How long requests took, by route.");
        metrics::describe_counter!(OPERATIONS, "GraphQL operations that were executed, by kind.");
        metrics::describe_gauge!(UNWRITTEN, "Bytes reserved for answers that are not written yet.");
        metrics::describe_counter!(
            "vault_audit_events_total",
            "Uses and denials that were recorded; a denial counts the same whatever exists of what was asked for."
        );
        metrics::describe_counter!(
            "vault_authorizer_shed_total",
            "Batches of permission checks that were refused because they waited 10 seconds for OpenFGA."
        );
        metrics::describe_counter!("vault_audit_commits_total", "Commits by which they were recorded.");
        Some(handle)
    });
    installed.as_ref()
}

/// Installs the recorder, unless it is installed already.
pub(super) fn install() {
    recorder();
}

/// Aggregates measurements periodically, until dropped.
pub(super) async fn keep_up() {
    loop {
        tokio::time::sleep(UPKEEP).await;
        if let Some(handle) = recorder() {
            handle.run_upkeep();
        }
    }
}

/// Answers `/metrics`.
pub(super) async fn page() -> Response {
    match recorder() {
        Some(handle) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no metrics\n").into_response(),
    }
}

pub(super) fn count_request(route: &'static str, status: StatusCode, took: Duration) {
    metrics::counter!(REQUESTS, "route" => route, "status" => status.as_u16().to_string()).increment(1);
    metrics::histogram!(DURATION, "route" => route).record(took.as_secs_f64());
}

pub(super) fn count_operation(kind: OperationType) {
    let kind = match kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    };
    metrics::counter!(OPERATIONS, "kind" => kind).increment(1);
}

pub(super) fn set_unwritten(bytes: usize) {
    metrics::gauge!(UNWRITTEN).set(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)));
}
