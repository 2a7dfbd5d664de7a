//! OpenFGA over gRPC. Every call is bounded in time, and every question is asked with
//! HIGHER_CONSISTENCY, so that what was taken away a moment ago stays away.

mod checks;
mod lists;
mod set_up;

use super::model::Model;
use super::{InvalidChange, Question, Tuple, TupleChange, TupleFilter};
use crate::domain::{Error, Result};
use crate::permission::Permission;
use crate::trace::{ExportedSpan, TraceContext};
use checks::Checks;
use lists::Lists;
use openfga_client::client::{
    ConsistencyPreference, OpenFgaServiceClient, ReadRequest, ReadRequestTupleKey, TupleKey, TupleKeyWithoutCondition,
    WriteRequest, WriteRequestDeletes, WriteRequestWrites,
};
use secrecy::{ExposeSecret as _, SecretString};
pub use set_up::{PinnedModel, SetupError};
use set_up::{UNREADABLE, digest};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

/// Checks in one batch: OpenFGA's default limit.
pub(super) const BATCH: usize = 50;
/// Tuples in one write: OpenFGA's default limit.
const WRITE: usize = 100;
/// Tuples in one page: OpenFGA's limit.
const PAGE: i32 = 100;
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// Time without a sign of the server after which a connection with calls under way is probed.
/// Shorter than a call, so that a connection whose other end is gone without a word is noticed by
/// the calls that meet it.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum time for the answer to a probe; then the connection is replaced.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);
/// Concurrent writes of one tuple answer Aborted; so often is such a write tried.
const TRIES: u32 = 5;
const CONSISTENCY: i32 = ConsistencyPreference::HigherConsistency as i32;
/// How long a confirmation of store and model holds for `/readyz`.
const CONFIRM_EVERY: Duration = Duration::from_secs(60);
/// How long it is not asked again after it has not confirmed them.
const CONFIRM_AGAIN: Duration = Duration::from_secs(1);
const WRITE_METHOD: &str = "openfga.v1.OpenFGAService/Write";
/// A tuple that is there is no error on write, nor one that is not on delete.
const IGNORE: &str = "ignore";

/// How OpenFGA is reached.
pub struct OpenFgaConfig {
    /// The gRPC endpoint: `http://...` or `https://...`.
    pub url: String,
    /// The name of the store.
    pub store: String,
    /// A bearer token, where OpenFGA wants one.
    pub token: Option<SecretString>,
}

#[derive(Clone)]
struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        for (name, value) in TraceContext::propagated().iter().flat_map(TraceContext::headers) {
            if let Ok(value) = value.parse() {
                request.metadata_mut().insert(name, value);
            }
        }
        Ok(request)
    }
}

type Client = OpenFgaServiceClient<InterceptedService<Channel, Bearer>>;

pub(super) struct OpenFga {
    client: Client,
    /// The store's name.
    name: String,
    pinned: PinnedModel,
    /// Held while OpenFGA is asked.
    confirmation: Mutex<Confirmation>,
    /// Whether it has, for what is asked without waiting.
    is_confirmed: AtomicBool,
    checks: Checks,
    lists: Lists,
    /// Tells which refused writes are invalid.
    model: Model,
}

/// Whether OpenFGA confirms store and model.
#[derive(Default)]
struct Confirmation {
    /// When it last did.
    at: Option<Instant>,
    /// When it last did not, since then.
    failed: Option<Instant>,
}

fn connect(config: &OpenFgaConfig) -> Result<Client, SetupError> {
    let mut endpoint = Endpoint::from_shared(config.url.clone())
        .map_err(|_| SetupError::Config("OPENFGA_URL is no URL; use http://HOST:8081 or https://HOST"))?
        .timeout(CALL_TIMEOUT)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    if config.url.starts_with("https://") {
        endpoint = endpoint
            .tls_config(ClientTlsConfig::new().with_enabled_roots())
            .map_err(|_| SetupError::Config("TLS to OPENFGA_URL cannot be configured"))?;
    }
    let token = match &config.token {
        Some(token) => {
            let value = format!("Bearer {}", token.expose_secret());
            let mut value: MetadataValue<Ascii> = value
                .parse()
                .map_err(|_| SetupError::Config("OPENFGA_TOKEN holds a character that no header can carry"))?;
            value.set_sensitive(true);
            Some(value)
        }
        None => None,
    };
    Ok(OpenFgaServiceClient::with_interceptor(endpoint.connect_lazy(), Bearer(token)))
}

