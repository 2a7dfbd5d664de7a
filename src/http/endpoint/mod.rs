//! `/graphql`, by the draft "GraphQL over HTTP": the caller is verified first, then the request's
//! form, then its document, and only then is anything executed. Every answer, whatever its status,
//! is a GraphQL answer.

mod bearer;
mod body;
mod form;
mod media;
mod refusal;
mod site;
mod variables;

use super::budget::{Exhausted, MemoryBudget, ReservedBytes};
use super::connections::Admission;
use super::noted::Noted;
use super::tokens::Verifier;
use crate::domain::Principal;
use crate::graphql::{self, Api, Call, Inspected};
use crate::trace::InRequest;
use crate::vault::Caller;
use async_graphql::Variables;
use async_graphql::parser::types::OperationType;
use axum::extract::{Request, State};
use axum::response::Response;
use bearer::Bearer;
use body::Incoming;
use bytes::Bytes;
use form::Form;
use futures::poll;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};
use media::Media;
pub(super) use refusal::Refusal;
use refusal::{respond, serialize, was_executed};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Span;
use zeroize::Zeroizing;

/// By this header a gateway asks for the trace of what it fetches.
const INCLUDE_TRACE: &str = "apollo-federation-include-trace";

/// Up to this length, in bytes, a request is parsed where it is: that takes a few milliseconds at
/// most. A longer one is parsed on a thread that serves nobody else meanwhile.
const SMALL: usize = 4 * 1024;

/// Up to this number of statements, operations are executed as they come. One with more queues up
/// enough of them to hold up everybody else, so a caller has one at a time.
const FEW_STATEMENTS: u64 = 20;

/// How long a caller waits for a query.
const DEADLINE: Duration = Duration::from_secs(30);

/// The callers that an address serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    /// Everybody.
    All,
    /// Everybody but runtimes.
    People,
    /// Runtimes alone.
    Runtimes,
}

/// The state behind `/graphql`.
pub(super) struct Endpoint {
    pub(super) api: Api,
    pub(super) verifier: Verifier,
    pub(super) serves: Serves,
    /// The memory of requests, which all addresses of the process share.
    pub(super) requests: MemoryBudget,
    /// The memory of answers, shared alike.
    pub(super) answers: MemoryBudget,
    /// Bounds the large requests that are parsed at once.
    pub(super) parsers: Arc<Semaphore>,
    /// Bounds the operations with many statements that are executed at once.
    pub(super) readers: Arc<Semaphore>,
    /// The operations that are being executed, so that the end of the program can wait for them.
    pub(super) running: TaskTracker,
}

