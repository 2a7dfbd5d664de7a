//! The Transit engine as the keeper of the master key: a stand-in of its documented API, and its
//! faults.

use super::{Ringed, add_projects, operator, value};
use crate::support::{Backend, World, agent_asks, entry, new_project, runtime, service, tool_asks, user};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use data_encoding::BASE64;
use project_vault::crypto::Keyring;
use project_vault::domain::Error;
use project_vault::kms::{KeyProvider, KeyringProvider, MasterKeys, Transit, TransitConfig, TransitUrl};
use project_vault::vault::{NewEntry, Vault};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const TOKEN: &str = "hunter2-transit";
const DATA_KEY_OPENED: &str = "decrypt, of a data key";

/// What the stand-in does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Slow,
    Status(u16),
    Garbage,
    Huge,
    Redirect,
    /// Encrypts without the associated data, as one that does not know it.
    WrongType,
}

/// An engine with one key, `project-vault`. A "ciphertext" is a number under which plaintext and
/// associated data are kept.
struct Engine {
    fault: Fault,
    latest: u32,
    oldest: u32,
    sealed: HashMap<String, (String, String)>,
    asked: Vec<String>,
    /// The headers `traceparent`.
    traces: Vec<String>,
}

#[derive(Clone)]
pub struct StandIn {
    engine: Arc<Mutex<Engine>>,
    pub url: String,
}

impl StandIn {
    pub async fn start() -> Self {
        let engine = Engine {
            fault: Fault::None,
            latest: 1,
            oldest: 1,
            sealed: HashMap::new(),
            asked: Vec::new(),
            traces: Vec::new(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let own = Self { engine: Arc::new(Mutex::new(engine)), url };
        let router = axum::Router::new()
            .route("/v1/transit/keys/{name}", get(info))
            .route("/v1/transit/encrypt/{name}", post(encrypt))
            .route("/v1/transit/decrypt/{name}", post(decrypt))
            .with_state(own.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        own
    }

    fn set(&self, change: impl FnOnce(&mut Engine)) {
        change(&mut self.engine.lock().unwrap());
    }

    /// The traces that requests belonged to, as `traceparent` has them.
    pub fn traces(&self) -> Vec<String> {
        self.engine.lock().unwrap().traces.clone()
    }

    fn asked(&self, what: &str) -> usize {
        self.engine.lock().unwrap().asked.iter().filter(|asked| *asked == what).count()
    }

    fn config(&self, token: &str) -> TransitConfig {
        TransitConfig {
            url: TransitUrl::parse(&self.url).unwrap(),
            key: "project-vault".to_owned(),
            token: SecretString::from(token),
        }
    }

    fn transit(&self) -> Transit {
        Transit::new(&self.config(TOKEN)).unwrap()
    }

    /// A server whose master key the engine keeps.
    fn server(&self, world: &World) -> Vault {
        let World { store, authorizer, clock, .. } = world;
        let keys = MasterKeys::new(self.transit());
        Vault::new(store.clone(), authorizer.clone(), keys, clock.clone(), Duration::from_secs(60))
    }

    /// What every request goes through; the answer, where it is not what was asked for.
    async fn before(&self, what: &str, headers: &HeaderMap) -> Option<Response> {
        self.set(|engine| {
            engine.asked.push(what.to_owned());
            engine.traces.extend(headers.get("traceparent").map(|trace| trace.to_str().unwrap().to_owned()));
        });
        let fault = self.engine.lock().unwrap().fault;
        if headers.get("X-Vault-Token").and_then(|token| token.to_str().ok()) != Some(TOKEN) {
            return Some(refusal(403, "permission denied"));
        }
        match fault {
            Fault::None | Fault::WrongType => None,
            Fault::Slow => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                None
            }
            Fault::Status(status) => Some(refusal(status, "the value was s3cret-answer")),
            Fault::Garbage => Some("{\"data\": {\"s3cret-answer\": 1}}".into_response()),
            Fault::Huge => Some("x".repeat(1024 * 1024).into_response()),
            Fault::Redirect => Some((StatusCode::TEMPORARY_REDIRECT, [("Location", "/elsewhere")]).into_response()),
        }
    }
}

fn refusal(status: u16, text: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), json!({ "errors": [text] }).to_string()).into_response()
}

fn answer(data: Value) -> Response {
    json!({ "request_id": "1", "data": data }).to_string().into_response()
}

