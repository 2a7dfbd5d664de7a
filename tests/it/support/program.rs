//! The program itself, run as its operators do: `serve` on a database of its own, and the commands
//! beside it.

use super::database::{Backend, Database};
use super::world::openfga_url;
use project_vault::crypto::Keyring;
use project_vault::domain::{Clock as _, Narrowing, SystemClock, TokenKind};
use project_vault::http::tokens::{Claims, Signer};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::fs::{File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

const ISSUER: &str = "https://id.example";

/// A database, a keyring and an issuer, with the program beside them.
pub struct Installation {
    pub database: Database,
    folder: TempDir,
    signer: Signer,
    backend: Backend,
    store: String,
}

/// A server that runs until it is dropped or killed.
pub struct Running {
    pub url: String,
    /// Where its metrics and health are.
    pub metrics_url: String,
    child: Child,
}

/// What a command wrote, and its status.
#[derive(Debug)]
pub struct Ran {
    pub out: String,
    pub err: String,
    pub status: i32,
}

impl Installation {
    /// A new one, migrated; `platform` is a registrar and audrey an auditor.
    pub async fn new(backend: Backend) -> Self {
        let folder = TempDir::new().unwrap();
        let signer = Signer::generate().unwrap();
        std::fs::write(folder.path().join("jwks.json"), signer.jwks()).unwrap();
        let database = Database::new(backend).await;
        let store = format!("t-{}", Uuid::now_v7().simple());
        let installation = Self { database, folder, signer, backend, store };
        let keyring = installation.keyring();
        std::fs::write(&keyring, Keyring::generate().unwrap().to_text().expose_secret()).unwrap();
        std::fs::set_permissions(&keyring, Permissions::from_mode(0o600)).unwrap();
        for args in [&["migrate"][..], &["registrar", "add", "platform"], &["auditor", "add", "user:audrey"]] {
            let ran = installation.run(args).await;
            assert_eq!(ran.status, 0, "{args:?}: {}", ran.err);
        }
        installation
    }

    /// A file of its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its keyring.
    pub fn keyring(&self) -> PathBuf {
        self.file("keyring.toml")
    }

    /// The program with its settings.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("project-vault"));
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        command.env("DATABASE_URL", &self.database.url).env("VAULT_KEYRING_FILE", self.keyring());
        command.env("VAULT_JWT_ISSUER", ISSUER).env("VAULT_JWKS_FILE", self.file("jwks.json"));
        if self.backend == Backend::Postgres {
            command.env("OPENFGA_URL", openfga_url()).env("OPENFGA_STORE", &self.store);
        }
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Ran {
        run(self.command(args)).await
    }

    /// What a command prints that does its work.
    pub async fn done(&self, args: &[&str]) -> String {
        let ran = self.run(args).await;
        assert_eq!(ran.status, 0, "{args:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// Starts `serve`, with its log in a file.
    pub async fn serve(&self, filter: &str, log: &Path) -> Running {
        self.start(&self.keyring(), filter, log).await
    }

    /// Starts `serve` with another keyring.
    pub async fn serve_with(&self, keyring: &Path, log: &Path) -> Running {
        self.start(keyring, "warn", log).await
    }

    async fn start(&self, keyring: &Path, filter: &str, log: &Path) -> Running {
        // Held together, so that they differ.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, metrics] = free.map(|listener| listener.local_addr().unwrap().to_string());
        let mut command = self.command(&["serve", "--listen", &address, "--metrics-listen", &metrics]);
        command.env("VAULT_KEYRING_FILE", keyring);
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = command.env("RUST_LOG", filter).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let running = Running { url: format!("http://{address}"), metrics_url: format!("http://{metrics}"), child };
        for _ in 0..500 {
            if reqwest::get(format!("{}/healthz", running.url)).await.is_ok() {
                return running;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server is not there within ten seconds");
    }

    /// A token of `user:ID`, `service:ID` or `runtime:ID`.
    pub fn token(&self, who: &str) -> String {
        let (kind, sub) = who.split_once(':').unwrap();
        let kind = match kind {
            "user" => TokenKind::User,
            "service" => TokenKind::Service,
            _ => TokenKind::Runtime,
        };
        let issued = SystemClock.now();
        let (iss, sub) = (ISSUER.to_owned(), sub.to_owned());
        let expires = issued.plus(Duration::from_secs(3_600));
        self.signer.sign(&Claims { iss, kind, sub, issued, expires, narrowing: Narrowing::default() }).unwrap()
    }

    /// Asks a server over HTTP; none when it does not answer.
    pub async fn ask(&self, running: &Running, who: &str, query: &str, variables: Value) -> Option<Value> {
        self.ask_at(&running.url, who, query, variables).await
    }

    /// As [`Self::ask`], at an address.
    pub async fn ask_at(&self, url: &str, who: &str, query: &str, variables: Value) -> Option<Value> {
        let request = reqwest::Client::new()
            .post(format!("{url}/graphql"))
            .bearer_auth(self.token(who))
            .header("content-type", "application/json")
            .body(json!({ "query": query, "variables": variables }).to_string());
        serde_json::from_str(&request.send().await.ok()?.text().await.ok()?).ok()
    }

    /// Adds the project `demo`, of which alice is Accountable, with acme's agent `builder` and its
    /// runtime.
    pub async fn add_demo(&self, running: &Running) {
        for (who, mutation) in [
            (
                "service:platform",
                "registerProjectVault(input: { projectId: \"demo\", participantIds: [\"acme\"], accountableUserIds: [\"alice\"] })",
            ),
            ("service:platform", "registerVaultAgent(input: { agentId: \"builder\", organizationId: \"acme\" })"),
            (
                "service:platform",
                "registerVaultRuntime(input: { runtimeId: \"acme-runtime\", organizationId: \"acme\" })",
            ),
            ("user:alice", "assignVaultAgent(input: { projectId: \"demo\", agentId: \"builder\" })"),
        ] {
            let query = format!("mutation {{ done: {mutation} {{ userErrors {{ message }} }} }}");
            let answer = self.ask(running, who, &query, json!({})).await.unwrap();
            assert_eq!(answer, json!({ "data": { "done": { "userErrors": [] } } }), "{mutation}");
        }
    }
}

impl Running {
    /// Ends it at once, in the midst of whatever it does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The memory that it has resident, in bytes.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that it ever had resident, in bytes.
    pub fn most_resident(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The body of a page.
    pub async fn page(&self, path: &str) -> String {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap().text().await.unwrap()
    }

    /// The page of its metrics.
    pub async fn metrics(&self) -> String {
        reqwest::get(format!("{}/metrics", self.metrics_url)).await.unwrap().text().await.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, beside whatever else the test does.
pub async fn run(mut command: Command) -> Ran {
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { out: text(stdout), err: text(stderr), status: status.code().unwrap_or(-1) }
}