/// Brings the store and the model in OpenFGA up to date; gives what the installation pins. Safe to
/// repeat.
pub(super) async fn set_up(
    config: &OpenFgaConfig,
    known: Option<PinnedModel>,
    may_create: bool,
) -> Result<PinnedModel, SetupError> {
    let mut client = connect(config)?;
    let pinned = set_up::find_or_make(&mut client, config, known, may_create).await?;
    let openfga = OpenFga::new(client, config, pinned.clone())?;
    // It has just been read.
    openfga.is_confirmed.store(true, Ordering::Release);
    let nowhere = TupleChange { write: Tuple::of_nowhere(), delete: vec![] };
    let applied = openfga.apply(&nowhere).await.map_err(|error| SetupError::Unreachable(error.to_string()))?;
    applied.map_err(|error| SetupError::Unreachable(error.to_string()))?;
    Ok(pinned)
}

/// Asks for stores, whichever there are.
pub(super) async fn reach(config: &OpenFgaConfig) -> Result<(), SetupError> {
    set_up::stores_named(&mut connect(config)?, &config.store).await.map(drop)
}

impl OpenFga {
    fn new(client: Client, config: &OpenFgaConfig, pinned: PinnedModel) -> Result<Self, SetupError> {
        Ok(Self {
            checks: Checks::new(client.clone(), pinned.clone())?,
            lists: Lists::new(client.clone(), pinned.clone()),
            client,
            name: config.store.clone(),
            pinned,
            confirmation: Mutex::default(),
            is_confirmed: AtomicBool::new(false),
            model: Model::load().map_err(|_| UNREADABLE)?,
        })
    }

    /// Uses what the installation pins, once OpenFGA has confirmed it. A server that starts while
    /// OpenFGA is down answers nothing until then.
    pub(super) async fn open(config: &OpenFgaConfig, pinned: PinnedModel) -> Result<Self, SetupError> {
        if pinned.digest != digest() {
            return Err(SetupError::NotMigrated);
        }
        let openfga = Self::new(connect(config)?, config, pinned)?;
        let asked = openfga.ask_to_confirm(&mut *openfga.confirmation.lock().await).await;
        match asked {
            Ok(()) => Ok(openfga),
            Err(error) if error.is_outage() => {
                tracing::warn!(%error, "OpenFGA does not answer; nothing is decided until it confirms store and model");
                Ok(openfga)
            }
            Err(error) => Err(error),
        }
    }

    /// The store and model it uses, as the installation pins them.
    pub(super) const fn pinned(&self) -> &PinnedModel {
        &self.pinned
    }

    /// Has OpenFGA confirm store and model again, unless it did less than a minute ago. While it
    /// does not, nothing is decided.
    pub(super) async fn confirm(&self) -> Result<()> {
        self.confirm_within(Some(CONFIRM_EVERY)).await
    }

    /// Callers that wait for the same confirmation share its result, even if there is none.
    async fn confirm_within(&self, age: Option<Duration>) -> Result<()> {
        let mut known = self.confirmation.lock().await;
        if known.at.is_some_and(|at| age.is_none_or(|age| at.elapsed() < age)) {
            return Ok(());
        }
        if known.failed.is_some_and(|at| at.elapsed() < CONFIRM_AGAIN) {
            return Err(unavailable());
        }
        self.ask_to_confirm(&mut known).await.map_err(|error| {
            tracing::error!(%error, "OpenFGA does not confirm the store and the model of this installation");
            unavailable()
        })
    }

    /// An outage leaves what was confirmed as it was: whatever is asked then fails by itself.
    async fn ask_to_confirm(&self, known: &mut Confirmation) -> Result<(), SetupError> {
        let asked = set_up::confirm(&self.client, &self.name, &self.pinned).await;
        let now = Instant::now();
        match &asked {
            Ok(()) => {
                *known = Confirmation { at: Some(now), failed: None };
                self.is_confirmed.store(true, Ordering::Release);
            }
            Err(error) if error.is_outage() => known.failed = Some(now),
            Err(_) => {
                *known = Confirmation { at: None, failed: Some(now) };
                self.is_confirmed.store(false, Ordering::Release);
            }
        }
        asked
    }

    /// Lets nothing be asked or changed before OpenFGA has confirmed store and model.
    async fn require_confirmed(&self) -> Result<()> {
        if self.is_confirmed.load(Ordering::Acquire) { Ok(()) } else { self.confirm_within(None).await }
    }

    /// Answers in the order of the questions; an answer that is not complete is none.
    pub(super) async fn check(&self, questions: &[Question]) -> Result<Vec<bool>> {
        self.require_confirmed().await?;
        self.checks.ask(questions).await
    }

    /// Answers without waiting behind callers, for `/readyz`.
    pub(super) async fn check_at_once(&self, questions: &[Question]) -> Result<Vec<bool>> {
        self.require_confirmed().await?;
        self.checks.ask_at_once(questions).await
    }

    /// The projects on which a subject holds a permission; `None` when there are more than `limit`.
    pub(super) async fn projects(
        &self,
        subject: &str,
        permission: Permission,
        limit: usize,
    ) -> Result<Option<Vec<String>>> {
        self.require_confirmed().await?;
        self.lists.projects(subject, permission, limit).await
    }