/// Answers a request to `/graphql`.
pub(super) async fn graphql(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let noted = parts.extensions.get::<Arc<Noted>>().cloned().unwrap_or_default();
    let head = Head::of(&parts);
    let media = head.media.unwrap_or(Media::Json);
    let mut body = Incoming::new(&parts.headers, body);
    let principal = endpoint.authenticate(&parts, &noted).await;
    // Its headers are not held while its body arrives.
    drop(parts);
    let answered = match principal {
        Ok(principal) => endpoint.answer(principal, head, &mut body, &noted).await,
        Err(refusal) => Err(refusal),
    };
    match answered {
        Ok(Answered { executed, body }) => {
            // In application/json a status other than 200 would say that it is no GraphQL answer at
            // all.
            let status = if executed || media == Media::Json { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            respond(status, media, body)
        }
        Err(refusal) => {
            body.discard().await;
            refusal.respond(media, &noted.request_id)
        }
    }
}

/// The headers of a request that matter, apart from its token.
struct Head {
    method: Method,
    /// Of a GET alone: what it asks.
    query: Option<Uri>,
    /// In what it is to be answered; none when nothing will do.
    media: Option<Media>,
    is_json: bool,
    may_be_foreign: bool,
    traced: bool,
}

impl Head {
    fn of(parts: &Parts) -> Self {
        let headers = &parts.headers;
        Self {
            method: parts.method.clone(),
            query: (parts.method == Method::GET).then(|| parts.uri.clone()),
            media: Media::wanted(headers),
            is_json: media::is_json(headers),
            may_be_foreign: site::may_be_foreign(headers),
            traced: headers.get(INCLUDE_TRACE).is_some_and(|format| format == "ftv1"),
        }
    }
}

/// A GraphQL answer.
struct Answered {
    /// Whether its operation was executed.
    executed: bool,
    /// Its JSON.
    body: Bytes,
}

impl Answered {
    /// The answer to an operation that is refused: short, whatever was asked.
    fn refused(response: &async_graphql::Response) -> Self {
        Self { executed: was_executed(response), body: serialize(response).into() }
    }
}

impl Endpoint {
    async fn answer(
        &self,
        principal: Option<Principal>,
        head: Head,
        body: &mut Incoming,
        noted: &Noted,
    ) -> Result<Answered, Refusal> {
        let traced = head.traced;
        if head.media.is_none() {
            return Err(Refusal::http(
                StatusCode::NOT_ACCEPTABLE,
                "Answers are application/graphql-response+json or application/json; accept one of them.",
            ));
        }
        let mut memory = self.requests.begin(principal.as_ref());
        let received = receive(head, body, principal.is_none(), &mut memory).await?;
        let by_get = matches!(received, Received::Query(_));
        let (prepared, mut memory) = self.prepare(received, memory).await?;
        let Prepared { operation, variables, weight } = prepared;
        memory.resize_to_execute(weight).await?;
        let operation = match operation {
            Ok(operation) => operation,
            Err(refusal) => return Ok(Answered::refused(&Api::refuse((&refusal).into(), &noted.request_id))),
        };
        if by_get && (operation.kind != OperationType::Query || operation.resolves) {
            return Err(Refusal::method("POST", "By GET only queries are executed, and not resolveSecrets; use POST."));
        }
        if principal.is_none() && !self.api.answers_anyone(&operation) {
            return Err(Refusal::no_token());
        }
        if !traced && let Some(body) = self.api.shared_answer(&operation) {
            super::metrics::count_operation(operation.kind);
            return Ok(Answered { executed: true, body });
        }
        let request_id = noted.request_id.clone();
        let caller = principal.map(|principal| Caller { principal, request_id: request_id.clone() });
        self.execute(Call { caller, request_id, operation, variables, traced }, memory).await
    }

    /// Reads the form and inspects its document. What is held goes along, since a client that hangs
    /// up does not stop it.
    async fn prepare(&self, received: Received, memory: ReservedBytes) -> Result<(Prepared, ReservedBytes), Refusal> {
        if received.length() <= SMALL {
            return Ok((received.prepare(&self.api)?, memory));
        }
        let turn = memory.heavy(&self.parsers).await?;
        let (api, span) = (self.api.clone(), Span::current());
        let prepared = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            span.in_scope(|| received.prepare(&api)).map(|prepared| (prepared, memory))
        });
        prepared.await.unwrap_or_else(|error| {
            tracing::error!(panicked = error.is_panic(), "the parsing of a request ended without a result");
            Err(Refusal::internal())
        })
    }

    /// Verifies the caller, and counts the request to the caller's share of open requests.
    async fn authenticate(&self, parts: &Parts, noted: &Noted) -> Result<Option<Principal>, Refusal> {
        let admission = parts.extensions.get::<Admission>();
        let mut deciding = pin!(self.principal(&parts.headers));
        let principal = match poll!(deciding.as_mut()) {
            Poll::Ready(decided) => decided?,
            Poll::Pending => {
                // The keys of the token's issuer are being read.
                admission.map(Admission::wait).transpose()?;
                deciding.await?
            }
        };
        if let Some(principal) = &principal {
            noted.principal(principal);
            admission.map(|admission| admission.count_to(principal)).transpose()?;
        }
        Ok(principal)
    }

    /// Verifies the caller; none without a token, where that is enough for some operations.
    async fn principal(&self, headers: &HeaderMap) -> Result<Option<Principal>, Refusal> {
        let token = match Bearer::of(headers) {
            Bearer::Token(token) => token,
            Bearer::None if self.serves != Serves::Runtimes => return Ok(None),
            Bearer::None => return Err(Refusal::no_token()),
            Bearer::Bad => return Err(Refusal::bad_token("the header Authorization is not \"Bearer\" and one token")),
        };
        let principal = match self.verifier.verify(token).await {
            Ok(verified) => verified.principal,
            Err(refused) if refused.is_unavailable() => return Err(Refusal::unavailable(refused)),
            Err(refused) => return Err(Refusal::bad_token(refused)),
        };
        match (self.serves, matches!(principal, Principal::Runtime(..))) {
            (Serves::People, true) => Err(Refusal::forbidden("Runtimes are served on an address of their own.")),
            (Serves::Runtimes, false) => {
                Err(Refusal::forbidden("This address serves runtimes alone; use the other one."))
            }
            (Serves::All, _) | (Serves::People, false) | (Serves::Runtimes, true) => Ok(Some(principal)),
        }
    }

    /// Executes on a task of its own: a client that hangs up does not stop a change half way.
    async fn execute(&self, call: Call, memory: ReservedBytes) -> Result<Answered, Refusal> {
        super::metrics::count_operation(call.operation.kind);
        let mut reserved = self.answers.begin(call.caller.as_ref().map(|caller| &caller.principal));
        let prepared = match self.api.prepare(call).await {
            Ok(prepared) => prepared,
            Err(refused) => return Ok(Answered::refused(&refused)),
        };
        let is_mutation = prepared.is_mutation();
        let reads_much = prepared.statements() > FEW_STATEMENTS;
        let reading = if reads_much { Some(memory.heavy(&self.readers).await?) } else { None };
        reserved.resize(prepared.answer_bytes()).await?;
        // Memory stays held and reserved while the operation is executed, whether the client waits
        // or not.
        let executing = async move {
            let _held = (memory, reading);
            (prepared.execute().await, reserved)
        };
        let task = InRequest::current().spawn(&self.running, executing);
        // A caller that asked for a change is told its result.
        let ended =
            if is_mutation { task.await } else { timeout(DEADLINE, task).await.map_err(|_| Refusal::late())? };
        let (response, reserved) = ended.map_err(|error| {
            // Its text may quote what was worked on.
            tracing::error!(panicked = error.is_panic(), "the execution of an operation ended without an answer");
            Refusal::internal()
        })?;
        hold(&response, reserved, is_mutation).await
    }
}

