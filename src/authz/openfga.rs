//! OpenFGA over gRPC. Every call is bounded in time, and every question is asked with HIGHER_CONSISTENCY, so that what was
//! taken away a moment ago stays away.

use super::model::{JSON, Model};
use super::{Question, Tuple, TupleChange, TupleFilter};
use crate::domain::{Error, Result};
use crate::store::Store;
use crate::trace::TraceContext;
use futures::future::try_join_all;
use openfga_client::client::{
    AuthorizationModel, BatchCheckItem, BatchCheckRequest, CheckRequestTupleKey, ConsistencyPreference,
    CreateStoreRequest, ListStoresRequest, OpenFgaServiceClient, ReadAuthorizationModelRequest, ReadRequest,
    ReadRequestTupleKey, TupleKey, TupleKeyWithoutCondition, WriteAuthorizationModelRequest, WriteRequest,
    WriteRequestDeletes, WriteRequestWrites, batch_check_single_result::CheckResult,
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
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
const PATIENCE: Duration = Duration::from_secs(3);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);
/// Concurrent writes of one tuple answer Aborted; so often is such a write tried.
const TRIES: u32 = 5;
const CONSISTENCY: i32 = ConsistencyPreference::HigherConsistency as i32;
/// A tuple that is there is no error on write, nor one that is not on delete.
const IGNORE: &str = "ignore";

/// Names under which the installation pins what all its servers use.
const STORE: &str = "openfga.store";
const MODEL: &str = "openfga.model";
const MODEL_DIGEST: &str = "openfga.model_digest";
/// The lock under which one set-up runs at a time.
const SETUP: &str = "setup:openfga";

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
        if let Some(trace) = TraceContext::current() {
            let headers = [("traceparent", Some(trace.to_string())), ("tracestate", trace.state().map(str::to_owned))];
            for (name, value) in headers {
                if let Some(value) = value.and_then(|value| value.parse().ok()) {
                    request.metadata_mut().insert(name, value);
                }
            }
        }
        Ok(request)
    }
}

type Client = OpenFgaServiceClient<InterceptedService<Channel, Bearer>>;

pub(super) struct OpenFga {
    client: Client,
    store: String,
    /// The id under which OpenFGA has the model.
    model: String,
    rules: Model,
}

/// Why OpenFGA cannot be used as it is set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL or the token has not the form.
    #[error("{0}")]
    Config(&'static str),
    /// `migrate` has not run, or not for this version.
    #[error(
        "the authorization model is not the one of this version; run `project-vault migrate`, or serve with --migrate"
    )]
    NotMigrated,
    /// OpenFGA did not answer as it should.
    #[error("OpenFGA cannot be set up ({0}); check OPENFGA_URL and OPENFGA_TOKEN")]
    Unreachable(String),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

fn connect(config: &OpenFgaConfig) -> Result<Client, SetupError> {
    let mut endpoint = Endpoint::from_shared(config.url.clone())
        .map_err(|_| SetupError::Config("OPENFGA_URL is no URL; use http://HOST:8081 or https://HOST"))?
        .timeout(PATIENCE)
        .connect_timeout(CONNECT);
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

const UNREADABLE: SetupError = SetupError::Config("the built-in authorization model cannot be read");

fn rules() -> Result<Model, SetupError> {
    Model::load().map_err(|_| UNREADABLE)
}

fn digest() -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(JSON.as_bytes()))
}