    pub(super) async fn apply(&self, change: &TupleChange) -> Result<Result<(), InvalidChange>> {
        self.require_confirmed().await?;
        let deletes = change.delete.iter().map(|tuple| (false, tuple));
        let writes = change.write.iter().map(|tuple| (true, tuple));
        let all: Vec<(bool, &Tuple)> = deletes.chain(writes).collect();
        for chunk in all.chunks(WRITE) {
            let Err(status) = self.write(chunk).await else { continue };
            // OpenFGA's own codes arrive as unknown ones, those of its failures as well.
            let is_invalid = status.code() == Code::InvalidArgument
                || status.code() == Code::Unknown
                    && chunk.iter().any(|(write, tuple)| *write && self.model.check(tuple).is_err());
            let error = failed(status);
            return if is_invalid { Ok(Err(InvalidChange)) } else { Err(error) };
        }
        Ok(Ok(()))
    }

    async fn write(&self, tuples: &[(bool, &Tuple)]) -> Result<(), Status> {
        let writes: Vec<TupleKey> = tuples
            .iter()
            .filter(|(write, _)| *write)
            .map(|(_, tuple)| TupleKey {
                user: tuple.subject().to_owned(),
                relation: tuple.relation().to_owned(),
                object: tuple.object().to_owned(),
                condition: None,
            })
            .collect();
        let deletes: Vec<TupleKeyWithoutCondition> = tuples
            .iter()
            .filter(|(write, _)| !*write)
            .map(|(_, tuple)| TupleKeyWithoutCondition {
                user: tuple.subject().to_owned(),
                relation: tuple.relation().to_owned(),
                object: tuple.object().to_owned(),
            })
            .collect();
        let request = WriteRequest {
            store_id: self.pinned.store.clone(),
            authorization_model_id: self.pinned.model.clone(),
            writes: (!writes.is_empty())
                .then(|| WriteRequestWrites { tuple_keys: writes, on_duplicate: IGNORE.to_owned() }),
            deletes: (!deletes.is_empty())
                .then(|| WriteRequestDeletes { tuple_keys: deletes, on_missing: IGNORE.to_owned() }),
        };
        let mut wait = Duration::from_millis(10);
        for _ in 1..TRIES {
            match bounded(WRITE_METHOD, self.client.clone().write(request.clone())).await {
                Err(status) if status.code() == Code::Aborted => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                result => return result.map(drop),
            }
        }
        bounded(WRITE_METHOD, self.client.clone().write(request)).await.map(drop)
    }

    pub(super) async fn read(&self, filter: &TupleFilter) -> Result<Vec<Tuple>> {
        self.require_confirmed().await?;
        let key = ReadRequestTupleKey {
            user: filter.subject.clone().unwrap_or_default(),
            relation: filter.relation.unwrap_or_default().to_owned(),
            object: filter.object.clone(),
        };
        let mut tuples = Vec::new();
        let mut continuation_token = String::new();
        loop {
            let request = ReadRequest {
                store_id: self.pinned.store.clone(),
                tuple_key: Some(key.clone()),
                page_size: Some(PAGE),
                continuation_token,
                consistency: CONSISTENCY,
            };
            let mut client = self.client.clone();
            let page =
                bounded("openfga.v1.OpenFGAService/Read", client.read(request)).await.map_err(failed)?.into_inner();
            let keys = page.tuples.into_iter().filter_map(|tuple| tuple.key);
            tuples.extend(keys.map(|key| Tuple::new(key.user, key.relation, key.object)));
            continuation_token = page.continuation_token;
            if continuation_token.is_empty() {
                return Ok(tuples);
            }
        }
    }
}

const fn unavailable() -> Error {
    Error::unavailable("The vault's authorizer cannot answer now; nothing was changed. Try again.")
}

/// Waits for a call of this method no longer than any may take.
async fn bounded<T>(method: &'static str, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let span = ExportedSpan::grpc_call(method);
    let answer = tokio::time::timeout(CALL_TIMEOUT, span.around(call)).await;
    let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
    span.grpc_status(answer.as_ref().err().map_or(Code::Ok, Status::code) as i32);
    answer
}

/// Logs that a call failed. The status' text may repeat the request.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(status: Status) -> Error {
    tracing::warn!(code = ?status.code(), "OpenFGA failed");
    unavailable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_carries_the_token_and_the_trace_of_its_request() {
        let headers = async || Bearer(Some("Bearer t".parse().unwrap())).call(Request::new(())).unwrap().into_parts().0;
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::of(Some(parent), Some("a=b"));
        let within = trace.clone().within(tracing::Span::none(), headers()).await;
        let text = |name| within.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(text("authorization").as_deref(), Some("Bearer t"));
        assert_eq!(text("traceparent"), Some(trace.to_string()));
        assert_eq!(text("tracestate").as_deref(), Some("a=b"));
        assert!(headers().await.get("traceparent").is_none(), "what no request asks for has no trace");
    }
}
