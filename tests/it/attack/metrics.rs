//! The counters do not tell hidden things from missing ones.

use crate::support::{Backend, Installation, World, entry, user};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use project_vault::domain::Error;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Builder;
use uuid::Uuid;

/// Gauges that background jobs set, or the state of the process.
const STATES: [&str; 7] = [
    "process_",
    "vault_ready",
    "vault_outbox_",
    "vault_entries_",
    "vault_data_keys",
    "vault_audit_head_",
    "vault_database_connection",
];

/// Every series with its value, but how long things took, and states.
fn series(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = lines.map(|line| line.rsplit_once(' ').unwrap());
    let is_time = |name: &str| name.contains("duration") && !name.contains("_count") || name.contains("quantile");
    let lines = lines.filter(|(name, _)| !is_time(name) && !STATES.iter().any(|state| name.starts_with(state)));
    lines.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// By how much each series has changed.
fn change(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let changed = after.iter().map(|(name, value)| (name.clone(), value - before.get(name).unwrap_or(&0.0)));
    changed.filter(|(_, by)| *by != 0.0).collect()
}

/// Runs a test on threads that have counters of their own, apart from those of other tests.
fn counted<T: Future<Output = ()>>(test: impl FnOnce(PrometheusHandle) -> T) {
    let recorder: &'static _ = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
    // They end with the test.
    let record = move || std::mem::forget(::metrics::set_default_local_recorder(recorder));
    record();
    let mut runtime = Builder::new_multi_thread();
    runtime.enable_all().worker_threads(2).on_thread_start(record);
    let test = async { tokio::time::timeout(Duration::from_secs(60), test(recorder.handle())).await };
    runtime.build().unwrap().block_on(test).expect("the test ends in a minute");
}

fn code<T>(refused: Result<T, Error>) -> &'static str {
    refused.err().expect("a refusal").code().as_str()
}

/// Somebody who sees nothing asks for a hidden thing and for none at all: once, again within the
/// minute, after it, and when what was repeated is summed up.
async fn no_counter_tells_hidden_from_missing(backend: Backend, counters: PrometheusHandle) {
    let world = World::new(backend).await;
    world.demo().await;
    let vault = &world.vault;
    let made = vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
    let mallory = user("mallory");
    let targets = [
        (made.id.to_string(), "demo", "demo-launch"),
        (Uuid::now_v7().to_string(), "no-such-project", "no-such-milestone"),
    ];
    let mut changes = [(); 2].map(|()| Vec::new());
    for (index, (id, project, milestone)) in targets.iter().enumerate() {
        for round in 0..5 {
            let before = series(&counters.render());
            let new = || {
                let new = entry("TOKEN", "v");
                project_vault::vault::NewEntry { project: (*project).to_owned(), ..new }
            };
            assert_eq!(code(vault.entries().disable(&mallory, id.clone()).await), "NOT_FOUND");
            assert_eq!(code(vault.entries().create(&mallory, new()).await), "NOT_FOUND");
            assert_eq!(code(vault.milestones().close(&mallory, (*milestone).to_owned()).await), "NOT_FOUND");
            changes[index].push(change(&before, &series(&counters.render())));
            if round == 2 {
                world.clock.advance(Duration::from_secs(61));
            }
        }
        let before = series(&counters.render());
        world.clock.advance(Duration::from_secs(61));
        vault.audit().record_repeated_denials(false).await.unwrap();
        changes[index].push(change(&before, &series(&counters.render())));
    }
    assert_eq!(changes[0], changes[1], "of what is hidden, and of what does not exist");
    assert_eq!(changes[0][0]["vault_audit_events_total"], 3.0);
    let summed_up = world.number("SELECT count(*) AS n FROM audit_events WHERE actor = 'user:mallory' AND count > 1");
    assert!(summed_up.await > 0, "repetitions were summed up");
}

mod no_counter_tells_hidden_from_missing {
    use crate::support::Backend;

    #[test]
    fn sqlite() {
        super::counted(|counters| super::no_counter_tells_hidden_from_missing(Backend::Sqlite, counters));
    }

    #[test]
    fn postgres() {
        super::counted(|counters| super::no_counter_tells_hidden_from_missing(Backend::Postgres, counters));
    }
}

/// The same, read from the page of a server of which nobody else asks anything.
async fn the_page_of_metrics_tells_hidden_from_missing_by_nothing(backend: Backend) {
    let it = Installation::new(backend).await;
    let log = it.file("log");
    let server = it.serve("info", &log).await;
    it.add_demo(&server).await;
    let create = "mutation { createVaultEntry(input: { projectId: \"demo\", name: \"TOKEN\", value: \"v\", category: SECRET }) { entry { id } } }";
    let made = it.ask(&server, "user:alice", create, json!({})).await.unwrap();
    let hidden = made["data"]["createVaultEntry"]["entry"]["id"].as_str().unwrap().to_owned();
    let missing = Uuid::now_v7().to_string();
    let disable = "mutation($id: ID!) { disableVaultEntry(id: $id) { userErrors { code message } } }";
    let read = "query($id: ID!) { vaultEntry(id: $id) { id } }";
    // What a scrape does to the page is the same each time, but for the first.
    server.metrics().await;
    // Background jobs ask these, too.
    const OF_JOBS: [&str; 3] = ["vault_database_", "vault_authorizer_", "vault_key_provider_"];
    let counted = |page: &str| {
        let mut series = series(page);
        series.retain(|name, _| !OF_JOBS.iter().any(|of_jobs| name.starts_with(of_jobs)));
        series
    };
    let mut changes = Vec::new();
    for id in [&hidden, &missing, &hidden, &missing] {
        for document in [disable, read] {
            let before = counted(&server.metrics().await);
            let answer = it.ask(&server, "user:mallory", document, json!({ "id": id })).await.unwrap();
            let found = answer["data"]["disableVaultEntry"]["userErrors"][0]["code"].as_str();
            assert!(found == Some("NOT_FOUND") || answer == json!({ "data": { "vaultEntry": null } }), "{answer}");
            changes.push(change(&before, &counted(&server.metrics().await)));
        }
    }
    let (first, again) = changes.split_at(4);
    for round in [first, again] {
        assert_eq!(round[..2], round[2..], "of what is hidden, and of what does not exist");
    }
    assert_eq!(first[0]["vault_audit_events_total"], 1.0);
    for url in [&server.url, &server.metrics_url] {
        let status = reqwest::get(format!("{url}/metrics")).await.unwrap().status();
        assert_eq!(status.is_success(), *url == server.metrics_url, "only its own address has metrics");
    }
    drop(server);
    // The log is the same but for ids and times.
    let log = std::fs::read_to_string(log).unwrap();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    assert!(said.is_empty(), "{said:?}");
}

on_both! { the_page_of_metrics_tells_hidden_from_missing_by_nothing }
