//! A server switches to a new keyring without dropping a request.

use project_vault::crypto::Keyring;
use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// A `dev` vault that runs, with what it logs.
struct Dev {
    child: Child,
    url: String,
    dir: PathBuf,
    log: Arc<Mutex<String>>,
    _folder: TempDir,
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("project-vault"));
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command
}

impl Dev {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let dir = folder.path().join("data");
        let mut command = program(&["dev", "--listen", "127.0.0.1:0", "--data-dir", dir.to_str().unwrap()]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *kept.lock().unwrap() += &(line + "\n");
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let url = first.split_whitespace().last().unwrap().strip_suffix("/graphql").unwrap().to_owned();
        Self { child, url, dir, log, _folder: folder }
    }

    fn run(&self, args: &[&str]) -> String {
        let output = program(args).args(["--data-dir", self.dir.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn ring(&self) -> PathBuf {
        self.dir.join("keyring.toml")
    }

    fn add_key(&self) -> String {
        let output = program(&["keys", "generate", "--add", self.ring().to_str().unwrap()]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// Waits until the log says something.
    async fn logged(&self, text: &str) {
        for _ in 0..200 {
            if self.log.lock().unwrap().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{text} is not in {}", self.log.lock().unwrap());
    }

    async fn ask(&self, client: &Client, token: &str, query: &str) -> Value {
        let request = client.post(format!("{}/graphql", self.url)).bearer_auth(token).json(&json!({ "query": query }));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body: Value = response.json().await.unwrap();
        assert!(body.get("errors").is_none(), "{body:#}");
        body
    }

    async fn ready(&self, client: &Client) -> (StatusCode, Value) {
        // An answer is kept for a second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let response = client.get(format!("{}/readyz", self.url)).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replace(path: &Path, ring: &Keyring) {
    super::write(&path.with_extension("new"), ring);
    std::fs::rename(path.with_extension("new"), path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_keyring_is_taken_over_without_dropping_a_request() {
    let dev = Dev::start();
    let client = Client::builder().no_proxy().build().unwrap();
    let runtime = dev.run(&["token", "runtime:acme-runtime"]);
    let bob = dev.run(&["token", "user:bob"]);
    let resolve = "{ resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", names: [\"GITHUB_TOKEN\"],
                   purpose: TOOL_EXECUTION }) { secrets { outcome value } } }";
    let first = dev.ask(&client, &runtime, resolve).await["data"].clone();
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let asking = async |number: usize| {
        let mut turn = 0;
        while !stop.load(Ordering::SeqCst) {
            assert_eq!(dev.ask(&client, &runtime, resolve).await["data"], first);
            turn += 1;
            let create = format!(
                "mutation {{ createVaultEntry(input: {{ projectId: \"demo\", name: \"N{number}_{turn}\", value: \"v\",
                 category: SECRET }}) {{ entry {{ maskedValue }} userErrors {{ message }} }} }}"
            );
            let made = dev.ask(&client, &bob, &create).await;
            assert_eq!(made["data"]["createVaultEntry"]["entry"]["maskedValue"], "****", "{made:#}");
            answered.fetch_add(2, Ordering::SeqCst);
        }
    };
    let rotating = async {
        for _ in 0..3 {
            let old = Keyring::read_file(&dev.ring()).unwrap().current_id().to_owned();
            let new = dev.add_key();
            dev.hang_up();
            dev.logged(&format!("key=\"{new}\"")).await;
            // The commands run beside the requests.
            tokio::task::block_in_place(|| dev.run(&["keys", "rotate"]));
            tokio::task::block_in_place(|| dev.run(&["keys", "rotate", "--data", "demo"]));
            tokio::task::block_in_place(|| dev.run(&["keys", "retire", &old]));
            dev.hang_up();
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(Keyring::read_file(&dev.ring()).unwrap().current_id(), new);
        }
        stop.store(true, Ordering::SeqCst);
    };
    futures::join!(asking(0), asking(1), asking(2), asking(3), rotating);
    assert!(answered.load(Ordering::SeqCst) > 20);
    let current = Keyring::read_file(&dev.ring()).unwrap().current_id().to_owned();
    let status: Value = serde_json::from_str(&dev.run(&["keys", "status", "--output", "json"])).unwrap();
    assert_eq!(status["masterKeys"].as_array().unwrap().len(), 1, "{status:#}");
    assert_eq!(status["masterKeys"][0]["id"], json!(current));
    assert_eq!(dev.ready(&client).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_names_a_missing_and_a_wrong_key_in_the_log() {
    let dev = Dev::start();
    let client = Client::builder().no_proxy().build().unwrap();
    let ring = Keyring::read_file(&dev.ring()).unwrap();
    let id = ring.current_id();
    assert_eq!(dev.ready(&client).await.0, StatusCode::OK);

    let silent = (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "unavailable", "parts": ["keyring"] }));
    replace(&dev.ring(), &Keyring::generate().unwrap());
    dev.hang_up();
    dev.logged("does not open every data key").await;
    assert_eq!(dev.ready(&client).await, silent);
    dev.logged(&format!("the keyring lacks the key \\\"{id}\\\"")).await;

    let other = Keyring::generate().unwrap();
    let text = secrecy::ExposeSecret::expose_secret(&other.to_text()).replace(other.current_id(), id);
    replace(&dev.ring(), &Keyring::parse(&text).unwrap());
    dev.hang_up();
    dev.logged("does not open what was wrapped").await;
    assert_eq!(dev.ready(&client).await, silent);

    replace(&dev.ring(), &ring);
    dev.hang_up();
    assert_eq!(dev.ready(&client).await.0, StatusCode::OK);
}
