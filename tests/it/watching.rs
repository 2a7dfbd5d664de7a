//! What an operator watches: metrics, alerts and the dashboard.

mod alerts;
mod dashboard;
mod prometheus;
mod table;
mod traces;

use crate::support::Running;
use std::collections::{BTreeMap, BTreeSet};

/// The series of a page of metrics, with their values.
fn series(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = lines.map(|line| line.rsplit_once(' ').unwrap());
    split.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// The rows of the table of metrics in docs/operators.md: name, type and labels of each.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operators.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = text.split("\n| metric | type |").nth(1).expect("a table of metrics").split("\n\n").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let labels = cells[3].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels))
    });
    rows.collect()
}

/// The metrics that an expression of PromQL or a text names, without the endings of histograms.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| word.starts_with("vault_") || word.starts_with("process_"));
    let family = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"].into_iter();
        ends.filter_map(|end| name.strip_suffix(end)).next().unwrap_or(name).to_owned()
    };
    metrics.map(family).collect()
}

/// Waits until the page of metrics is as it should be.
async fn page_when(server: &Running, is_so: impl Fn(&BTreeMap<String, f64>) -> bool) -> BTreeMap<String, f64> {
    for _ in 0..600 {
        let series = series(&server.metrics().await);
        if is_so(&series) {
            return series;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the metrics do not become what they should be:\n{}", server.metrics().await);
}
