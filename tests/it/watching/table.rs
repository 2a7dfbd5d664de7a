//! The metrics of a fresh server, and what they count.

use super::prometheus::promtool;
use super::{documented, page_when, series};
use crate::support::{Backend, Installation};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The name and labels of a series such as `a_total{code="OK"}`.
fn parts(series: &str) -> (&str, BTreeSet<String>) {
    let Some((name, labels)) = series.split_once('{') else { return (series, BTreeSet::new()) };
    let labels = labels.trim_end_matches('}').split("\",").map(|label| label.split('=').next().unwrap().to_owned());
    (name, labels.collect())
}

async fn a_fresh_server_shows_every_documented_metric_and_no_other(backend: Backend) {
    let it = Installation::new(backend).await;
    let server = it.serve("info", &it.file("log")).await;
    let page = server.metrics().await;
    let word = |kind: &str| -> BTreeMap<String, String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix(&format!("# {kind} ")).map(str::to_owned));
        lines.map(|line| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.to_owned())).unwrap()).collect()
    };
    let (help, kinds, documented) = (word("HELP"), word("TYPE"), documented());
    assert!(documented.len() > 30, "{documented:?}");
    for (name, (kind, _)) in &documented {
        assert_eq!(kinds.get(name), Some(kind), "{name}");
        assert!(help.get(name).is_some_and(|text| text.len() > 5), "{name} has no HELP");
    }
    assert_eq!(kinds.keys().collect::<Vec<_>>(), documented.keys().collect::<Vec<_>>(), "all are documented");
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, value) in series(&page) {
        let (name, mut own) = parts(&name);
        let family = ["_bucket", "_sum", "_count"].into_iter().filter_map(|end| name.strip_suffix(end));
        let mut family = family.filter(|family| documented.get(*family).is_some_and(|(kind, _)| kind == "histogram"));
        let family = family.next_back().unwrap_or(name).to_owned();
        own.remove("le");
        labels.entry(family.clone()).or_default().extend(own);
        let is_failure = ["failures", "denials", "limited", "unauthentic", "shed", "resolved"];
        if is_failure.iter().any(|part| family.contains(part)) {
            assert_eq!(value, 0.0, "{name} of a fresh server");
        }
    }
    let expected: BTreeMap<String, BTreeSet<String>> =
        documented.into_iter().map(|(name, (_, labels))| (name, labels)).collect();
    assert_eq!(labels, expected, "the labels are those of the table");
    promtool(".", &["check", "metrics"], &page);
}