/// Serializes an answer, and has it hold the memory that it takes.
async fn hold(
    response: &async_graphql::Response,
    mut reserved: ReservedBytes,
    is_mutation: bool,
) -> Result<Answered, Refusal> {
    let executed = was_executed(response);
    let body = serialize(response);
    match reserved.resize(body.len()).await {
        Ok(()) => {}
        // What a mutation did is told, although its lists are longer than expected.
        Err(Exhausted) if is_mutation => {}
        Err(exhausted) => return Err(exhausted.into()),
    }
    Ok(Answered { executed, body: reserved.hold(body) })
}

/// A request as it was received.
enum Received {
    Body(Zeroizing<Vec<u8>>),
    Query(Uri),
}

/// A request that can be executed, or whose document cannot.
struct Prepared {
    operation: Result<Inspected, graphql::DocumentError>,
    variables: Variables,
    /// Upper bound of the memory that it takes while it is executed, in bytes.
    weight: usize,
}

impl Received {
    fn length(&self) -> usize {
        match self {
            Self::Body(body) => body.len(),
            Self::Query(uri) => uri.query().map_or(0, str::len),
        }
    }

    fn prepare(self, api: &Api) -> Result<Prepared, Refusal> {
        let Form { query, operation_name, variables, weight } = match self {
            Self::Body(body) => Form::of_json(&body)?,
            Self::Query(uri) => Form::of_query(&uri)?,
        };
        let operation = api.inspect(&query, operation_name.as_deref());
        // Resolvers are given copies of what variables hold.
        let weight = 2 * weight + operation.as_ref().map_or(0, |operation| operation.weight);
        Ok(Prepared { operation, variables, weight })
    }
}

async fn receive(
    head: Head,
    body: &mut Incoming,
    anonymous: bool,
    memory: &mut ReservedBytes,
) -> Result<Received, Refusal> {
    if head.method == Method::POST {
        if !head.is_json {
            return Err(Refusal::http(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON in UTF-8, with the header Content-Type: application/json.",
            ));
        }
        body.read(anonymous, memory).await.map(Received::Body)
    } else if let Some(query) = head.query {
        if head.may_be_foreign {
            return Err(Refusal::forbidden(
                "A request from another site needs the header Authorization or Apollo-Require-Preflight.",
            ));
        }
        Ok(Received::Query(query))
    } else {
        Err(Refusal::method("GET, POST", "Operations are sent by POST, queries by GET too."))
    }
}
