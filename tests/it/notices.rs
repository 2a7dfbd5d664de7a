//! Notices reach their receiver once, signed, and without values.

use crate::support::{Backend, Installation, entry, setting, user};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use axum::Router;
use axum::extract::{Request, State};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use project_vault::vault::{Change, NewEntry, Rotation, Vault};
use project_vault::webhook::{Webhook, WebhookConfig, WebhookSecret, WebhookUrl};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const KEY: [u8; 32] = [7; 32];
const VALUE: &str = "sk-live-0123456789-never-in-a-notice";

fn secret() -> String {
    format!("whsec_{}", STANDARD.encode(KEY))
}

/// A request that a receiver got.
#[derive(Debug, Clone)]
struct Received {
    path: String,
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Received {
    fn message(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Verifies both signatures, as the specification says.
    async fn verify(&self, vault: &Vault) {
        let signed = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        let (v1, v1a) = self.signature.split_once(' ').unwrap();
        let mut hmac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
        hmac.update(signed.as_bytes());
        hmac.verify_slice(&STANDARD.decode(v1.strip_prefix("v1,").unwrap()).unwrap()).expect("the signature v1");
        let keys = vault.installation().statement_keys().await.unwrap();
        let public = URL_SAFE_NO_PAD.decode(keys["keys"][0]["x"].as_str().unwrap()).unwrap();
        let signature = STANDARD.decode(v1a.strip_prefix("v1a,").unwrap()).unwrap();
        UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &signature).expect("the signature v1a");
        assert!(!self.body.contains(VALUE) && self.id.starts_with("msg_"), "{self:?}");
    }
}

#[derive(Default)]
struct Script {
    got: Vec<Received>,
    /// The next answers; then 204. 0 stands for none.
    answers: VecDeque<u16>,
}

/// A receiver of notices, with an address of its own.
#[derive(Clone)]
struct Receiver {
    url: String,
    script: Arc<Mutex<Script>>,
}

async fn receive(State(script): State<Arc<Mutex<Script>>>, request: Request) -> http::Response<String> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap();
    let header =
        |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let got = Received {
        path: parts.uri.path().to_owned(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let status = {
        let mut script = script.lock().unwrap();
        script.got.push(got);
        script.answers.pop_front().unwrap_or(204)
    };
    if status == 0 {
        std::future::pending::<()>().await;
    }
    http::Response::builder().status(status).header("location", "/elsewhere").body(String::new()).unwrap()
}

impl Receiver {
    async fn answering(answers: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?token=t", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script { got: Vec::new(), answers: answers.iter().copied().collect() }));
        let app = Router::new().fallback(receive).with_state(script.clone());
        tokio::spawn(async move { axum_server_of(listener, app).await });
        Self { url, script }
    }

    fn webhook(&self) -> Webhook {
        let url = WebhookUrl::parse(&self.url, false).ok().unwrap();
        Webhook::new(&WebhookConfig {
            url,
            secret: WebhookSecret::parse(&secret()).ok().unwrap(),
            allow_private: false,
        })
        .unwrap()
    }

    fn got(&self) -> Vec<Received> {
        self.script.lock().unwrap().got.clone()
    }
}

async fn axum_server_of(listener: tokio::net::TcpListener, app: Router) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(app.clone());
        let io = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(async move {
            let _ended = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}

async fn find_and_deliver(vault: &Vault, webhook: &Webhook) {
    vault.notices().find_due_entries().await.unwrap();
    vault.notices().find_bulk_refusals().await.unwrap();
    vault.notices().deliver(webhook).await.unwrap();
}

/// The type of a message, the name of its entry, and the threshold in days.
fn summary(message: &Value) -> String {
    let data = &message["data"];
    format!("{} {} {}", message["type"].as_str().unwrap(), data["name"].as_str().unwrap(), data["withinDays"])
}

both! {
    async fn what_is_due_is_told_once_for_each_threshold(world: World) {
        world.demo().await;
        let now = project_vault::domain::Clock::now(&*world.clock);
        let expires = now.plus(5 * DAY);
        world.vault.entries().create(&user("bob"), NewEntry { expires_at: Some(expires), ..entry("EXPIRING", VALUE) }).await.unwrap();
        let rotated = NewEntry { rotation_interval_days: Some(9), ..entry("ROTATED", VALUE) };
        let rotated = world.vault.entries().create(&user("bob"), rotated).await.unwrap();
        let later = NewEntry { expires_at: Some(now.plus(300 * DAY)), ..entry("LATER", VALUE) };
        world.vault.entries().create(&user("bob"), later).await.unwrap();
        let receiver = Receiver::answering(&[]).await;
        let (webhook, other) = (receiver.webhook(), world.another_server());
        // Two servers, at once, again and again.
        let told = async || {
            for _ in 0..3 {
                tokio::join!(find_and_deliver(&world.vault, &webhook), find_and_deliver(&other, &webhook));
            }
            let got = receiver.got();
            for one in &got {
                one.verify(&world.vault).await;
            }
            // The two servers send at once, so the order of arrival means nothing.
            let mut told: Vec<String> = got.iter().map(|one| summary(&one.message())).collect();
            told.sort();
            told
        };
        assert_eq!(told().await, ["entry.expiring EXPIRING 7"]);
        world.clock.advance(4 * DAY + Duration::from_secs(60));
        let before_rotation = ["entry.expiring EXPIRING 1", "entry.expiring EXPIRING 7", "entry.rotation_due ROTATED 7"];
        assert_eq!(told().await, before_rotation);
        let message = receiver.got()[0].message();
        let expected = (&json!(expires.to_rfc3339()), &json!("demo"));
        assert_eq!((&message["data"]["expiresAt"], &message["data"]["projectId"]), expected);
        // A rotation begins the next interval, and nobody is told of the one before.
        world.clock.advance(4 * DAY);
        let rotation = Rotation {
            id: rotated.id.to_string(),
            value: VALUE.into(),
            expires_at: Change::Keep,
            expected_revision: None,
        };
        world.vault.notices().find_due_entries().await.unwrap();
        world.vault.entries().rotate(&user("bob"), rotation).await.unwrap();
        assert_eq!(told().await, before_rotation, "the notice that waited is outdated");
        world.clock.advance(3 * DAY);
        let [first, second, third] = before_rotation;
        assert_eq!(told().await, [first, second, third, third]);
    }

    async fn a_receiver_that_fails_gets_a_notice_later_with_the_same_id(world: World) {
        world.demo().await;
        let now = project_vault::domain::Clock::now(&*world.clock);
        let expires_at = Some(now.plus(6 * DAY));
        world.vault.entries().create(&user("bob"), NewEntry { expires_at, ..entry("TOKEN", VALUE) }).await.unwrap();
        // A redirect is a failure, and is not followed; 0 is no answer.
        let receiver = Receiver::answering(&[302, 0, 500]).await;
        let webhook = receiver.webhook();
        for (attempts, wait) in [(1, 5), (2, 300), (3, 1_800), (4, 7_200), (4, 7_200)] {
            find_and_deliver(&world.vault, &webhook).await;
            find_and_deliver(&world.vault, &webhook).await;
            let got = receiver.got();
            assert_eq!(got.len(), attempts, "{got:?}");
            assert!(got.iter().all(|one| one.id == got[0].id && one.path == "/hook"), "{got:?}");
            got.last().unwrap().verify(&world.vault).await;
            world.clock.advance(Duration::from_secs(wait));
        }
    }

    async fn a_notice_is_given_up_after_three_days(world: World) {
        world.demo().await;
        let now = project_vault::domain::Clock::now(&*world.clock);
        let expires_at = Some(now.plus(300 * DAY));
        world.vault.entries().create(&user("bob"), NewEntry { expires_at, ..entry("TOKEN", VALUE) }).await.unwrap();
        world.clock.advance(294 * DAY);
        let receiver = Receiver::answering(&[500; 30]).await;
        let webhook = receiver.webhook();
        for _ in 0..100 {
            find_and_deliver(&world.vault, &webhook).await;
            world.clock.advance(Duration::from_secs(60 * 60));
        }
        assert_eq!(receiver.got().len(), 10);
        assert_eq!(world.number("SELECT count(*) AS n FROM notices WHERE next_attempt_at IS NOT NULL").await, 0);
        assert_eq!(world.number("SELECT count(*) AS n FROM notices").await, 1, "it is not made again");
    }

    async fn refusals_are_told_first_and_what_cannot_be_read_holds_up_nothing(world: World) {
        world.demo().await;
        let now = project_vault::domain::Clock::now(&*world.clock);
        for (name, days) in [("FIRST", 3), ("SECOND", 4), ("THIRD", 5)] {
            let expires_at = Some(now.plus(days * DAY));
            world.vault.entries().create(&user("bob"), NewEntry { expires_at, ..entry(name, VALUE) }).await.unwrap();
        }
        world.vault.notices().find_due_entries().await.unwrap();
        world.sql("UPDATE entries SET created_by = '' WHERE name = 'FIRST'").await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        for _ in 0..150 {
            assert!(world.vault.milestones().close(&user("mallory"), "demo-launch".to_owned()).await.is_err());
        }
        world.vault.audit().record_repeated_denials(true).await.unwrap();
        let receiver = Receiver::answering(&[]).await;
        find_and_deliver(&world.vault, &receiver.webhook()).await;
        let told: Vec<Value> = receiver.got().iter().map(Received::message).collect();
        let about = |message: &Value| message["data"]["name"].as_str().map(ToOwned::to_owned);
        assert_eq!(told.iter().map(about).collect::<Vec<_>>(), [None, Some("SECOND".to_owned()), Some("THIRD".to_owned())]);
        assert_eq!(told[0]["type"], "accesses.refused");
        assert_eq!(world.number("SELECT count(*) AS n FROM notices WHERE next_attempt_at IS NOT NULL").await, 1);
    }

    async fn somebody_who_is_refused_in_bulk_is_told_of_once_an_hour(world: World) {
        world.demo().await;
        let receiver = Receiver::answering(&[]).await;
        let webhook = receiver.webhook();
        let refused = async |times: usize| {
            for _ in 0..times {
                assert!(world.vault.milestones().close(&user("mallory"), "demo-launch".to_owned()).await.is_err());
            }
            world.vault.audit().record_repeated_denials(true).await.unwrap();
            find_and_deliver(&world.vault, &webhook).await;
        };
        refused(90).await;
        assert_eq!(receiver.got().len(), 0, "not in bulk");
        refused(30).await;
        refused(30).await;
        let got = receiver.got();
        assert_eq!(got.len(), 1, "{got:?}");
        got[0].verify(&world.vault).await;
        let message = got[0].message();
        assert_eq!((&message["type"], &message["data"]["actor"]), (&json!("accesses.refused"), &json!("user:mallory")));
        assert!(message["data"]["count"].as_i64().unwrap() >= 100, "{message}");
        world.clock.advance(Duration::from_secs(2 * 60 * 60));
        refused(150).await;
        assert_eq!(receiver.got().len(), 2);
    }
}

/// The program itself, with its settings; a library of others verifies what it sends.
async fn a_server_sends_notices_that_a_library_verifies(backend: Backend) {
    let it = Installation::new(backend).await;
    let receiver = Receiver::answering(&[]).await;
    let log = it.file("log");
    let settings = [("VAULT_NOTICES_URL", receiver.url.as_str()), ("VAULT_NOTICES_SECRET", &secret())];
    let server = it.serve("warn", &log).await;
    it.add_demo(&server).await;
    let soon = (chrono::Utc::now() + chrono::Duration::days(3)).to_rfc3339();
    let create = format!(
        "mutation {{ createVaultEntry(input: {{ projectId: \"demo\", name: \"TOKEN\", value: \"{VALUE}\", category: SECRET, \
         expiresAt: \"{soon}\" }}) {{ userErrors {{ message }} }} }}"
    );
    it.ask(&server, "user:alice", &create, json!({})).await.unwrap();
    drop(server);
    let _servers = tokio::join!(it.serve_set(&settings, &log), it.serve_set(&settings, &log));
    for _ in 0..600 {
        if !receiver.got().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Time for a second one, which must not come.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let got = receiver.got();
    assert_eq!(got.len(), 1, "{got:?}");
    let script = "import sys, json\nfrom standardwebhooks import Webhook\nm = json.load(sys.stdin)\n\
                  print(Webhook(m['secret']).verify(m['body'], m['headers'])['data']['name'])";
    let headers = json!({
        "webhook-id": got[0].id, "webhook-timestamp": got[0].timestamp, "webhook-signature": got[0].signature
    });
    let input = json!({ "secret": secret(), "body": got[0].body, "headers": headers }).to_string();
    let mut python = std::process::Command::new(setting("VAULT_TEST_PYTHON"));
    python.args(["-c", script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = python.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "TOKEN");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains(VALUE) && !log.contains("token=t") && !log.contains(&secret()), "{log}");
}

on_both! { a_server_sends_notices_that_a_library_verifies }