/// Brings the store and the model in OpenFGA up to date, and pins their ids in the database. Safe to repeat, and to run twice
/// at once.
pub(super) async fn set_up(config: &OpenFgaConfig, store: &Store) -> Result<(), SetupError> {
    let mut client = connect(config)?;
    let mut tx = store.begin_set_up().await?;
    tx.lock_name(SETUP).await?;
    let store_id = match tx.pinned(STORE).await? {
        Some(id) => id,
        None => find_or_create(&mut client, &config.store).await?,
    };
    let model_id = match (tx.pinned(MODEL).await?, tx.pinned(MODEL_DIGEST).await?) {
        (Some(id), Some(of)) if of == digest() && model_exists(&mut client, &store_id, &id).await? => id,
        _ => write_model(&mut client, &store_id).await?,
    };
    tx.pin(STORE, &store_id).await?;
    tx.pin(MODEL, &model_id).await?;
    tx.pin(MODEL_DIGEST, &digest()).await?;
    let openfga = OpenFga { client, store: store_id, model: model_id, rules: rules()? };
    let nowhere = TupleChange { write: Tuple::of_nowhere(), delete: vec![] };
    openfga.apply(&nowhere).await.map_err(|error| SetupError::Unreachable(error.to_string()))?;
    tx.commit().await?;
    Ok(())
}

async fn find_or_create(client: &mut Client, name: &str) -> Result<String, SetupError> {
    let request = ListStoresRequest { name: name.to_owned(), ..ListStoresRequest::default() };
    let found = client.list_stores(request).await.map_err(|status| unreachable_setup(&status))?.into_inner();
    if let Some(store) = found.stores.into_iter().find(|store| store.name == name) {
        return Ok(store.id);
    }
    let created = client.create_store(CreateStoreRequest { name: name.to_owned() }).await;
    Ok(created.map_err(|status| unreachable_setup(&status))?.into_inner().id)
}

async fn model_exists(client: &mut Client, store: &str, id: &str) -> Result<bool, SetupError> {
    let request = ReadAuthorizationModelRequest { store_id: store.to_owned(), id: id.to_owned() };
    match client.read_authorization_model(request).await {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::NotFound || is_not_found(&status) => Ok(false),
        Err(status) => Err(unreachable_setup(&status)),
    }
}

/// OpenFGA has codes of its own above gRPC's; 2,001 is a model that is not there, 5,002 a store.
fn is_not_found(status: &Status) -> bool {
    status.message().contains("not found")
}

async fn write_model(client: &mut Client, store: &str) -> Result<String, SetupError> {
    let model: AuthorizationModel = serde_json::from_str(JSON).map_err(|_| UNREADABLE)?;
    let request = WriteAuthorizationModelRequest {
        store_id: store.to_owned(),
        type_definitions: model.type_definitions,
        schema_version: model.schema_version,
        conditions: model.conditions,
    };
    let written = client.write_authorization_model(request).await.map_err(|status| unreachable_setup(&status))?;
    Ok(written.into_inner().authorization_model_id)
}

fn unreachable_setup(status: &Status) -> SetupError {
    SetupError::Unreachable(format!("{:?}", status.code()))
}

impl OpenFga {
    /// Uses what [`set_up`] pinned.
    pub(super) async fn open(config: &OpenFgaConfig, store: &Store) -> Result<Self, SetupError> {
        let client = connect(config)?;
        let mut conn = store.conn().await?;
        let pinned = (conn.pinned(STORE).await?, conn.pinned(MODEL).await?, conn.pinned(MODEL_DIGEST).await?);
        match pinned {
            (Some(store), Some(model), Some(of)) if of == digest() => {
                Ok(Self { client, store, model, rules: rules()? })
            }
            _ => Err(SetupError::NotMigrated),
        }
    }

    /// Answers in the order of the questions; an answer that is not complete is none.
    pub(super) async fn check(&self, questions: &[Question]) -> Result<Vec<bool>> {
        let batches = try_join_all(questions.chunks(BATCH).map(|chunk| self.batch_check(chunk))).await?;
        Ok(batches.into_iter().flatten().collect())
    }

