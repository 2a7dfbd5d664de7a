//! Asking a vault over HTTP. Everything asked here can be asked again: a resolve changes nothing
//! but its own records.

use super::AgentFailure;
use super::bounded::bounded;
use crate::command::{OneLine, Untrusted};
use crate::domain::{ErrorCode, root_cause, with_causes};
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The longest that one attempt may take, and its connection.
const ATTEMPT: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// Maximum number of attempts.
const ATTEMPTS: u32 = 5;
/// The longest pause after the first attempt; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest that a server may ask to wait for.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// No answer is larger: 4 MiB of values, sealed and in base64, with what stands around them.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A vault, and the token that opens it.
pub struct VaultClient {
    http: reqwest::Client,
    url: Url,
    token: SecretString,
    timeout: Duration,
}

/// The result of one attempt.
enum Attempt<T> {
    Answered(T),
    /// Worth another try, at the earliest after a while.
    Again(String, Option<Duration>),
    Failed(AgentFailure),
}

/// An answer as far as every GraphQL server gives it. What it does not name is read over, never
/// built in memory: a few bytes of JSON become fifty times as many of a tree.
#[derive(Deserialize)]
struct Envelope {
    data: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "bounded")]
    errors: Vec<Error>,
}

/// The same answer, with what was asked for.
#[derive(Deserialize)]
struct Success<T> {
    data: Data<T>,
}

#[derive(Deserialize)]
struct Data<T> {
    #[serde(alias = "resolveSecrets", alias = "previewSecrets")]
    answer: T,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    message: Untrusted,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Extensions {
    #[serde(default)]
    code: Untrusted,
    request_id: Option<Untrusted>,
    retry_after_seconds: Option<u64>,
}

impl VaultClient {
    /// Gets ready to ask; nothing is sent yet.
    ///
    /// # Errors
    /// When this machine cannot do TLS.
    pub fn new(url: Url, token: &SecretString, timeout: Duration) -> Result<Self, AgentFailure> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| AgentFailure::Refused("the token is none".to_owned()))?;
        // Kept out of whatever prints headers.
        bearer.set_sensitive(true);
        let mut builder = reqwest::Client::builder()
            .default_headers([(AUTHORIZATION, bearer)].into_iter().collect())
            // The token is for this address and no other.
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(concat!("project-vault/", env!("CARGO_PKG_VERSION")));
        if url.scheme() == "http" {
            // A proxy would see the token; and reading the machine's certificates takes longer than
            // the whole call.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|error| AgentFailure::Unreachable(format!("TLS cannot be set up: {}", with_causes(&error))))?;
        Ok(Self { http, url, token: token.clone(), timeout })
    }