async fn info(State(own): State<StandIn>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    if let Some(answer) = own.before("keys", &headers).await {
        return answer;
    }
    if name != "project-vault" {
        return refusal(404, "");
    }
    let engine = own.engine.lock().unwrap();
    let kind = if engine.fault == Fault::WrongType { "rsa-2048" } else { "aes256-gcm96" };
    let versions: HashMap<String, u64> =
        (1..=engine.latest).map(|version| (version.to_string(), 1_700_000_000)).collect();
    answer(json!({
        "name": name, "type": kind, "derived": false, "exportable": false, "keys": versions,
        "latest_version": engine.latest, "min_decryption_version": engine.oldest, "min_encryption_version": 0,
    }))
}

async fn encrypt(State(own): State<StandIn>, Path(name): Path<String>, headers: HeaderMap, body: String) -> Response {
    if let Some(answer) = own.before("encrypt", &headers).await {
        return answer;
    }
    assert_eq!(name, "project-vault");
    let body: Value = serde_json::from_str(&body).unwrap();
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    assert_eq!(BASE64.decode(text("plaintext").as_bytes()).unwrap().len(), 32);
    assert!(!BASE64.decode(text("associated_data").as_bytes()).unwrap().is_empty());
    let mut engine = own.engine.lock().unwrap();
    let sealed = BASE64.encode(format!("sealed {}", engine.sealed.len()).as_bytes());
    let ciphertext = format!("vault:v{}:{sealed}", engine.latest);
    engine.sealed.insert(ciphertext.clone(), (text("plaintext"), text("associated_data")));
    let version = engine.latest;
    answer(json!({ "ciphertext": ciphertext, "key_version": version }))
}

async fn decrypt(State(own): State<StandIn>, headers: HeaderMap, body: String) -> Response {
    if let Some(answer) = own.before("decrypt", &headers).await {
        return answer;
    }
    let body: Value = serde_json::from_str(&body).unwrap();
    let associated = BASE64.decode(body["associated_data"].as_str().unwrap().as_bytes()).unwrap();
    if associated.windows(8).any(|window| window == b"data-key") {
        own.set(|engine| engine.asked.push(DATA_KEY_OPENED.to_owned()));
    }
    let engine = own.engine.lock().unwrap();
    let ciphertext = body["ciphertext"].as_str().unwrap();
    let version: u32 = ciphertext.split(':').nth(1).unwrap()[1..].parse().unwrap();
    if version < engine.oldest {
        return refusal(400, "ciphertext or signature version is disallowed by policy (too old)");
    }
    match engine.sealed.get(ciphertext) {
        Some((plaintext, associated)) if body["associated_data"] == json!(associated) => {
            answer(json!({ "plaintext": plaintext }))
        }
        _ => refusal(400, "cipher: message authentication failed"),
    }
}

async fn resolve(vault: &Vault) -> Result<(), Error> {
    vault.agents().resolve(&runtime("acme-runtime"), tool_asks(agent_asks("builder", &["TOKEN"]))).await.map(drop)
}

