//! Metrics in Prometheus' text format. Labels have fixed values: no id, name or other data of a
//! request becomes one.
//!
//! They have an address of their own, for monitoring only. Even so, no counter reveals whether
//! something exists that its caller may not see: requests with the same answer count the same.

use super::{dashboard, process, rest};
use crate::graphql;
use crate::measures::{Kind, declare, number};
use crate::vault::Vault;
use async_graphql::parser::types::OperationType;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Duration;

const REQUESTS: &str = "vault_http_requests_total";
const DURATION: &str = "vault_http_request_duration_seconds";
const OPERATIONS: &str = "vault_graphql_operations_total";
const UNWRITTEN: &str = "vault_unwritten_answer_bytes";
const BUILD: &str = "vault_build_info";

/// The routes of all addresses, and `other`.
const ROUTES: &[&str] = &[
    dashboard::PAGE,
    dashboard::ASSET,
    dashboard::CONFIG,
    dashboard::SIGN_IN,
    "/graphql",
    "/healthz",
    "/metrics",
    "/readyz",
    rest::OPENAPI,
    rest::SECRET,
    "other",
];
/// The statuses of answers; any other is counted as `other`.
const STATUSES: &[(u16, &str)] = &[
    (200, "200"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (410, "410"),
    (413, "413"),
    (414, "414"),
    (415, "415"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (503, "503"),
];
const OTHER: &str = "other";

/// Upper bounds of the durations' buckets, in seconds.
const BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The same for the decryption of one value, which takes microseconds.
const DECRYPT_BUCKETS: &[f64] = &[0.000_001, 0.000_002_5, 0.000_005, 0.000_01, 0.000_025, 0.000_1, 0.001, 0.01];
/// Upper bounds of the buckets of numbers of events.
const COUNT_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0];
/// How often measurements are aggregated; otherwise they would pile up until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// The one recorder of the process, for all servers in it; none when another library has installed
/// its own.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let of = |name: &str| Matcher::Full(name.to_owned());
    PrometheusBuilder::new()
        .set_buckets(BUCKETS)?
        .set_buckets_for_metric(of("vault_decrypt_duration_seconds"), DECRYPT_BUCKETS)?
        .set_buckets_for_metric(of("vault_audit_commit_events"), COUNT_BUCKETS)
}

fn recorder() -> Option<&'static PrometheusHandle> {
    let installed = RECORDER.get_or_init(|| {
        let handle = builder().and_then(PrometheusBuilder::install_recorder);
        let handle = handle
            .inspect_err(
                |error| tracing::error!(%error, "the metrics recorder cannot be installed; /metrics will answer 503"),
            )
            .ok()?;
        declare_metrics();
        Some(handle)
    });
    installed.as_ref()
}

fn declare_metrics() {
    let statuses: Vec<&str> = STATUSES.iter().map(|(_, text)| *text).chain([OTHER]).collect();
    declare(
        Kind::Counter,
        REQUESTS,
        "HTTP requests that were answered, by route and status.",
        &[("route", ROUTES), ("status", &statuses)],
    );
    declare(Kind::Histogram, DURATION, "How long HTTP requests took, by route.", &[("route", ROUTES)]);
    declare(
        Kind::Counter,
        OPERATIONS,
        "GraphQL operations that were executed, by kind.",
        &[("kind", &[QUERY, MUTATION])],
    );
    declare(Kind::Gauge, UNWRITTEN, "Bytes reserved for answers that are not written yet.", &[]);
    declare(Kind::Gauge, BUILD, "1, with the version of the program.", &[("version", &[env!("CARGO_PKG_VERSION")])]);
    metrics::gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    process::declare_metrics();
    graphql::declare_metrics();
    crate::vault::declare_metrics();
    crate::trace::declare_metrics();
}

const QUERY: &str = "query";
const MUTATION: &str = "mutation";

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

/// Answers `/metrics`. Only what this process knows by itself is read now.
pub(super) async fn page(State(vault): State<Vault>) -> Response {
    match recorder() {
        Some(handle) => {
            process::measure();
            vault.gauges().measure_pools();
            ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "no metrics\n").into_response(),
    }
}

pub(super) fn count_request(route: &'static str, status: StatusCode, took: Duration) {
    let status = STATUSES.iter().find(|(known, _)| *known == status.as_u16()).map_or(OTHER, |(_, text)| *text);
    metrics::counter!(REQUESTS, "route" => route, "status" => status).increment(1);
    metrics::histogram!(DURATION, "route" => route).record(took);
}

pub(super) fn count_operation(kind: OperationType) {
    let kind = match kind {
        OperationType::Query => QUERY,
        OperationType::Mutation => MUTATION,
        // The schema has none.
        OperationType::Subscription => return,
    };
    metrics::counter!(OPERATIONS, "kind" => kind).increment(1);
}

pub(super) fn set_unwritten(bytes: usize) {
    metrics::gauge!(UNWRITTEN).set(number(bytes));
}
