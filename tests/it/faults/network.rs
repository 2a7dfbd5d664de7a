//! A network that fails between the program and the servers it depends on.

use super::load::{LONGEST_WAIT, Load, Row, Seen, Watch, database_of, report};
use crate::keys::transit::{StandIn, TOKEN};
use crate::support::{Backend, Database, Fault, Installation, Proxy, Running, free_port, openfga_url};
use project_vault::http::tokens::Signer;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
const PACE: Duration = Duration::from_millis(20);

/// The faults, and for how long each lasts: longer than a database's statement may take, where
/// nothing else ends the wait.
const FAULTS: &[(&str, Fault, u64)] = &[
    ("answers 300 ms late", Fault::Latency(Duration::from_millis(300)), 4),
    ("half-open", Fault::HalfOpen, 16),
    ("black hole", Fault::BlackHole, 16),
    ("cuts connections", Fault::Cut, 4),
    ("refuses connections", Fault::Refused, 4),
];

/// A fault of one server's network that has ended.
struct Ended {
    name: &'static str,
    fault: Fault,
    longest: Duration,
    codes: BTreeMap<String, u64>,
    recovery: Duration,
    seen: Seen,
    changes: usize,
    releases: i64,
}

/// Has each fault happen and end.
async fn suffer(load: &Load, server: &Running, proxy: &Proxy, faults: &[(&'static str, Fault, u64)]) -> Vec<Ended> {
    let mut all = Vec::new();
    load.recovery(server).await;
    for &(name, fault, seconds) in faults {
        load.take_waits();
        let (before, released) = (load.acknowledged(), load.releases());
        let watch = Watch::of(server);
        proxy.set(fault);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let seen = watch.seen();
        proxy.set(Fault::None);
        let recovery = load.recovery(server).await;
        // The calls that met the fault are answered, too.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (longest, codes) = load.take_waits();
        let (changes, releases) = (load.acknowledged() - before, load.releases() - released);
        println!("{name}: {longest:?} {recovery:?} readyz {:?} {:?} {codes:?}", seen.readyz, seen.unready);
        all.push(Ended { name, fault, longest, codes, recovery, seen, changes, releases });
    }
    all
}

/// Asserts what is true of every fault, and reports it. `part` is what `/readyz` calls the server, or empty
/// if it names none.
fn judge(what: &str, part: &str, all: &[Ended]) {
    let mut rows = Vec::new();
    let names: Vec<String> = all.iter().map(|one| format!("{what}: {}", one.name)).collect();
    for (one, name) in all.iter().zip(&names) {
        assert!(one.codes.keys().all(|code| code == "UNAVAILABLE"), "{name}: {:?}", one.codes);
        assert!(one.longest < LONGEST_WAIT, "{name}: a call took {:?}", one.longest);
        assert!(one.seen.problems.is_empty(), "{name}: {:?}", one.seen.problems);
        assert!(one.seen.healthz < Duration::from_secs(5), "{name}: /healthz took {:?}", one.seen.healthz);
        assert!(one.seen.readyz < Duration::from_secs(10), "{name}: /readyz took {:?}", one.seen.readyz);
        let named = one.seen.unready.contains(part);
        match one.fault {
            Fault::HalfOpen | Fault::BlackHole | Fault::Refused if !part.is_empty() => {
                assert!(named, "{name}: {:?}", one.seen.unready)
            }
            // Some connections live long enough for an answer.
            _ => {}
        }
        rows.push(Row {
            fault: name,
            tried: "once, under load",
            changes: one.changes,
            releases: one.releases,
            longest: one.longest,
            recovery: Some(one.recovery),
        });
    }
    report(&rows);
}

fn host_of(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_postgresql() {
    let database = Database::new(Backend::Postgres).await;
    let (before, name) = database.url.rsplit_once('/').unwrap();
    let (who, server) = before.split_once('@').unwrap();
    let proxy = Proxy::to(server).await;
    let url = format!("{who}@{}/{name}", proxy.address);
    let it = Installation::with(Backend::Postgres, database, &[("DATABASE_URL", url)]).await;
    let it = Arc::new(it);
    let server = it.serve("warn", &it.file("log")).await;
    let mut load = Load::start(&it, &[&server], CLIENTS, PACE).await;
    let all = suffer(&load, &server, &proxy, FAULTS).await;
    load.stop().await;
    load.check(&server).await;
    judge("PostgreSQL", "database", &all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_openfga() {
    let proxy = Proxy::to(host_of(&openfga_url())).await;
    let url = format!("http://{}", proxy.address);
    let database = Database::new(Backend::Postgres).await;
    let it = Arc::new(Installation::with(Backend::Postgres, database, &[("OPENFGA_URL", url)]).await);
    let server = it.serve("warn", &it.file("log")).await;
    let mut load = Load::start(&it, &[&server], CLIENTS, PACE).await;
    let all = suffer(&load, &server, &proxy, FAULTS).await;
    load.stop().await;
    load.check(&server).await;
    judge("OpenFGA", "authorizer", &all);
}

/// Faults of servers that known keys outlast.
const SHORT_FAULTS: &[(&str, Fault, u64)] = &[
    ("answers 300 ms late", Fault::Latency(Duration::from_millis(300)), 2),
    ("half-open", Fault::HalfOpen, 8),
    ("black hole", Fault::BlackHole, 8),
    ("cuts connections", Fault::Cut, 3),
    ("refuses connections", Fault::Refused, 3),
];

async fn of_key_sets(backend: Backend) {
    let signer = Signer::generate().unwrap();
    let document = signer.jwks();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(&listener.local_addr().unwrap().to_string()).await;
    let router = axum::Router::new().route("/jwks.json", axum::routing::get(|| async move { document }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let settings = [
        ("VAULT_JWKS_URL", format!("http://{}/jwks.json", proxy.address)),
        ("VAULT_JWKS_REFRESH_SECONDS", "1".to_owned()),
    ];
    let it = Installation::with_signer(backend, Database::new(backend).await, signer, &settings).await;
    let it = Arc::new(it);
    let server = it.serve("warn", &it.file("log")).await;
    let mut load = Load::start(&it, &[&server], CLIENTS, PACE).await;
    // Somebody keeps coming with a token of an unknown key.
    let stranger = Stranger::before(&server);
    let all = suffer(&load, &server, &proxy, SHORT_FAULTS).await;
    let (answers, longest) = stranger.leave().await;
    load.stop().await;
    load.check(&server).await;
    assert!(all.iter().all(|one| one.codes.is_empty() && one.seen.unready.is_empty()), "known keys go on");
    assert!(longest < Duration::from_secs(15), "an unknown key took {longest:?}");
    let documented = |answer: &String| ["401", "503"].iter().any(|status| answer.starts_with(status));
    assert!(!answers.is_empty() && answers.iter().all(documented), "{answers:?}");
    judge(&format!("key set ({})", database_of(backend)), "", &all);
}

async fn of_transit(backend: Backend) {
    let engine = TransitEngine::start().await;
    let proxy = Proxy::to(host_of(&engine.url())).await;
    let settings = [
        ("VAULT_KEY_PROVIDER", "transit".to_owned()),
        ("VAULT_TRANSIT_URL", format!("http://{}/v1/transit", proxy.address)),
        ("VAULT_TRANSIT_KEY", "project-vault".to_owned()),
        ("VAULT_TRANSIT_TOKEN", TOKEN.to_owned()),
    ];
    let it = Arc::new(Installation::with(backend, Database::new(backend).await, &settings).await);
    let server = it.serve("warn", &it.file("log")).await;
    let mut load = Load::start(&it, &[&server], CLIENTS, PACE).await;
    // Each project's data key is wrapped by the engine.
    let caller = load.caller();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let registering = tokio::spawn(async move {
        let mut registered = Vec::new();
        for n in 0.. {
            let project = format!("new-{n}");
            if caller.register(&project).await {
                registered.push(project);
            }
            if stopped.load(Ordering::Relaxed) {
                return registered;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unreachable!()
    });
    let all = suffer(&load, &server, &proxy, SHORT_FAULTS).await;
    stop.store(true, Ordering::Relaxed);
    let registered = registering.await.unwrap();
    load.stop().await;
    load.check(&server).await;
    assert!(registered.len() > 5, "{registered:?}");
    let keyless =
        "SELECT count(*) AS n FROM projects WHERE NOT EXISTS (SELECT 1 FROM data_keys WHERE project_id = projects.id)";
    assert_eq!(it.database.number(keyless).await, 0);
    let there = it.database.number("SELECT count(*) AS n FROM projects WHERE id LIKE 'new-%'").await;
    assert!(there >= i64::try_from(registered.len()).unwrap(), "{there} of {} projects", registered.len());
    let which = if engine.is_real() { "OpenBao's Transit" } else { "Transit (a stand-in)" };
    judge(&format!("{which} ({})", database_of(backend)), "keyring", &all);
}

/// The Transit engine of an OpenBao that `BAO_BIN` names, or the stand-in for it.
enum TransitEngine {
    Bao(std::process::Child, String),
    StandIn(StandIn),
}

impl TransitEngine {
    async fn start() -> Self {
        let Some(program) = std::env::var_os("BAO_BIN") else { return Self::StandIn(StandIn::start().await) };
        let address = format!("127.0.0.1:{}", free_port());
        let own = std::process::Command::new(program)
            .args([
                "server",
                "-dev",
                "-dev-no-store-token",
                "-dev-root-token-id",
                TOKEN,
                "-dev-listen-address",
                &address,
            ])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        let own = Self::Bao(own.unwrap(), format!("http://{address}"));
        let http = reqwest::Client::new();
        for (path, body) in [
            ("sys/mounts/transit", "{\"type\": \"transit\"}"),
            ("transit/keys/project-vault", "{\"type\": \"aes256-gcm96\"}"),
        ] {
            let mut tries = 0;
            loop {
                let request =
                    http.post(format!("http://{address}/v1/{path}")).header("X-Vault-Token", TOKEN).body(body);
                if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                tries += 1;
                assert!(tries < 300, "OpenBao does not start");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        own
    }

    fn url(&self) -> String {
        match self {
            Self::Bao(_, url) => url.clone(),
            Self::StandIn(engine) => engine.url.clone(),
        }
    }

    const fn is_real(&self) -> bool {
        matches!(self, Self::Bao(..))
    }
}

impl Drop for TransitEngine {
    fn drop(&mut self) {
        if let Self::Bao(process, _) = self {
            let _gone = process.kill();
            let _gone = process.wait();
        }
    }
}

/// Somebody whose tokens an unknown key signed.
struct Stranger {
    left: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(Vec<String>, Duration)>,
}

impl Stranger {
    fn before(server: &Running) -> Self {
        let left = Arc::<AtomicBool>::default();
        let (url, stop) = (format!("{}/graphql", server.url), left.clone());
        let task = tokio::spawn(async move {
            let (mut answers, mut longest) = (Vec::new(), Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let token = Installation::token_of(&Signer::generate().unwrap(), "user:alice");
                let started = Instant::now();
                let request = reqwest::Client::new().post(&url).bearer_auth(token);
                let request =
                    request.header("content-type", "application/json").body("{\"query\": \"{ __typename }\"}");
                let answer = request.send().await.unwrap();
                longest = longest.max(started.elapsed());
                answers.push(format!("{} {}", answer.status().as_u16(), answer.text().await.unwrap()));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (answers, longest)
        });
        Self { left, task }
    }

    /// What was answered, and the longest wait for it.
    async fn leave(self) -> (Vec<String>, Duration) {
        self.left.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

on_both! { of_key_sets, of_transit }

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_keeps_nobody_from_the_next() {
    let database = Database::new(Backend::Postgres).await;
    let (before, name) = database.url.rsplit_once('/').unwrap();
    let (who, server) = before.split_once('@').unwrap();
    let silent = Proxy::to(server).await;
    silent.set(Fault::HalfOpen);
    let url = format!("{who}@{},{server}/{name}?target_session_attrs=read-write", silent.address);
    let it = Installation::with(Backend::Postgres, database, &[("DATABASE_URL", url)]).await;
    let running = it.serve("warn", &it.file("log")).await;
    it.add_demo(&running).await;
    // The pool's first connections have found the server; nobody waits for the other any more.
    for _ in 0..20 {
        assert!(super::load::is_ready(&running).await.unwrap().is_empty());
    }
}