/// What happens is counted under the operation, and the code of its answer.
async fn what_is_asked_is_counted_by_its_answer(backend: Backend) {
    let it = Installation::new(backend).await;
    let server = it.serve("info", &it.file("log")).await;
    it.add_demo(&server).await;
    let soon = (chrono::Utc::now() + chrono::Duration::days(3)).to_rfc3339();
    let create = format!(
        "mutation {{ a: createVaultEntry(input: {{ projectId: \"demo\", name: \"TOKEN\", value: \"v\", category: SECRET, \
         expiresAt: \"{soon}\" }}) {{ entry {{ id }} userErrors {{ message }} }} }}"
    );
    let resolve = "query { resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", purpose: CODING_SESSION, \
                   names: [\"TOKEN\", \"MISSING\"] }) { secrets { outcome } } }";
    let before = series(&server.metrics().await);
    for (who, document) in [
        ("user:alice", create.as_str()),
        // The name is taken: an error in the payload.
        ("user:alice", create.as_str()),
        ("user:mallory", create.as_str()),
        ("runtime:acme-runtime", resolve),
        ("user:alice", resolve),
        (
            "user:alice",
            "query { projectVault(projectId: \"none\") { status } b: projectVault(projectId: \"demo\") { status } }",
        ),
        ("user:alice", "query { sk_live }"),
        ("user:alice", "no document"),
    ] {
        it.ask(&server, who, document, json!({})).await.unwrap();
    }
    let client = reqwest::Client::new();
    for (name, token) in [("TOKEN", "runtime:acme-runtime"), ("MISSING", "runtime:acme-runtime")] {
        let url = format!("{}/v1/projects/demo/agents/builder/secrets/{name}", server.url);
        client.get(url).bearer_auth(it.token(token)).send().await.unwrap();
    }
    client.post(format!("{}/graphql", server.url)).body("{}").send().await.unwrap();
    let after = series(&server.metrics().await);
    let change = |name: &str| after[name] - before[name];
    for (name, expected) in [
        ("vault_operations_total{operation=\"createVaultEntry\",code=\"OK\"}", 1.0),
        ("vault_operations_total{operation=\"createVaultEntry\",code=\"CONFLICT\"}", 1.0),
        ("vault_operations_total{operation=\"createVaultEntry\",code=\"NOT_FOUND\"}", 1.0),
        ("vault_operations_total{operation=\"resolveSecrets\",code=\"OK\"}", 1.0),
        ("vault_operations_total{operation=\"resolveSecrets\",code=\"FORBIDDEN\"}", 1.0),
        ("vault_operations_total{operation=\"projectVault\",code=\"OK\"}", 2.0),
        ("vault_operations_total{operation=\"none\",code=\"GRAPHQL_VALIDATION_FAILED\"}", 1.0),
        ("vault_operations_total{operation=\"none\",code=\"GRAPHQL_PARSE_FAILED\"}", 1.0),
        ("vault_operations_total{operation=\"none\",code=\"BAD_USER_INPUT\"}", 1.0),
        ("vault_operations_total{operation=\"GET secret\",code=\"OK\"}", 1.0),
        ("vault_operations_total{operation=\"GET secret\",code=\"NOT_FOUND\"}", 1.0),
        ("vault_resolved_names_total{outcome=\"RESOLVED\",purpose=\"CODING_SESSION\"}", 1.0),
        ("vault_resolved_names_total{outcome=\"NOT_FOUND\",purpose=\"CODING_SESSION\"}", 1.0),
        ("vault_denials_total{code=\"FORBIDDEN\"}", 1.0),
        ("vault_denials_total{code=\"NOT_FOUND\"}", 1.0),
        ("vault_decrypt_duration_seconds_count", 2.0),
        ("vault_http_requests_total{route=\"/graphql\",status=\"415\"}", 1.0),
    ] {
        assert_eq!(change(name), expected, "{name}");
    }
    for name in ["vault_authorizer_duration_seconds_count", "vault_database_statement_duration_seconds_count"] {
        assert!(change(name) > 0.0, "{name}");
    }
    assert!(
        after["vault_audit_commit_events_sum"] >= 4.0
            && after["vault_key_provider_duration_seconds_count{operation=\"unwrap\"}"] > 0.0
    );
    let used = |series: &BTreeMap<String, f64>, state| {
        series[&format!("vault_database_connections{{pool=\"main\",state=\"{state}\"}}")]
    };
    assert!(used(&after, "idle") + used(&after, "in_use") > 0.0);
    // An entry that its project lists and nobody finds.
    it.database.sql("UPDATE entries SET name = 'MOVED' WHERE name = 'TOKEN'").await.unwrap();
    it.ask(&server, "runtime:acme-runtime", resolve, json!({})).await.unwrap();
    assert_eq!(series(&server.metrics().await)["vault_unauthentic_rows_total"], 1.0);
    it.database.sql("UPDATE entries SET name = 'TOKEN' WHERE name = 'MOVED'").await.unwrap();
    // Another server counts what the database holds when it starts.
    let other = it.serve("info", &it.file("log")).await;
    let page = page_when(&other, |series| {
        series["vault_entries_expiring"] > 0.0
            && series["vault_data_keys{state=\"encrypting\"}"] > 0.0
            && ["database", "authorizer", "keyring"]
                .iter()
                .all(|part| series[&format!("vault_ready{{part=\"{part}\"}}")] > 0.0)
    })
    .await;
    assert_eq!((page["vault_entries_expiring"], page["vault_entries_expired"]), (1.0, 0.0));
    assert_eq!(page["vault_data_keys{state=\"encrypting\"}"], 1.0);
    for part in ["database", "keyring"] {
        assert_eq!(page[&format!("vault_ready{{part=\"{part}\"}}")], 1.0, "{part}");
    }
    page_when(&other, |series| series["vault_audit_head_timestamp_seconds"] > 0.0).await;
}

on_both! {
    a_fresh_server_shows_every_documented_metric_and_no_other,
    what_is_asked_is_counted_by_its_answer,
}