    /// Asks one operation of one field, again where that is safe and may help; gives the field.
    ///
    /// # Errors
    /// When the vault says no, or cannot be asked in time.
    pub async fn ask<T: DeserializeOwned>(&self, document: &str, input: Value) -> Result<T, AgentFailure> {
        let body = json!({ "query": document, "variables": { "input": input } }).to_string();
        let until = Instant::now() + self.timeout;
        let mut attempt = 1;
        loop {
            match self.attempt(&body, until).await {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Failed(failure) => return Err(failure),
                Attempt::Again(reason, at_least) => {
                    let pause = at_least.unwrap_or_else(|| jittered(PAUSE * 2_u32.pow(attempt - 1))).min(MAX_PAUSE);
                    if attempt == ATTEMPTS || Instant::now() + pause >= until {
                        let tries = if attempt == 1 { String::new() } else { format!(" (tried {attempt} times)") };
                        return Err(AgentFailure::Unreachable(format!("{reason}{tries}")));
                    }
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
            }
        }
    }

    /// The address, for messages: without what may be secret in it.
    fn place(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// A text of the server, which could repeat the token: without it.
    fn without_token(&self, text: &str) -> Untrusted {
        text.replace(self.token.expose_secret(), "[token]").into()
    }

    fn strange(&self, what: &str) -> AgentFailure {
        AgentFailure::Unreachable(format!("{}: {what}; is this the address of a vault, of this version?", self.place()))
    }

    async fn attempt<T: DeserializeOwned>(&self, body: &str, until: Instant) -> Attempt<T> {
        let left = until.saturating_duration_since(Instant::now()).min(ATTEMPT);
        let request = self.http.post(self.url.clone()).timeout(left).header("content-type", "application/json");
        let response = match request.header("accept", "application/json").body(body.to_owned()).send().await {
            Ok(response) => response,
            Err(error) => return self.unsent(&error),
        };
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
            return Attempt::Failed(AgentFailure::Unreachable(format!(
                "{} redirects to {}; a token is not sent along, set PROJECT_VAULT_URL to the right address",
                self.place(),
                self.without_token(to)
            )));
        }
        let wait = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        let wait = wait.map(Duration::from_secs);
        let body = match read(response).await {
            Ok(body) => body,
            Err(Some(error)) => return self.unsent(&error),
            Err(None) => return Attempt::Failed(self.strange("its answer is larger than 16 MiB")),
        };
        match serde_json::from_slice::<Envelope>(&body) {
            Ok(Envelope { data, errors }) => match (errors.into_iter().next(), data) {
                (Some(error), _) => self.refused(error, wait),
                (None, Some(_)) if status.is_success() => match serde_json::from_slice(&body) {
                    Ok(Success { data: Data { answer } }) => Attempt::Answered(answer),
                    Err(_) => Attempt::Failed(self.strange("its answer is not of the form that was asked for")),
                },
                _ => self.no_graphql(status, wait),
            },
            Err(_) => self.no_graphql(status, wait),
        }
    }

    fn unsent<T>(&self, error: &reqwest::Error) -> Attempt<T> {
        let place = self.place();
        let what = if error.is_timeout() {
            format!("{place} does not answer in time")
        } else if error.is_connect() {
            format!("{place} cannot be reached: {}", OneLine(root_cause(error)))
        } else {
            format!("{place}: the answer was cut off: {}", OneLine(root_cause(error)))
        };
        Attempt::Again(what, None)
    }

    fn refused<T>(&self, error: Error, wait: Option<Duration>) -> Attempt<T> {
        let Extensions { code, request_id, retry_after_seconds } = error.extensions;
        let shown = |text: Untrusted| self.without_token(text.as_received());
        let named = request_id.map_or_else(String::new, |id| format!(" (request {})", shown(id)));
        let message = format!("{}{named}", shown(error.message));
        match ErrorCode::parse(code.as_received()) {
            Some(ErrorCode::Unauthenticated | ErrorCode::Forbidden) => Attempt::Failed(AgentFailure::Refused(message)),
            Some(ErrorCode::Unavailable) => Attempt::Again(format!("the vault is not available: {message}"), wait),
            Some(ErrorCode::RateLimited) => {
                let wait = retry_after_seconds.map(Duration::from_secs).or(wait);
                Attempt::Again(format!("the vault asks for patience: {message}"), wait)
            }
            Some(ErrorCode::InvalidInput | ErrorCode::LimitExceeded) => Attempt::Failed(AgentFailure::Input(message)),
            Some(ErrorCode::Internal) => {
                Attempt::Failed(AgentFailure::Unreachable(format!("the vault failed: {message}")))
            }
            Some(
                ErrorCode::NotFound
                | ErrorCode::Conflict
                | ErrorCode::BadUserInput
                | ErrorCode::ParseFailed
                | ErrorCode::ValidationFailed
                | ErrorCode::PersistedQueryNotSupported,
            )
            | None => Attempt::Failed(self.strange(&message)),
        }
    }

    /// An answer that some other program than a vault gave, such as a proxy.
    fn no_graphql<T>(&self, status: StatusCode, wait: Option<Duration>) -> Attempt<T> {
        let what = format!("{} answers {status}", self.place());
        match status.as_u16() {
            401 | 403 => Attempt::Failed(AgentFailure::Refused(what)),
            408 | 429 | 502 | 503 | 504 => Attempt::Again(what, wait),
            _ => Attempt::Failed(self.strange(&format!("it answers {status}, and no GraphQL"))),
        }
    }
}

/// The body, unless it is larger than any answer.
async fn read(mut response: Response) -> Result<Vec<u8>, Option<reqwest::Error>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Some)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Between half of a span and all of it, so that many who were refused at once do not come back at
/// once.
fn jittered(span: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    span / 2 + (span / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
