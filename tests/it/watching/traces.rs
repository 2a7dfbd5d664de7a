//! Traces: what a collector receives, what never gets into it, and that its faults harm nothing.

use super::{page_when, series};
use crate::keys::transit::{StandIn, TOKEN};
use crate::support::{Backend, Collector, CollectorFault, Database, Installation, ReceivedSpan, Running};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const CALLER: &str = "00f067aa0ba902b7";
const RESOLVE: &str = "query Own_secret_name { resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", \
                       purpose: CODING_SESSION, names: [\"OWN_SECRET_NAME\"] }) { secrets { outcome value } } }";
const CREATE: &str = "mutation($v: String!) { createVaultEntry(input: { projectId: \"demo\", name: \"OWN_SECRET_NAME\", \
                      value: $v, category: SECRET }) { entry { id } userErrors { message } } }";
/// The attributes of spans: the whole list.
const ATTRIBUTES: [&str; 17] = [
    "db.operation.name",
    "db.system.name",
    "error.type",
    "graphql.operation.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "rpc.method",
    "rpc.response.status_code",
    "rpc.system.name",
    "url.template",
    "vault.authorizer.questions",
    "vault.graphql.root_fields",
    "vault.job",
    "vault.key_provider.operation",
    "vault.notice.kind",
    "vault.notice.result",
];

/// An installation whose servers send traces to a collector, with more settings.
async fn traced(backend: Backend, fault: CollectorFault, more: &[(&str, String)]) -> (Installation, Collector) {
    let collector = Collector::start(fault).await;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/", collector.url));
    let settings: Vec<_> = more.iter().cloned().chain([endpoint]).collect();
    (Installation::with(backend, Database::new(backend).await, &settings).await, collector)
}

/// A request of a trace that the caller began.
struct Sent<'a> {
    it: &'a Installation,
    server: &'a Running,
    trace: String,
    sampled: bool,
}

impl<'a> Sent<'a> {
    fn new(it: &'a Installation, server: &'a Running) -> Self {
        Self { it, server, trace: uuid::Uuid::now_v7().simple().to_string(), sampled: true }
    }

    fn traceparent(&self) -> String {
        format!("00-{}-{CALLER}-0{}", self.trace, u8::from(self.sampled))
    }

    fn with_trace(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.header("traceparent", self.traceparent()).header("tracestate", "own=OWN_SECRET_NAME")
    }