both! {
    async fn the_engine_wraps_and_never_shows_its_key(world: World) {
        let engine = StandIn::start().await;
        let mut world = world;
        world.set_up_with(MasterKeys::new(engine.transit())).await;
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "a value")).await.unwrap();
        world.vault.installation().check_keyring().await.unwrap();
        assert_eq!(world.text("SELECT master_key AS t FROM data_keys").await, "transit:project-vault:v1");
        assert_eq!(world.text("SELECT master_key AS t FROM installation_keys").await, "transit:project-vault:v1");
        let bytes = world.stored_bytes().await;
        for (plaintext, _) in engine.engine.lock().unwrap().sealed.values() {
            let raw = BASE64.decode(plaintext.as_bytes()).unwrap();
            assert!(!bytes.windows(raw.len()).any(|window| window == raw), "a data key is in the database");
        }

        // Many who ask at once have it unwrapped once.
        let other = engine.server(&world);
        let before = engine.asked(DATA_KEY_OPENED);
        let all = futures::future::join_all((0..20).map(|_| resolve(&other))).await;
        let refused: Vec<_> = all.into_iter().filter_map(Result::err).collect();
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(engine.asked(DATA_KEY_OPENED) - before, 1);
    }

    async fn the_first_callers_of_a_server_hold_no_connection_while_the_engine_is_slow(world: World) {
        let engine = StandIn::start().await;
        let mut world = world;
        world.set_up_with(MasterKeys::new(engine.transit())).await;
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "a value")).await.unwrap();
        engine.set(|engine| engine.fault = Fault::Slow);
        // More than there are connections, at a server that has opened no key yet.
        let new = engine.server(&world);
        let first = (0..40).map(|_| resolve(&new));
        let (first, beside) = tokio::join!(futures::future::join_all(first), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let began = Instant::now();
            resolve(&world.vault).await.map(|()| began.elapsed())
        });
        assert!(first.iter().all(|answer| answer.as_ref().unwrap_err().code().as_str() == "UNAVAILABLE"));
        assert!(beside.as_ref().unwrap() < &Duration::from_secs(2), "{beside:?}");
    }

    async fn the_engines_key_is_rotated_and_everything_follows(world: World) {
        let engine = StandIn::start().await;
        let mut world = world;
        world.set_up_with(MasterKeys::new(engine.transit())).await;
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "a value")).await.unwrap();
        engine.set(|engine| engine.latest = 2);
        let status = world.vault.rotation().status().await.unwrap();
        let states: Vec<_> = status.master_keys.iter().map(|key| (key.id.as_str(), key.current, key.data_keys)).collect();
        assert_eq!(states, [("transit:project-vault:v1", false, 1), ("transit:project-vault:v2", true, 0)]);
        let rewrapped = engine.server(&world).rotation().rewrap(&operator(), &|_, _| {}).await.unwrap();
        assert_eq!((rewrapped.data_keys, rewrapped.installation_keys, rewrapped.left), (1, 1, 0));
        engine.set(|engine| engine.oldest = 2);
        engine.server(&world).installation().check_keyring().await.unwrap();
        assert_eq!(value(&engine.server(&world), "TOKEN").await, "a value");
        assert_eq!(world.text("SELECT master_key AS t FROM data_keys").await, "transit:project-vault:v2");
    }

    async fn a_wrapped_key_at_another_place_or_under_another_version_is_refused(world: World) {
        let engine = StandIn::start().await;
        let mut world = world;
        world.set_up_with(MasterKeys::new(engine.transit())).await;
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "a value")).await.unwrap();
        world.sql("CREATE TABLE kept AS SELECT * FROM data_keys").await.unwrap();
        for change in [
            "UPDATE data_keys SET wrapped = (SELECT wrapped FROM installation_keys)",
            "UPDATE data_keys SET master_key = 'transit:project-vault:v2'",
            "UPDATE data_keys SET master_key = 'transit:other:v1'",
            "UPDATE data_keys SET master_key = 'k-0badcafe'",
        ] {
            world.sql(change).await.unwrap();
            let refused = resolve(&engine.server(&world)).await.unwrap_err();
            assert_eq!(refused.code().as_str(), "INTERNAL", "{change}");
            assert!(engine.server(&world).installation().check_keyring().await.is_err(), "{change}");
            let back = "UPDATE data_keys SET (master_key, wrapped) = (SELECT master_key, wrapped FROM kept)";
            world.sql(back).await.unwrap();
        }
        world.sql("DROP TABLE kept").await.unwrap();
        assert!(resolve(&engine.server(&world)).await.is_ok());
    }

    async fn a_keyring_is_left_behind_for_an_engine_and_back_again(world: World) {
        let engine = StandIn::start().await;
        let ringed = Ringed::with(world, &[("TOKEN", "a value")]).await;
        add_projects(&ringed.world, 20).await;
        let World { store, authorizer, clock, .. } = &ringed.world;
        let with = |first: Box<dyn KeyProvider>, older: Box<dyn KeyProvider>| {
            let keys = MasterKeys::with_older(first, [older]);
            Vault::new(store.clone(), authorizer.clone(), keys, clock.clone(), Duration::from_secs(60))
        };
        let keyring = || -> Box<dyn KeyProvider> {
            let path = ringed.path.clone();
            Box::new(KeyringProvider::new(Arc::new(move || Keyring::read_file(&path))))
        };
        let both = with(Box::new(engine.transit()), keyring());
        both.installation().check_keyring().await.unwrap();
        let rewrapped = both.rotation().rewrap(&operator(), &|_, _| {}).await.unwrap();
        assert_eq!((rewrapped.data_keys, rewrapped.master_key.as_str()), (21, "transit:project-vault:v1"));
        engine.server(&ringed.world).installation().check_keyring().await.unwrap();
        assert_eq!(value(&engine.server(&ringed.world), "TOKEN").await, "a value");
        let back = with(keyring(), Box::new(engine.transit()));
        back.rotation().rewrap(&operator(), &|_, _| {}).await.unwrap();
        ringed.server().installation().check_keyring().await.unwrap();
        assert_eq!(value(&ringed.server(), "TOKEN").await, "a value");
    }

    async fn opening_a_data_key_at_a_slow_engine_holds_no_lock(world: World) {
        let mut world = world;
        let engine = StandIn::start().await;
        world.set_up_with(MasterKeys::new(engine.transit())).await;
        world.demo().await;
        let projects: Vec<String> = (0..8).map(|n| format!("p-{n}")).collect();
        for project in &projects {
            let new = new_project(project, "zoe");
            world.vault.projects().register(&service("platform"), new).await.unwrap();
        }
        // This server has opened the data key of one project only.
        let server = engine.server(&world);
        server.entries().create(&user("bob"), entry("TOKEN", "a value")).await.unwrap();
        engine.set(|engine| engine.fault = Fault::Slow);
        let waiting: Vec<_> = projects
            .iter()
            .map(|project| {
                let (server, new) = (server.clone(), NewEntry { project: project.clone(), ..entry("TOKEN", "v") });
                tokio::spawn(async move { server.entries().create(&user("zoe"), new).await.map(drop) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        server.entries().create(&user("bob"), entry("OTHER", "a value")).await.unwrap();
        resolve(&server).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(waiting.iter().all(|change| !change.is_finished()), "the others still wait for the engine");
        for change in waiting {
            assert_eq!(change.await.unwrap().unwrap_err().code().as_str(), "UNAVAILABLE");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_does_not_do_its_part_closes_the_vault_until_it_does() {
    let engine = StandIn::start().await;
    let mut world = World::new(Backend::Sqlite).await;
    world.set_up_with(MasterKeys::new(engine.transit())).await;
    world.demo().await;
    world.vault.entries().create(&user("bob"), entry("TOKEN", "a value")).await.unwrap();
    for fault in [
        Fault::Slow,
        Fault::Status(403),
        Fault::Status(404),
        Fault::Status(429),
        Fault::Status(500),
        Fault::Status(503),
        Fault::Garbage,
        Fault::Huge,
        Fault::Redirect,
    ] {
        engine.set(|engine| engine.fault = fault);
        let began = Instant::now();
        let server = engine.server(&world);
        let refused = resolve(&server).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(9), "a bounded wait");
        assert_eq!(refused.code().as_str(), "UNAVAILABLE");
        let ready = server.health().ready().await;
        assert!(ready.contains(&("keyring", false)) && ready.contains(&("database", true)));
        engine.set(|engine| engine.fault = Fault::None);
        assert!(resolve(&server).await.is_ok(), "it goes on without a restart");
    }
    assert_eq!(world.number("SELECT count(*) AS n FROM audit_events WHERE outcome = 'FAILED'").await, 0);
}

#[tokio::test]
async fn what_is_wrong_with_the_engine_names_the_setting_and_no_secret() {
    let engine = StandIn::start().await;
    let said = async |transit: &Transit| {
        let error = transit.current().await.err().unwrap();
        let said = format!("{error} {error:?}");
        assert!(!said.contains("hunter2") && !said.contains("s3cret"), "{said}");
        said
    };
    for (fault, expected) in [
        (Fault::Status(403), &["VAULT_TRANSIT_TOKEN", "403"][..]),
        (Fault::Status(404), &["VAULT_TRANSIT_KEY", "404"]),
        (Fault::Status(500), &["VAULT_TRANSIT_URL", "500"]),
        (Fault::Garbage, &["VAULT_TRANSIT_URL"]),
        (Fault::Redirect, &["307"]),
        (Fault::WrongType, &["VAULT_TRANSIT_KEY", "aes256-gcm96"]),
        (Fault::Slow, &["VAULT_TRANSIT_URL", "timed out"]),
    ] {
        engine.set(|engine| engine.fault = fault);
        let said = said(&engine.transit()).await;
        assert!(expected.iter().all(|part| said.contains(part)), "{expected:?} in {said}");
    }
    engine.set(|engine| engine.fault = Fault::None);
    let other = Transit::new(&engine.config("another-hunter2")).unwrap();
    assert!(said(&other).await.contains("VAULT_TRANSIT_TOKEN"));
    let nobody = TransitConfig { url: TransitUrl::parse("http://127.0.0.1:1").unwrap(), ..engine.config(TOKEN) };
    assert!(said(&Transit::new(&nobody).unwrap()).await.contains("VAULT_TRANSIT_URL"));
    let missing = TransitConfig { key: "missing".to_owned(), ..engine.config(TOKEN) };
    assert!(said(&Transit::new(&missing).unwrap()).await.contains("VAULT_TRANSIT_KEY"));
}
