//! A server over a vault in SQLite, and its callers.

use project_vault::authz::Authorizer;
use project_vault::crypto::{Keyring, KeyringError};
use project_vault::domain::{Clock, ManualClock, Narrowing, ServiceId, Timestamp, TokenKind};
use project_vault::graphql::Api;
use project_vault::http::tokens::{Claims, IssuerConfig, KeySource, Signer, Verifier};
use project_vault::http::{Server, ServerConfig, ServerParts, TlsFiles};
use project_vault::store::{Store, Tx};
use project_vault::vault::{Installation, Vault};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const ISSUER: &str = "https://id.example";
/// What anybody may ask.
pub const ANYONE: &str = "{ __typename }";
/// What needs a token.
pub const SOMEONE: &str = "{ projectVault(projectId: \"p\") { status } }";

pub struct World {
    pub client: Client,
    pub address: SocketAddr,
    pub runtime_address: Option<SocketAddr>,
    pub metrics_address: SocketAddr,
    vault: Vault,
    parts: ServerParts,
    scheme: &'static str,
    signer: Signer,
    clock: Arc<ManualClock>,
    stop: Option<oneshot::Sender<()>>,
    run: JoinHandle<std::io::Result<()>>,
    _dir: TempDir,
}

/// What there is about a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// One address, and all parts work.
    Plain,
    TwoAddresses,
    Tls,
    NoDatabase,
    NoKeyring,
    /// The issuer's keys cannot be read.
    NoKeys,
    NoIntrospection,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Setting::Plain).await
    }

    pub async fn with(setting: Setting) -> Self {
        let dir = TempDir::new().unwrap();
        let place = if setting == Setting::NoDatabase { dir.path().join("missing") } else { dir.path().to_owned() };
        let store = Store::open(&format!("sqlite:{}", place.join("vault.db").display()), None).unwrap();
        if setting != Setting::NoDatabase {
            store.migrate().await.unwrap();
        }
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2031-01-01T00:00:00Z").unwrap()));
        let keyring: project_vault::vault::KeyringLoader = if setting == Setting::NoKeyring {
            Arc::new(|| Err(KeyringError::NoCurrent))
        } else {
            Arc::new(Keyring::generate)
        };
        let installation = Installation::new(store.clone(), keyring, clock.clone());
        if !matches!(setting, Setting::NoDatabase | Setting::NoKeyring) {
            installation.set_up_embedded(project_vault::vault::ExistingRows::Refuse).await.unwrap();
        }
        let vault = Vault::of(installation, Authorizer::embedded(store).unwrap(), Duration::from_secs(3600));

        let signer = Signer::generate().unwrap();
        let keys = if setting == Setting::NoKeys {
            KeySource::File("/no/such/file".into())
        } else {
            KeySource::Set(signer.jwks())
        };
        let issuer = IssuerConfig {
            iss: ISSUER.into(),
            keys,
            kinds: TokenKind::ALL.iter().copied().collect(),
            subject_prefix: None,
        };
        let verifier = Verifier::new(vec![issuer], clock.clone(), Duration::from_secs(300)).unwrap();
        verifier.load().await;

        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/http");
        let tls = TlsFiles { certificate: files.join("localhost.pem"), key: files.join("localhost.key") };
        let config = ServerConfig {
            listen: any,
            runtime_listen: (setting == Setting::TwoAddresses).then_some(any),
            metrics_listen: Some(any),
            tls: (setting == Setting::Tls).then_some(tls),
        };
        let parts = ServerParts {
            api: Api::new(vault.clone(), setting != Setting::NoIntrospection),
            verifier,
            dashboard: None,
        };
        let server = Server::bind(config, parts.clone()).await.unwrap();
        let (address, runtime_address) = (server.address(), server.runtime_address());
        let metrics_address = server.metrics_address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        let client = Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap();
        let scheme = if setting == Setting::Tls { "https" } else { "http" };
        let stop = Some(stop);
        Self {
            client,
            address,
            runtime_address,
            metrics_address,
            vault,
            parts,
            scheme,
            signer,
            clock,
            stop,
            run,
            _dir: dir,
        }
    }

    pub fn token(&self, kind: TokenKind, sub: &str) -> String {
        let now = self.clock.now();
        let claims = Claims {
            iss: ISSUER.into(),
            kind,
            sub: sub.into(),
            issued: now,
            expires: now.plus(Duration::from_secs(3600)),
            narrowing: Narrowing::default(),
        };
        self.signer.sign(&claims).unwrap()
    }

    /// What the server serves, for another one.
    pub fn parts(&self) -> ServerParts {
        self.parts.clone()
    }

    pub fn expire_tokens(&self) {
        self.clock.advance(Duration::from_secs(3700));
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    pub fn runtime_url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.runtime_address.unwrap())
    }

    /// A GET at the address for metrics, which never is https.
    pub fn get_metrics(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.metrics_address))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    /// A GET of `/graphql`.
    pub fn get_query(&self, parameters: &[(&str, &str)]) -> RequestBuilder {
        self.client.get(Url::parse_with_params(&self.url("/graphql"), parameters).unwrap())
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A POST of one document to `/graphql`.
    pub fn post(&self, query: &str) -> RequestBuilder {
        self.client.post(self.url("/graphql")).json(&json!({ "query": query }))
    }

    /// A POST of this text to `/graphql`, as JSON.
    pub fn post_text(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.post(self.url("/graphql")).header("content-type", "application/json").body(body)
    }

    pub async fn set_registrar(&self, service: &str) {
        self.vault.members().set_registrar(&ServiceId::parse(service).unwrap(), true).await.unwrap();
    }

    /// Lets nobody write until it is rolled back.
    pub async fn lock_database(&self) -> Tx {
        self.vault.store().begin().await.unwrap()
    }

    /// Asks the server to end.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits for its end.
    pub async fn ended(self) {
        tokio::time::timeout(Duration::from_secs(10), self.run).await.unwrap().unwrap().unwrap();
    }
}

/// A GraphQL answer with one error: its status, code and the headers that every answer has are
/// checked on the way.
pub async fn error(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body = checked(response).await;
    let errors = body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{body}");
    assert!(errors[0]["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert!(body.get("data").is_none_or(|data| status == StatusCode::OK || data.is_null()), "{body}");
    (status.as_u16(), errors[0]["extensions"]["code"].as_str().unwrap().to_owned())
}

/// The data of an answer without errors.
pub async fn data(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = checked(response).await;
    assert!(body.get("errors").is_none(), "{body}");
    body["data"].take()
}

async fn checked(response: Response) -> Value {
    let headers = response.headers().clone();
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
    let body: Value = response.json().await.unwrap();
    for error in body["errors"].as_array().into_iter().flatten() {
        assert_eq!(error["extensions"]["requestId"], headers["x-request-id"].to_str().unwrap(), "{body}");
    }
    body
}