    async fn batch_check(&self, questions: &[Question]) -> Result<Vec<bool>> {
        let checks = questions
            .iter()
            .enumerate()
            .map(|(index, question)| BatchCheckItem {
                tuple_key: Some(CheckRequestTupleKey {
                    user: question.subject.clone(),
                    relation: question.permission.relation().to_owned(),
                    object: question.object.clone(),
                }),
                correlation_id: index.to_string(),
                ..BatchCheckItem::default()
            })
            .collect();
        let request = BatchCheckRequest {
            store_id: self.store.clone(),
            authorization_model_id: self.model.clone(),
            checks,
            consistency: CONSISTENCY,
        };
        let mut client = self.client.clone();
        let mut results = bounded(client.batch_check(request)).await?.into_inner().result;
        (0..questions.len())
            .map(|index| match results.remove(&index.to_string()).and_then(|result| result.check_result) {
                Some(CheckResult::Allowed(allowed)) => Ok(allowed),
                // What cannot be asked is not allowed; any other error may be a server under load.
                Some(CheckResult::Error(_)) if !self.rules.can_be_asked(&questions[index]) => Ok(false),
                Some(CheckResult::Error(_)) | None => {
                    tracing::warn!("OpenFGA answered less than it was asked");
                    Err(unavailable())
                }
            })
            .collect()
    }

    pub(super) async fn apply(&self, change: &TupleChange) -> Result<()> {
        let deletes = change.delete.iter().map(|tuple| (false, tuple));
        let writes = change.write.iter().map(|tuple| (true, tuple));
        let all: Vec<(bool, &Tuple)> = deletes.chain(writes).collect();
        for chunk in all.chunks(WRITE) {
            self.write(chunk).await?;
        }
        Ok(())
    }

    async fn write(&self, tuples: &[(bool, &Tuple)]) -> Result<()> {
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
            store_id: self.store.clone(),
            authorization_model_id: self.model.clone(),
            writes: (!writes.is_empty())
                .then(|| WriteRequestWrites { tuple_keys: writes, on_duplicate: IGNORE.to_owned() }),
            deletes: (!deletes.is_empty())
                .then(|| WriteRequestDeletes { tuple_keys: deletes, on_missing: IGNORE.to_owned() }),
        };
        let mut wait = Duration::from_millis(10);
        for _ in 1..TRIES {
            match tokio::time::timeout(PATIENCE, self.client.clone().write(request.clone())).await {
                Ok(Err(status)) if status.code() == Code::Aborted => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                result => return answered(result).map(drop),
            }
        }
        bounded(self.client.clone().write(request)).await.map(drop)
    }

    pub(super) async fn read(&self, filter: &TupleFilter) -> Result<Vec<Tuple>> {
        let key = ReadRequestTupleKey {
            user: filter.subject.clone().unwrap_or_default(),
            relation: filter.relation.unwrap_or_default().to_owned(),
            object: filter.object.clone(),
        };
        let mut tuples = Vec::new();
        let mut continuation_token = String::new();
        loop {
            let request = ReadRequest {
                store_id: self.store.clone(),
                tuple_key: Some(key.clone()),
                page_size: Some(PAGE),
                continuation_token,
                consistency: CONSISTENCY,
            };
            let mut client = self.client.clone();
            let page = bounded(client.read(request)).await?.into_inner();
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

async fn bounded<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T> {
    answered(tokio::time::timeout(PATIENCE, call).await)
}

fn answered<T>(result: Result<Result<T, Status>, tokio::time::error::Elapsed>) -> Result<T> {
    match result {
        Ok(Ok(answer)) => Ok(answer),
        // The status' text may repeat the request.
        Ok(Err(status)) => {
            tracing::warn!(code = ?status.code(), "OpenFGA failed");
            Err(unavailable())
        }
        Err(_) => {
            tracing::warn!("OpenFGA did not answer in time");
            Err(unavailable())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_carries_the_token_and_the_trace_of_its_request() {
        let headers = async || Bearer(Some("Bearer t".parse().unwrap())).call(Request::new(())).unwrap().into_parts().0;
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::of(Some(parent), Some("a=b"));
        let within = trace.clone().within(headers()).await;
        let text = |name| within.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(text("authorization").as_deref(), Some("Bearer t"));
        assert_eq!(text("traceparent"), Some(trace.to_string()));
        assert_eq!(text("tracestate").as_deref(), Some("a=b"));
        assert!(headers().await.get("traceparent").is_none(), "what no request asks for has no trace");
    }
}
