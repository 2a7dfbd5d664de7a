//! A server over a world's vault, and the program that asks it.

use crate::support::{World, entry, user};
use project_vault::domain::{Clock as _, Narrowing, Timestamp, TokenKind};
use project_vault::graphql::Api;
use project_vault::http::tokens::{Claims, IssuerConfig, KeySource, Signer, Verifier};
use project_vault::http::{Server, ServerConfig, ServerParts};
use project_vault::vault::{Change, EntryChanges, NewEntry};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const ISSUER: &str = "https://id.example";
/// Values of the tests, to be found nowhere else.
pub const TOKEN_VALUE: &str = "gh-7Qm2xVt9Lw4Zr8+/Kd1Bn6";
pub const PASSWORD_VALUE: &str = "p\u{e4}ss \"w\u{f6}rd\" & more";
pub const KEY_VALUE: &str = "-----BEGIN KEY-----\nfirst0line1of2it\nshort\nsecond3line4of5it\n-----END KEY-----\n";

/// A server, and the principals that may call it.
pub struct Served {
    pub url: String,
    /// What the URLs of the address for runtimes begin with, where there is one.
    pub runtimes: Option<String>,
    /// Where the metrics are.
    pub metrics: String,
    signer: Signer,
    now: Timestamp,
}

impl Served {
    /// Serves the demo, with a project's `TOKEN`, `PASSWORD`, `KEY` and `SHORT`, an expired `OLD`
    /// and the milestone's `LAUNCH`.
    pub async fn start(world: &World) -> Self {
        Self::start_at(world, false).await
    }

    /// The same, where asked for with an address of its own for runtimes.
    pub async fn start_at(world: &World, two_addresses: bool) -> Self {
        world.demo().await;
        let put = async |new: NewEntry| world.vault.entries().create(&user("bob"), new).await.unwrap().id.to_string();
        put(entry("TOKEN", TOKEN_VALUE)).await;
        put(entry("PASSWORD", PASSWORD_VALUE)).await;
        put(entry("KEY", KEY_VALUE)).await;
        put(entry("SHORT", "12345")).await;
        put(NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("LAUNCH", "launch-value") }).await;
        let id = put(entry("OLD", "old-value")).await;
        let changes = EntryChanges {
            id,
            name: Change::Keep,
            description: Change::Keep,
            category: Change::Keep,
            expires_at: Change::Set(Timestamp::from_millis(0)),
            rotation_interval_days: Change::Keep,
            expected_revision: None,
        };
        world.vault.entries().update(&user("bob"), changes).await.unwrap();

        let signer = Signer::generate().unwrap();
        let keys = KeySource::Set(signer.jwks());
        let issuer = IssuerConfig {
            iss: ISSUER.into(),
            keys,
            kinds: TokenKind::ALL.iter().copied().collect(),
            subject_prefix: None,
        };
        let verifier = Verifier::new(vec![issuer], world.clock.clone(), Duration::from_secs(300)).unwrap();
        verifier.load().await;
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let runtime_listen = two_addresses.then_some(listen);
        let config = ServerConfig { listen, runtime_listen, metrics_listen: Some(listen), tls: None };
        let parts = ServerParts { api: Api::new(world.vault.clone(), true), verifier, dashboard: None };
        let server = Server::bind(config, parts).await.unwrap();
        let url = format!("http://{}/graphql", server.address());
        let runtimes = server.runtime_address().map(|address| format!("http://{address}"));
        let metrics = format!("http://{}/metrics", server.metrics_address().unwrap());
        tokio::spawn(server.run(std::future::pending()));
        Self { url, runtimes, metrics, signer, now: world.clock.now() }
    }

    /// A token of a principal.
    pub fn token(&self, kind: TokenKind, sub: &str, narrowing: Narrowing) -> String {
        let (iss, sub) = (ISSUER.to_owned(), sub.to_owned());
        let expires = self.now.plus(Duration::from_secs(3_600));
        self.signer.sign(&Claims { iss, kind, sub, issued: self.now, expires, narrowing }).unwrap()
    }

    /// A token of the runtime of `builder`.
    pub fn runtime(&self) -> String {
        self.token(TokenKind::Runtime, "acme-runtime", Narrowing::default())
    }

    /// The program as `builder` runs it.
    pub fn program(&self, args: &[&str]) -> Command {
        let mut command = program(args);
        command.env("PROJECT_VAULT_URL", &self.url).env("PROJECT_VAULT_TOKEN", self.runtime());
        command.env("PROJECT_VAULT_PROJECT", "demo").env("PROJECT_VAULT_AGENT", "builder");
        command
    }

    /// A shell's script, run by `exec` with these options.
    pub fn exec(&self, options: &[&str], script: &str) -> Command {
        self.program(&[&["exec"], options, &["--", "sh", "-c", script]].concat())
    }
}

/// The program with nothing set.
pub fn program(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("project-vault"));
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    command
}

/// What a program wrote, and its status as a shell gives it.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub out: String,
    pub err: String,
    pub status: i32,
}

/// Runs it to its end, beside the server.
pub async fn run(mut command: Command) -> Ran {
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let status = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
    Ran { out: text(stdout), err: text(stderr), status }
}

/// Waits until something is so.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within ten seconds");
}

/// A `dev` vault with its demo; ends with its value.
pub struct Dev {
    pub url: String,
    child: std::process::Child,
}

impl Dev {
    /// Started, and ready.
    pub async fn start(data_dir: &str) -> Self {
        let mut command = program(&["dev", "--listen", "127.0.0.1:0", "--data-dir", data_dir]);
        tokio::task::spawn_blocking(move || {
            use std::io::BufRead as _;
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let mut line = String::new();
            std::io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            Self { url: line.split_whitespace().last().unwrap().to_owned(), child }
        })
        .await
        .unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
