//! Each alert fires when it should: by promtool's unit tests, and some at a real server with a fault.

use super::prometheus::{Prometheus, promtool};
use super::{documented, named};
use crate::support::{Backend, Gate, Installation, Running, openfga_url};
use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const FOLDER: &str = "docker/prometheus";

fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{FOLDER}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The alerts, as the file has them.
fn alerts() -> Vec<Value> {
    let rules: Value = serde_norway::from_str(&file("alerts.yaml")).unwrap();
    rules["groups"][0]["rules"].as_array().unwrap().clone()
}

fn names(alerts: &[Value]) -> BTreeSet<String> {
    alerts.iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_rules_are_valid_and_each_alert_is_tested_and_documented() {
    promtool(FOLDER, &["check", "rules", "alerts.yaml"], "");
    promtool(FOLDER, &["check", "config", "prometheus.yaml"], "");
    promtool(FOLDER, &["test", "rules", "alerts.test.yaml"], "");
    let alerts = alerts();
    let tests: Value = serde_norway::from_str(&file("alerts.test.yaml")).unwrap();
    let tested = tests["tests"].as_array().unwrap().iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap());
    let fired = tested.filter(|test| !test["exp_alerts"].as_array().unwrap().is_empty());
    let fired: BTreeSet<String> = fired.map(|test| test["alertname"].as_str().unwrap().to_owned()).collect();
    assert_eq!(fired, names(&alerts));
    let guide = include_str!("../../../docs/operators.md");
    let metrics = documented();
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(guide.contains(&format!("| `{name}` |")), "{name} is not in docs/operators.md");
        for metric in named(alert["expr"].as_str().unwrap()) {
            assert!(metrics.contains_key(&metric), "{name} names {metric}, which does not exist");
        }
    }
}

/// The file without the times that a condition has to last.
fn immediate_rules() -> String {
    file("alerts.yaml")
        .lines()
        .filter(|line| !line.trim().starts_with("for:"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// A server whose database and authorizer can be cut off, and what is asked of it.
struct Watched {
    it: Installation,
    server: Running,
    prometheus: Prometheus,
}

impl Watched {
    async fn resolve(&self, name: &str) {
        let document = format!(
            "query {{ resolveSecrets(input: {{ projectId: \"demo\", agentId: \"builder\", purpose: CODING_SESSION, \
             names: [\"{name}\"] }}) {{ secrets {{ outcome }} }} }}"
        );
        let _refused = self.it.ask(&self.server, "runtime:acme-runtime", &document, json!({})).await;
    }
}

async fn faults_fire_their_alerts(backend: Backend) {
    let it = Installation::new(backend).await;
    let server = it.serve("warn", &it.file("log")).await;
    it.add_demo(&server).await;
    let soon = (chrono::Utc::now() + chrono::Duration::days(3)).to_rfc3339();
    for (name, expires) in [("TOKEN", format!("expiresAt: \"{soon}\"")), ("OTHER", String::new())] {
        let create = format!(
            "mutation {{ createVaultEntry(input: {{ projectId: \"demo\", name: \"{name}\", value: \"v\", category: SECRET, \
             {expires} }}) {{ userErrors {{ message }} }} }}"
        );
        let made = it.ask(&server, "user:alice", &create, json!({})).await.unwrap();
        assert_eq!(made["data"]["createVaultEntry"]["userErrors"], json!([]), "{made}");
    }
    drop(server);

    let is_postgres = backend == Backend::Postgres;
    let (mut settings, mut gates) = (Vec::new(), Vec::new());
    if is_postgres {
        let openfga = Gate::to(&openfga_url()).await;
        let (head, rest) = it.database.url.split_once('@').unwrap();
        let (address, rest) = rest.split_once('/').unwrap();
        let database = Gate::to(&format!("http://{address}")).await;
        let url = format!("{head}@{}/{rest}", database.url.strip_prefix("http://").unwrap());
        settings = vec![("OPENFGA_URL", openfga.url.clone()), ("DATABASE_URL", url)];
        gates = vec![openfga, database];
    }
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = it.serve_set(&settings, &it.file("log")).await;
    let prometheus = Prometheus::watch(&server.metrics_url, &immediate_rules()).await;
    let mut watched = Watched { it, server, prometheus };

    watched.prometheus.fires(&["VaultEntriesExpiring"], async || {}).await;
    watched.resolve("TOKEN").await;
    let before = watched.prometheus.firing().await;
    let faults =
        ["VaultDenialsBurst", "VaultRowsUnauthentic", "VaultNotRecording", "VaultErrorBudgetFast", "VaultOutboxOld"];
    assert!(!before.iter().any(|alert| faults.contains(&alert.as_str())), "without a fault: {before:?}");

    let missing = "mutation { disableVaultEntry(id: \"none\") { userErrors { code } } }";
    watched
        .prometheus
        .fires(&["VaultDenialsBurst"], async || {
            for _ in 0..50 {
                watched.it.ask(&watched.server, "user:mallory", missing, json!({})).await;
            }
        })
        .await;

    let sql = async |statement: &str| watched.it.database.sql(statement).await.unwrap();
    sql("UPDATE entries SET category = 'OTHER' WHERE name = 'OTHER'").await;
    watched.prometheus.fires(&["VaultRowsUnauthentic"], async || watched.resolve("OTHER").await).await;

    let (refuse, undo): (&[&str], &str) = if is_postgres {
        (
            &[
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room'; END $$",
                "CREATE TRIGGER refuse BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse()",
            ],
            "DROP TRIGGER refuse ON audit_events",
        )
    } else {
        (
            &["CREATE TRIGGER refuse BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'no room'); END"],
            "DROP TRIGGER refuse",
        )
    };
    for statement in refuse {
        sql(statement).await;
    }
    watched.prometheus.fires(&["VaultNotRecording"], async || watched.resolve("TOKEN").await).await;
    sql(undo).await;

    if let [openfga, database] = &gates[..] {
        openfga.shut();
        let bytes = "decode('00', 'hex')";
        sql(&format!("INSERT INTO outbox (lane, change, mac, created_at) VALUES ('project:demo', '{{}}', {bytes}, 0)"))
            .await;
        let expected = [
            "VaultNotReady",
            "VaultAuthorizerFailing",
            "VaultErrorBudgetFast",
            "VaultOutboxOld",
            "VaultChangesSetAside",
        ];
        watched
            .prometheus
            .fires(&expected, async || drop(join_all((0..5).map(|_| watched.resolve("TOKEN"))).await))
            .await;
        sql("DELETE FROM outbox").await;
        openfga.open();
        database.shut();
        watched
            .prometheus
            .fires(&["VaultDatabaseFailing", "VaultConnectionsExhausted", "VaultJobFailing"], async || {
                // More than there are connections. None waits for the answers.
                let asked = join_all((0..40).map(|_| watched.resolve("TOKEN")));
                let _none = tokio::time::timeout(std::time::Duration::from_secs(2), asked).await;
            })
            .await;
    }
    watched.server.kill();
    watched.prometheus.fires(&["VaultDown"], async || {}).await;
}

on_both! { faults_fire_their_alerts }
