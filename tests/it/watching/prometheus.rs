//! A Prometheus of a test's own, and its tool.

use crate::support::setting;
use serde_json::Value;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a test waits for something that Prometheus should notice within seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program of Prometheus, which `scripts/test` unpacks.
fn program(name: &str) -> PathBuf {
    Path::new(&setting("VAULT_TEST_PROMETHEUS")).join(name)
}

/// Runs promtool in a folder of the repository. Gives what it printed.
pub fn promtool(folder: &str, args: &[&str], input: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut command = Command::new(program("promtool"));
    command.args(args).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {args:?}: {said}");
    said
}

/// A Prometheus that scrapes one server every second, until it is dropped.
pub struct Prometheus {
    url: String,
    child: Child,
    folder: TempDir,
}

impl Prometheus {
    /// Begins to scrape a server by its URL, and to evaluate these rules.
    pub async fn watch(metrics_url: &str, rules: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let target = metrics_url.strip_prefix("http://").unwrap();
        std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yaml]\n\
             scrape_configs: [{{ job_name: project-vault, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        std::fs::write(folder.path().join("prometheus.yaml"), config).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program("prometheus"));
        command.current_dir(&folder).args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let watching = Self { url: format!("http://{address}"), child, folder };
        watching
            .until("it scrapes", async || watching.ask("query?query=up").await["data"]["result"][0]["value"][1] == "1")
            .await;
        watching
    }

    /// An answer of its API; null while it does not answer.
    async fn ask(&self, path: &str) -> Value {
        let Ok(answer) = reqwest::get(format!("{}/api/v1/{path}", self.url)).await else { return Value::Null };
        let text = answer.text().await.unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The result of an expression.
    ///
    /// Panics when it is not valid.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let encoded = percent_encoding::utf8_percent_encode(expression, percent_encoding::NON_ALPHANUMERIC);
        let answer = self.ask(&format!("query?query={encoded}")).await;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// The names of the alerts that fire.
    pub async fn firing(&self) -> Vec<String> {
        let alerts = self.ask("alerts").await;
        let alerts = alerts["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until all these alerts have fired, while `meanwhile` is done again and again.
    pub async fn fires(&self, expected: &[&str], meanwhile: impl AsyncFn()) {
        let mut missing: Vec<&str> = expected.to_vec();
        let began = Instant::now();
        while !missing.is_empty() {
            assert!(began.elapsed() < PATIENCE, "these alerts do not fire: {missing:?}");
            meanwhile().await;
            let firing = self.firing().await;
            missing.retain(|name| !firing.iter().any(|alert| alert == name));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !is_so().await {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "not {what}: {}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
