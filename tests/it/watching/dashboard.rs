//! The dashboard shows metrics that exist, by expressions that Prometheus evaluates.

use super::prometheus::Prometheus;
use super::{documented, named};
use crate::support::{Backend, Installation};
use serde_json::Value;
use std::collections::BTreeSet;

/// The title and expression of each target.
fn expressions() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/grafana/dashboards/project-vault.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            found.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    found
}

#[test]
fn the_dashboard_names_metrics_that_exist_and_shows_almost_all() {
    let documented = documented();
    let mut shown = BTreeSet::new();
    for (title, expression) in expressions() {
        let metrics = named(&expression);
        assert!(!metrics.is_empty(), "{title}");
        for metric in metrics {
            assert!(documented.contains_key(&metric), "{title} names {metric}, which does not exist");
            shown.insert(metric);
        }
    }
    let hidden: Vec<&String> = documented.keys().filter(|metric| !shown.contains(*metric)).collect();
    assert_eq!(hidden, ["process_start_time_seconds", "process_threads", "process_virtual_memory_bytes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_evaluates_every_expression_of_the_dashboard() {
    let it = Installation::new(Backend::Sqlite).await;
    let server = it.serve("warn", &it.file("log")).await;
    it.add_demo(&server).await;
    let prometheus = Prometheus::watch(&server.metrics_url, "groups: []\n").await;
    for (title, expression) in expressions() {
        let mut expression =
            expression.replace("$__rate_interval", "1m").replace("$__range", "3h").replace("$instance", ".*");
        assert!(!expression.contains('$'), "{title}: {expression}");
        // Whether there is anything to show does not matter here.
        if let Some(all) = expression.strip_suffix(" > 0") {
            expression = all.to_owned();
        }
        // A rate needs two scrapes.
        for left in (0..300).rev() {
            if !prometheus.query(&expression).await.is_empty() {
                break;
            }
            assert!(left > 0, "{title} shows nothing: {expression}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}