    async fn graphql(&self, who: &str, query: &str, variables: Value) -> Value {
        let request = reqwest::Client::new().post(format!("{}/graphql", self.server.url));
        let request =
            self.with_trace(request).bearer_auth(self.it.token(who)).header("x-request-id", "OWN_SECRET_NAME");
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    async fn rest(&self, token: &str, name: &str) -> u16 {
        let url = format!("{}/v1/projects/demo/agents/builder/secrets/{name}", self.server.url);
        let request = self.with_trace(reqwest::Client::new().get(url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }

    /// The spans of the trace, once the span of the request is there. Each belongs to another one of
    /// them, the request's to the caller's, and ends after it began.
    async fn spans(&self, collector: &Collector) -> Spans {
        let of_trace = |spans: &[ReceivedSpan]| -> Vec<_> {
            spans.iter().filter(|span| span.trace == self.trace).cloned().collect()
        };
        let spans = collector.spans_when(|spans| of_trace(spans).iter().any(|span| span.kind == 2)).await;
        let spans = of_trace(&spans);
        let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
        assert_eq!(ids.len(), spans.len(), "ids are unique");
        for span in &spans {
            assert!(if span.kind == 2 { span.parent == CALLER } else { ids.contains(&*span.parent) }, "{span:#?}");
            assert!(span.times.0 <= span.times.1, "{span:#?}");
        }
        Spans(spans)
    }
}

#[derive(Debug)]
struct Spans(Vec<ReceivedSpan>);

impl Spans {
    /// The names from the request's span down to each span, with the number of such spans.
    fn paths(&self) -> BTreeMap<String, usize> {
        let by_id: BTreeMap<&str, &ReceivedSpan> = self.0.iter().map(|span| (span.id.as_str(), span)).collect();
        let mut paths = BTreeMap::new();
        for mut span in &self.0 {
            let mut names = vec![span.name.as_str()];
            while let Some(parent) = by_id.get(span.parent.as_str()) {
                span = parent;
                names.insert(0, &span.name);
            }
            *paths.entry(names.join(" > ")).or_default() += 1;
        }
        paths
    }

    #[track_caller]
    fn has(&self, paths: &[&str]) {
        let found = self.paths();
        for path in paths {
            assert!(found.contains_key(*path), "{path:?} is not in {found:#?}");
        }
    }

    #[track_caller]
    fn named(&self, name: &str) -> &ReceivedSpan {
        let mut named = self.0.iter().filter(|span| span.name == name);
        named.next().unwrap_or_else(|| panic!("no {name:?} in {:#?}", self.paths()))
    }
}

fn attribute<'a>(span: &'a ReceivedSpan, name: &str) -> &'a str {
    span.attributes.get(name).map_or("", String::as_str)
}

async fn a_trace_is_the_tree_of_what_a_request_did(backend: Backend) {
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t0ken,x-tenant=vault".to_owned());
    let resource = ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=te%20st".to_owned());
    let name = ("OTEL_SERVICE_NAME", "vault-under-test".to_owned());
    let (it, collector) = traced(backend, CollectorFault::None, &[headers, resource, name]).await;
    let server = it.serve("info", &it.file("log")).await;
    it.add_demo(&server).await;

    let change = Sent::new(&it, &server);
    let made = change.graphql("user:alice", CREATE, json!({ "v": "a value" })).await;
    assert_eq!(made["data"]["createVaultEntry"]["userErrors"], json!([]), "{made}");
    let change = change.spans(&collector).await;
    let operation = "POST /graphql > mutation createVaultEntry";
    change.has(&["POST /graphql", operation, &format!("{operation} > BEGIN"), &format!("{operation} > COMMIT")]);
    change.has(&[&format!("{operation} > authorize"), &format!("{operation} > insert_entry_row")]);
    let served = change.named("POST /graphql");
    assert_eq!((served.kind, served.status, attribute(served, "http.route")), (2, 0, "/graphql"));
    assert_eq!(attribute(served, "http.request.method"), "POST");
    assert_eq!(attribute(served, "http.response.status_code"), "200");
    let statement = change.named("insert_entry_row");
    let system = if backend == Backend::Sqlite { "sqlite" } else { "postgresql" };
    assert_eq!((statement.kind, attribute(statement, "db.system.name")), (3, system));
    assert_eq!(attribute(statement, "db.operation.name"), "insert_entry_row");

    let resolve = Sent::new(&it, &server);
    let answer = resolve.graphql("runtime:acme-runtime", RESOLVE, json!({})).await;
    assert_eq!(answer["data"]["resolveSecrets"]["secrets"][0]["value"], "a value", "{answer}");
    let resolve = resolve.spans(&collector).await;
    let resolving = "POST /graphql > query resolveSecrets > resolve";
    resolve.has(&[resolving, &format!("{resolving} > authorize"), &format!("{resolving} > candidates")]);
    let recording = format!("{resolving} > record events");
    resolve.has(&[&format!("{recording} > insert_events")]);
    // PostgreSQL commits that statement by itself.
    let committing = if backend == Backend::Sqlite { "COMMIT" } else { "insert_events" };
    for statement in ["BEGIN", "COMMIT"] {
        let is_there = resolve.paths().contains_key(&format!("{recording} > {statement}"));
        assert_eq!(is_there, backend == Backend::Sqlite, "{statement}");
    }
    assert_eq!(attribute(resolve.named("query resolveSecrets"), "vault.graphql.root_fields"), "resolveSecrets");
    let method = "openfga.v1.OpenFGAService/BatchCheck";
    match backend {
        Backend::Sqlite => assert!(!resolve.paths().keys().any(|path| path.contains(method))),
        Backend::Postgres => {
            resolve.has(&[&format!("{resolving} > authorize > {method}")]);
            let call = resolve.named(method);
            assert_eq!(
                (call.kind, attribute(call, "rpc.system.name"), attribute(call, "rpc.method")),
                (3, "grpc", method)
            );
            assert_eq!(attribute(call, "rpc.response.status_code"), "OK");
        }
    }

    let rest = Sent::new(&it, &server);
    assert_eq!(rest.rest(&it.token("runtime:acme-runtime"), "OWN_SECRET_NAME").await, 200);
    let route = "GET /v1/projects/{project}/agents/{agent}/secrets/{name}";
    let rest = rest.spans(&collector).await;
    rest.has(&[
        route,
        &format!("{route} > resolve > candidates"),
        &format!("{route} > resolve > record events > {committing}"),
    ]);

    // A refused request, a denial, and a document that is none.
    let refused = Sent::new(&it, &server);
    assert_eq!(refused.rest("no-token", "OWN_SECRET_NAME").await, 401);
    let span = refused.spans(&collector).await;
    let served = span.named(route);
    assert_eq!((attribute(served, "error.type"), served.status), ("UNAUTHENTICATED", 0));
    let denied = Sent::new(&it, &server);
    denied.graphql("user:mallory", RESOLVE, json!({})).await;
    let spans = denied.spans(&collector).await;
    for name in ["query resolveSecrets", "resolve"] {
        assert_eq!((attribute(spans.named(name), "error.type"), spans.named(name).status), ("FORBIDDEN", 0));
    }
    spans.has(&[&format!("POST /graphql > query resolveSecrets > resolve > record events > {committing}")]);
    let garbled = Sent::new(&it, &server);
    garbled.graphql("user:alice", "{ OWN_SECRET_NAME ", json!({})).await;
    let spans = garbled.spans(&collector).await;
    assert_eq!(attribute(spans.named("POST /graphql"), "error.type"), "GRAPHQL_PARSE_FAILED");

    // Jobs begin traces of their own.
    let spans = collector.spans_when(|spans| spans.iter().any(|span| span.name == "applying tuple changes")).await;
    let job = spans.iter().find(|span| span.name == "applying tuple changes").unwrap();
    assert_eq!((job.parent.as_str(), attribute(job, "vault.job")), ("", "applying tuple changes"));
    assert!(spans.iter().any(|span| span.parent == job.id && attribute(span, "db.system.name") == system));
    let roots = spans.iter().filter(|span| span.parent.is_empty());
    let unexpected: Vec<_> = roots.filter(|span| span.kind != 2 && attribute(span, "vault.job").is_empty()).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");

    let heads = collector.heads();
    assert!(heads.iter().all(|(path, head)| path == "/v1/traces" && head.contains("Bearer t0ken")), "{heads:?}");
    assert!(heads[0].1.contains("application/x-protobuf") && heads[0].1.contains("x-tenant"), "{heads:?}");
    let resource = collector.resource();
    assert_eq!((&*resource["service.name"], &*resource["deployment.environment.name"]), ("vault-under-test", "te st"));
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
}

/// What is searched for: names, ids and texts of callers, and tokens.
async fn nothing_of_callers_and_entries_is_in_a_trace(backend: Backend) {
    let (it, collector) = traced(backend, CollectorFault::None, &[]).await;
    let log = it.file("log");
    let mut server = it.serve("trace", &log).await;
    it.add_demo(&server).await;
    let value = "own-secret-value-0123456789";
    let sent = Sent::new(&it, &server);
    let made = sent.graphql("user:alice", CREATE, json!({ "v": value })).await;
    let id = made["data"]["createVaultEntry"]["entry"]["id"].as_str().unwrap().to_owned();
    let rotate = "mutation($e: ID!, $v: String!) { OWN_SECRET_NAME: rotateVaultEntry(input: { id: $e, value: $v }) \
                  { userErrors { message } } }";
    let rotated = sent.graphql("user:alice", rotate, json!({ "e": id, "v": format!("{value}-2") })).await;
    assert_eq!(rotated["data"]["OWN_SECRET_NAME"]["userErrors"], json!([]));
    for who in ["runtime:acme-runtime", "user:mallory", "user:alice"] {
        for query in [
            RESOLVE,
            CREATE,
            "{ own_secret_name }",
            "{ own-secret-value ",
            "{ projectVault(projectId: \"demo\") { entries { nodes { name } } } }",
        ] {
            sent.graphql(who, query, json!({ "v": value })).await;
        }
        sent.rest(&it.token(who), "OWN_SECRET_NAME").await;
        sent.rest(&it.token(who), "own-secret-value").await;
    }
    sent.rest("own-secret-token", "OWN_SECRET_NAME").await;
    reqwest::get(format!("{}/own-secret-path?own-secret=1", server.url)).await.unwrap();
    // A row that fails authentication is an internal error.
    it.database.sql("UPDATE entries SET expires_at = 99999999999999").await.unwrap();
    let failed = sent.graphql("runtime:acme-runtime", RESOLVE, json!({})).await;
    assert_eq!(failed["errors"][0]["extensions"]["code"], "INTERNAL", "{failed}");
    let trace = sent.trace.clone();
    server.stop().await;
    // The log is as it is without traces.
    let log = std::fs::read_to_string(log).unwrap();
    let line = log.lines().find(|line| line.contains("fails authentication")).unwrap();
    assert!(line.contains("request_id=") && line.contains(&trace), "{line}");
    assert!(!log.contains("exported_traces") && !log.contains("otel."), "spans are not logged");

    let spans = collector.spans();
    let failed = spans.iter().filter(|span| attribute(span, "error.type") == "INTERNAL");
    let failed: BTreeSet<_> = failed.map(|span| (span.name.as_str(), span.status)).collect();
    assert_eq!(failed, BTreeSet::from([("query resolveSecrets", 2), ("resolve", 2)]));
    let attributes: BTreeSet<&str> = spans.iter().flat_map(|span| span.attributes.keys()).map(String::as_str).collect();
    let more: Vec<_> = attributes.iter().filter(|name| !ATTRIBUTES.contains(name)).collect();
    assert!(more.is_empty(), "{more:?} are not in the list");
    let bytes = String::from_utf8_lossy(&collector.bytes()).to_lowercase();
    let token = it.token("user:alice");
    let (head, _) = token.split_once('.').unwrap();
    for text in ["own_secret", "own-secret", "alice", "mallory", "acme", "demo", "builder", "eyj", head, &id] {
        assert!(!bytes.contains(&text.to_lowercase()), "{text} is in a trace");
    }
}

/// The caller's flag decides, and each request that is not exported is as without traces.
async fn a_trace_that_the_caller_does_not_record_is_not_sent(backend: Backend) {
    let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_always_off".to_owned());
    let (it, collector) = traced(backend, CollectorFault::None, &[sampler]).await;
    let mut server = it.serve("info", &it.file("log")).await;
    it.add_demo(&server).await;
    let unsampled = Sent { sampled: false, ..Sent::new(&it, &server) };
    let sampled = Sent::new(&it, &server);
    for sent in [&unsampled, &sampled] {
        sent.graphql("user:alice", "{ projectVault(projectId: \"demo\") { status } }", json!({})).await;
    }
    let wanted = sampled.trace.clone();
    server.stop().await;
    let traces: BTreeSet<_> = collector.spans().into_iter().map(|span| span.trace).collect();
    assert_eq!(traces, BTreeSet::from([wanted]), "no other request, and no job");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_another_server_carries_the_id_of_its_exported_span() {
    let engine = StandIn::start().await;
    let transit = [
        ("VAULT_KEY_PROVIDER", "transit".to_owned()),
        ("VAULT_TRANSIT_URL", engine.url.clone()),
        ("VAULT_TRANSIT_KEY", "project-vault".to_owned()),
        ("VAULT_TRANSIT_TOKEN", TOKEN.to_owned()),
    ];
    let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_always_off".to_owned());
    let settings: Vec<_> = transit.into_iter().chain([sampler]).collect();
    let (it, collector) = traced(Backend::Sqlite, CollectorFault::None, &settings).await;
    let mut server = it.serve("off", &it.file("log")).await;
    it.add_demo(&server).await;
    let register = |project: &str| {
        format!(
            "mutation {{ registerProjectVault(input: {{ projectId: \"{project}\", participantIds: [\"acme\"], \
             accountableUserIds: [\"alice\"] }}) {{ userErrors {{ message }} }} }}"
        )
    };
    let (sampled, unsampled) = (Sent::new(&it, &server), Sent { sampled: false, ..Sent::new(&it, &server) });
    sampled.graphql("service:platform", &register("one"), json!({})).await;
    unsampled.graphql("service:platform", &register("two"), json!({})).await;
    let (traced, untraced) = (sampled.trace.clone(), unsampled.trace.clone());
    let spans = sampled.spans(&collector).await;
    let operation = "POST /graphql > mutation registerProjectVault";
    spans.has(&[&format!("{operation} > wrap key > POST encrypt")]);
    server.stop().await;
    let calls: BTreeSet<_> =
        spans.0.iter().filter(|span| !attribute(span, "url.template").is_empty()).map(|span| span.id.clone()).collect();
    let of = |trace: &str| -> Vec<String> {
        let begin = format!("00-{trace}-");
        engine.traces().iter().filter_map(|one| one.strip_prefix(&begin).map(str::to_owned)).collect()
    };
    let expected: BTreeSet<_> = calls.iter().map(|id| format!("{id}-01")).collect();
    assert_eq!(of(&traced).into_iter().collect::<BTreeSet<_>>(), expected);
    let untraced = of(&untraced);
    assert!(!untraced.is_empty() && untraced.iter().all(|rest| rest.ends_with("-00")), "{untraced:?}");
}

/// How long an answer may take beside a collector that fails.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const DROPPED: [&str; 2] = ["queue_full", "not_taken"];

fn dropped(series: &BTreeMap<String, f64>, reason: &str) -> f64 {
    series[&format!("vault_trace_spans_dropped_total{{reason=\"{reason}\"}}")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_fails_delays_nothing_and_its_spans_are_counted() {
    let (it, collector) = traced(Backend::Sqlite, CollectorFault::Hangs, &[]).await;
    for fault in [
        CollectorFault::Hangs,
        CollectorFault::Status(503),
        CollectorFault::Status(307),
        CollectorFault::Garbage,
        CollectorFault::Endless,
    ] {
        collector.set(fault);
        let log = it.file(&format!("log of {fault:?}"));
        let began = Instant::now();
        let mut server = it.serve("info", &log).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{fault:?} delays the start");
        for _ in 0..20 {
            let began = Instant::now();
            it.ask(&server, "user:alice", "{ projectVault(projectId: \"demo\") { status } }", json!({})).await.unwrap();
            assert!(began.elapsed() < ANSWER_LIMIT, "{fault:?} delays an answer");
        }
        if fault == CollectorFault::Garbage {
            // It took them, by its status.
            tokio::time::sleep(Duration::from_secs(3)).await;
            let page = series(&server.metrics().await);
            assert_eq!(DROPPED.map(|reason| dropped(&page, reason)), [0.0, 0.0]);
        } else {
            let page = page_when(&server, |page| dropped(page, "not_taken") > 0.0).await;
            assert_eq!(dropped(&page, "queue_full"), 0.0);
            let log = std::fs::read_to_string(&log).unwrap();
            assert_eq!(log.matches("the collector does not take spans").count(), 1, "{fault:?} is logged once:\n{log}");
        }
        let stopped = server.stop().await;
        assert!(stopped < Duration::from_secs(8), "{fault:?} delays the end: {stopped:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_beyond_the_queue_are_dropped_and_counted_until_the_collector_is_back() {
    let (it, collector) = traced(Backend::Sqlite, CollectorFault::Hangs, &[]).await;
    let log = it.file("log");
    let server = it.serve("info", &log).await;
    let client = reqwest::Client::new();
    let url = format!("{}/healthz", server.url);
    let mut slowest = Duration::ZERO;
    for _ in 0..60 {
        let requests = (0..100).map(|_| async {
            let began = Instant::now();
            client.get(&url).send().await.unwrap();
            began.elapsed()
        });
        slowest = slowest.max(futures::future::join_all(requests).await.into_iter().max().unwrap());
    }
    assert!(slowest < ANSWER_LIMIT, "{slowest:?}");
    let page = series(&server.metrics().await);
    assert!(dropped(&page, "queue_full") > 0.0, "more spans than fit in the queue");
    collector.set(CollectorFault::None);
    // What waited is sent, so there is room again.
    collector.spans_when(|spans| spans.len() > 4_000).await;
    let sent = Sent::new(&it, &server);
    sent.graphql("user:alice", "{ __typename }", json!({})).await;
    sent.spans(&collector).await.has(&["POST /graphql"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_and_stops_without_its_collector() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let it = Installation::new(Backend::Sqlite).await;
    let endpoint = format!("http://{closed}");
    let log = it.file("log");
    let mut server = it.serve_set(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)], &log).await;
    page_when(&server, |page| dropped(page, "not_taken") > 0.0).await;
    assert!(server.stop().await < Duration::from_secs(8));
}

on_both! {
    a_trace_is_the_tree_of_what_a_request_did,
    nothing_of_callers_and_entries_is_in_a_trace,
    a_trace_that_the_caller_does_not_record_is_not_sent,
}
