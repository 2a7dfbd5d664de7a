//! The program itself, run as its operators do: `serve` on a database of its own, and the commands
//! beside it.

use super::cluster::signal;
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
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

const ISSUER: &str = "https://id.example";
/// How long a server may take to answer, also on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// A database, a keyring and an issuer, with the program beside them.
pub struct Installation {
    pub database: Database,
    folder: TempDir,
    signer: Signer,
    backend: Backend,
    /// OpenFGA's address, and the name of its store.
    openfga: (String, String),
    /// Settings of the program beside or instead of the usual ones.
    settings: Vec<(String, String)>,
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

fn new_keyring() -> String {
    Keyring::generate().unwrap().to_text().expose_secret().to_owned()
}

impl Installation {
    /// A new one, migrated; `platform` is a registrar and audrey an auditor.
    pub async fn new(backend: Backend) -> Self {
        Self::with(backend, Database::migrated(backend).await, &[]).await
    }

    /// A new one on this database, with these settings of the program beside or instead of the
    /// usual ones.
    pub async fn with(backend: Backend, database: Database, settings: &[(&str, String)]) -> Self {
        Self::with_signer(backend, database, Signer::generate().unwrap(), settings).await
    }

    /// As [`Self::with`], with the issuer's key.
    pub async fn with_signer(
        backend: Backend,
        database: Database,
        signer: Signer,
        settings: &[(&str, String)],
    ) -> Self {
        let url = if backend == Backend::Postgres { openfga_url() } else { String::new() };
        let store = format!("t-{}", Uuid::now_v7().simple());
        let mut installation = Self::with_keys(database, backend, &new_keyring(), (url, store), signer);
        installation.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        installation.prepare().await;
        installation
    }

    /// A new one, with a store of this name at this OpenFGA.
    pub async fn with_openfga(backend: Backend, url: &str, store: &str) -> Self {
        let installation = Self::of(Database::new(backend).await, backend, &new_keyring(), url, store);
        installation.prepare().await;
        installation
    }

    async fn prepare(&self) {
        for args in [&["migrate"][..], &["registrar", "add", "platform"], &["auditor", "add", "user:audrey"]] {
            self.done(args).await;
        }
    }

    /// What is there already: a database with its keyring and, on PostgreSQL, its store at an
    /// OpenFGA.
    pub fn of(database: Database, backend: Backend, keys: &str, url: &str, store: &str) -> Self {
        Self::with_keys(database, backend, keys, (url.to_owned(), store.to_owned()), Signer::generate().unwrap())
    }

    fn with_keys(database: Database, backend: Backend, keys: &str, openfga: (String, String), signer: Signer) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("jwks.json"), signer.jwks()).unwrap();
        let installation = Self { database, folder, signer, backend, openfga, settings: Vec::new() };
        let keyring = installation.keyring();
        std::fs::write(&keyring, keys).unwrap();
        std::fs::set_permissions(&keyring, Permissions::from_mode(0o600)).unwrap();
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
            let (url, store) = &self.openfga;
            command.env("OPENFGA_URL", url).env("OPENFGA_STORE", store);
        }
        for (name, value) in &self.settings {
            command.env(name, value);
            if name == "VAULT_JWKS_URL" {
                command.env_remove("VAULT_JWKS_FILE");
            }
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

    /// As [`Self::done`], also while others keep SQLite's one write lock: again where it says so.
    pub async fn done_in_the_end(&self, args: &[&str]) {
        for _ in 0..10 {
            let ran = self.run(args).await;
            if ran.status == 0 {
                return;
            }
            let is_busy = self.backend == Backend::Sqlite && ran.err.contains("ry again");
            assert!(is_busy, "{args:?}: {}{}", ran.out, ran.err);
        }
        panic!("{args:?} was told to try again ten times");
    }

    /// Starts `serve`, with its log in a file.
    pub async fn serve(&self, filter: &str, log: &Path) -> Running {
        self.start(&self.keyring(), filter, log, &[]).await
    }

    /// As [`Self::serve`], with other settings.
    pub async fn serve_set(&self, settings: &[(&str, &str)], log: &Path) -> Running {
        self.start(&self.keyring(), "warn", log, settings).await
    }

    /// Starts `serve` with another keyring.
    pub async fn serve_with(&self, keyring: &Path, log: &Path) -> Running {
        self.start(keyring, "warn", log, &[]).await
    }

    async fn start(&self, keyring: &Path, filter: &str, log: &Path, settings: &[(&str, &str)]) -> Running {
        // Another process may take a port between its choice and its use.
        for _ in 0..3 {
            if let Some(running) = self.try_start(keyring, filter, log, settings).await {
                return running;
            }
        }
        panic!("the server ends at once: {}", std::fs::read_to_string(log).unwrap());
    }

    /// Starts `serve`; gives nothing when it ends at once.
    async fn try_start(&self, keyring: &Path, filter: &str, log: &Path, settings: &[(&str, &str)]) -> Option<Running> {
        // Held together, so that they differ.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, metrics] = free.map(|listener| listener.local_addr().unwrap().to_string());
        let mut command = self.command(&["serve", "--listen", &address, "--metrics-listen", &metrics]);
        command.env("VAULT_KEYRING_FILE", keyring).envs(settings.iter().copied());
        let file = File::options().create(true).append(true).open(log).unwrap();
        let child = command.env("RUST_LOG", filter).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let url = format!("http://{address}");
        let mut running = Running { url, metrics_url: format!("http://{metrics}"), child };
        let started = Instant::now();
        while started.elapsed() < STARTS_WITHIN {
            let answers = reqwest::get(format!("{}/healthz", running.url)).await.is_ok();
            // Another process may be what answers.
            if running.child.try_wait().unwrap().is_some() {
                return None;
            }
            if answers {
                return Some(running);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server is not there in time: {}", std::fs::read_to_string(log).unwrap());
    }

    /// A token of `user:ID`, `service:ID` or `runtime:ID`.
    pub fn token(&self, who: &str) -> String {
        Self::token_of(&self.signer, who)
    }

    /// The same, signed with another key.
    pub fn token_of(signer: &Signer, who: &str) -> String {
        let (kind, sub) = who.split_once(':').unwrap();
        let kind = match kind {
            "user" => TokenKind::User,
            "service" => TokenKind::Service,
            _ => TokenKind::Runtime,
        };
        let issued = SystemClock.now();
        let (iss, sub) = (ISSUER.to_owned(), sub.to_owned());
        let expires = issued.plus(Duration::from_secs(3_600));
        signer.sign(&Claims { iss, kind, sub, issued, expires, narrowing: Narrowing::default() }).unwrap()
    }

    /// Asks a server over HTTP; none when it does not answer.
    pub async fn ask(&self, running: &Running, who: &str, query: &str, variables: Value) -> Option<Value> {
        self.ask_at(&running.url, who, query, variables).await
    }

    /// As [`Self::ask`], also while others keep SQLite's one write lock: again where it says so.
    pub async fn answer(&self, running: &Running, who: &str, query: &str) -> Value {
        for _ in 0..10 {
            let answer = self.ask(running, who, query, json!({})).await.unwrap();
            if self.backend == Backend::Postgres || !answer.to_string().contains("UNAVAILABLE") {
                return answer;
            }
        }
        panic!("no answer but UNAVAILABLE, ten times: {query}");
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

    /// Asks it to stop, and waits until it has; gives how long that took.
    pub async fn stop(&mut self) -> Duration {
        let began = Instant::now();
        signal("TERM", &[self.id()]);
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
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
