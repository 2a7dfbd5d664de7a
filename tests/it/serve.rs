//! `serve` with a good configuration, as a process of its own.

mod check;

use project_vault::domain::{Clock as _, Narrowing, SystemClock, TokenKind};
use project_vault::http::tokens::{Claims, Signer};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;
use tempfile::TempDir;

const ISSUER: &str = "https://id.example";

/// A process, stopped when dropped.
struct Running(Child);

/// A server over SQLite.
struct Serve {
    _process: Running,
    dir: TempDir,
    signer: Signer,
    address: String,
    runtime_address: String,
    metrics_address: String,
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("project-vault"));
    command.args(args).env_clear();
    command.env("DATABASE_URL", format!("sqlite:{}", dir.join("vault.db").display()));
    command.env("VAULT_KEYRING_FILE", dir.join("keyring.toml"));
    command
}

fn done(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Serve {
    fn start(settings: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let signer = Signer::generate().unwrap();
        std::fs::write(dir.path().join("jwks.json"), signer.jwks()).unwrap();
        let mut keyring = std::fs::OpenOptions::new();
        let keyring = keyring.write(true).create_new(true).mode(0o600).open(dir.path().join("keyring.toml")).unwrap();
        let made = command(dir.path(), &["keys", "generate"]).stdout(keyring).status().unwrap();
        assert!(made.success());
        let mut serve = command(dir.path(), &["serve", "--migrate"]);
        serve.env("VAULT_LISTEN", "127.0.0.1:0").env("VAULT_RUNTIME_LISTEN", "127.0.0.1:0");
        serve.env("VAULT_JWT_ISSUER", ISSUER).env("VAULT_JWKS_FILE", dir.path().join("jwks.json"));
        serve.env("VAULT_LOG_FORMAT", "json").envs(settings.iter().copied());
        let mut process = Running(serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
        let stderr = process.0.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Reads on, so that the server can go on writing.
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut log = Vec::new();
        loop {
            let line =
                lines.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("it does not listen: {log:?}"));
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["fields"]["message"] == "listening" {
                let address = |name: &str| said["fields"][name].as_str().unwrap().to_owned();
                return Self {
                    _process: process,
                    dir,
                    signer,
                    address: address("address"),
                    runtime_address: address("runtimes"),
                    metrics_address: address("metrics"),
                };
            }
            log.push(line);
        }
    }

    fn token(&self, kind: TokenKind, sub: &str) -> String {
        let now = SystemClock.now();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            kind,
            sub: sub.to_owned(),
            narrowing: Narrowing::default(),
            issued: now,
            expires: now.plus(Duration::from_secs(600)),
        };
        self.signer.sign(&claims).unwrap()
    }

    async fn ask(&self, address: &str, token: &str, query: &str) -> (u16, Value) {
        let asked = reqwest::Client::new()
            .post(format!("http://{address}/graphql"))
            .bearer_auth(token)
            .json(&json!({ "query": query }))
            .send()
            .await
            .unwrap();
        (asked.status().as_u16(), asked.json().await.unwrap())
    }

    fn operator(&self, args: &[&str]) -> String {
        done(command(self.dir.path(), args))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_server_does_what_its_settings_say() {
    let server = Serve::start(&[("VAULT_AUTHZ_MAX_AGE_MS", "600000")]);
    let (audrey, runtime) = (server.token(TokenKind::User, "audrey"), server.token(TokenKind::Runtime, "acme-runtime"));
    for (address, token, status) in [
        (&server.address, &audrey, 200),
        (&server.address, &runtime, 403),
        (&server.runtime_address, &runtime, 200),
        (&server.runtime_address, &audrey, 403),
    ] {
        assert_eq!(server.ask(address, token, "{ __typename }").await.0, status, "{address}");
    }
    let (_, schema) = server.ask(&server.address, &audrey, "{ __schema { queryType { name } } }").await;
    assert!(schema["data"]["__schema"].is_null(), "introspection is off: {schema}");

    // Where nothing is said of it, metrics are for this machine alone.
    assert!(server.metrics_address.starts_with("127.0.0.1:"), "{}", server.metrics_address);
    for (address, status) in [(&server.metrics_address, 200), (&server.address, 404), (&server.runtime_address, 404)] {
        assert_eq!(reqwest::get(format!("http://{address}/metrics")).await.unwrap().status(), status, "{address}");
    }

    // A decision is used again: what another process took away holds within its age.
    let events = "{ vaultAuditEvents { nodes { action } } }";
    assert_eq!(server.ask(&server.address, &audrey, events).await.1["errors"][0]["extensions"]["code"], "FORBIDDEN");
    server.operator(&["auditor", "add", "user:audrey"]);
    assert!(server.ask(&server.address, &audrey, events).await.1["errors"].is_null(), "a denial is not kept");
    server.operator(&["auditor", "remove", "user:audrey"]);
    assert!(server.ask(&server.address, &audrey, events).await.1["errors"].is_null(), "it may be as old as that");
}

#[tokio::test]
async fn by_default_a_server_asks_about_every_call() {
    let server = Serve::start(&[("VAULT_INTROSPECTION", "true")]);
    let audrey = server.token(TokenKind::User, "audrey");
    let (_, schema) = server.ask(&server.address, &audrey, "{ __schema { queryType { name } } }").await;
    assert!(schema["data"]["__schema"].is_object(), "introspection is on: {schema}");
    let events = "{ vaultAuditEvents { nodes { action } } }";
    server.operator(&["auditor", "add", "user:audrey"]);
    assert!(server.ask(&server.address, &audrey, events).await.1["errors"].is_null());
    server.operator(&["auditor", "remove", "user:audrey"]);
    assert_eq!(server.ask(&server.address, &audrey, events).await.1["errors"][0]["extensions"]["code"], "FORBIDDEN");
}
