//! `/graphql`, by the draft "GraphQL over HTTP". The server checks the caller first, then the
//! request's parameters, then its document; only then does it execute anything. Every answer,
//! whatever its status, is a GraphQL answer.

mod bearer;
mod body;
mod cross_site;
mod extensions;
mod media;
mod parameters;
mod refusal;
mod variables;

use super::budget::{Exhausted, MemoryBudget, Reservation};
use super::connections::OpenRequest;
use super::noted::Noted;
use super::observe::RefusedBy;
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
pub(super) use body::Incoming;
use bytes::Bytes;
use futures::poll;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};
use media::Media;
pub(super) use media::{is_json, quality};
use parameters::Parameters;
pub(super) use refusal::Refusal;
use refusal::{respond, serialize, was_executed};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

/// The header by which a gateway asks for a trace of its request.
const INCLUDE_TRACE: &str = "apollo-federation-include-trace";

/// Maximum length of a request that is parsed on the async worker, in bytes: that takes a few
/// milliseconds. A longer one is parsed on a blocking thread.
const MAX_INLINE_PARSE: usize = 4 * 1024;

/// Maximum number of lists that an operation reads without waiting. A larger one could delay all
/// other callers, so each caller runs only one of those at a time.
const FEW_LISTS: u64 = 20;

/// How long a query may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// The callers that an address serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    /// All callers.
    All,
    /// All callers but runtimes.
    People,
    /// Runtimes only.
    Runtimes,
}

/// The state behind `/graphql`.
pub(super) struct Endpoint {
    pub(super) api: Api,
    pub(super) verifier: Verifier,
    pub(super) serves: Serves,
    /// The memory of requests, shared by all addresses of the process.
    pub(super) requests: MemoryBudget,
    /// The memory of answers, shared likewise.
    pub(super) answers: MemoryBudget,
    /// Limits how many large requests are parsed at once.
    pub(super) parsers: Arc<Semaphore>,
    /// Limits how many operations with many lists are executed at once.
    pub(super) readers: Arc<Semaphore>,
    /// The operations being executed, so that a shutdown can wait for them.
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
    // Frees the headers while the body arrives.
    drop(parts);
    let answered = match principal {
        Ok(principal) => endpoint.answer(principal, head, &mut body, &noted).await,
        Err(refusal) => Err(refusal),
    };
    match answered {
        Ok(Answered { executed, body, refused_by }) => {
            // With application/json, a status other than 200 would mean that this is no GraphQL
            // answer.
            let status = if executed || media == Media::Json { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            let mut response = respond(status, media, body);
            if let Some(code) = refused_by {
                response.extensions_mut().insert(RefusedBy(code));
            }
            response
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
    /// The URI of a GET; none for other methods.
    query: Option<Uri>,
    /// The media type of the answer; none when the client accepts neither.
    media: Option<Media>,
    is_json: bool,
    /// The encoding of the body, if it has one.
    encoding: Option<String>,
    may_be_cross_site: bool,
    traced: bool,
}

impl Head {
    fn of(parts: &Parts) -> Self {
        let headers = &parts.headers;
        Self {
            method: parts.method.clone(),
            query: (parts.method == Method::GET).then(|| parts.uri.clone()),
            media: Media::preferred(headers),
            is_json: is_json(headers),
            encoding: media::encoding(headers).map(str::to_owned),
            may_be_cross_site: cross_site::may_be_cross_site(headers),
            traced: headers.get(INCLUDE_TRACE).is_some_and(|format| format == "ftv1"),
        }
    }
}

/// A GraphQL answer.
struct Answered {
    /// Whether the operation was executed.
    executed: bool,
    /// The answer as JSON.
    body: Bytes,
    /// The code of the error for which it was refused, if it was.
    refused_by: Option<&'static str>,
}

impl Answered {
    /// The answer to a refused operation. It is short, so no memory is reserved for it.
    fn refused(response: &async_graphql::Response) -> Self {
        let refused_by = graphql::error_code(response);
        Self { executed: was_executed(response), body: serialize(response).into(), refused_by }
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
        let mut memory = self.requests.reservation(principal.as_ref());
        let received = receive(head, body, principal.is_none(), &mut memory).await?;
        let by_get = matches!(received, Received::Query(_));
        let (prepared, mut memory) = self.prepare(received, principal.is_some(), memory).await?;
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
            return Ok(Answered { executed: true, body, refused_by: None });
        }
        let request_id = noted.request_id.clone();
        let caller = principal.map(|principal| Caller { principal, request_id: request_id.clone() });
        self.execute(Call { caller, request_id, operation, variables, traced }, memory).await
    }

    /// Reads the parameters and inspects its document. Takes the reservation along: parsing goes
    /// on, and needs its memory, when the client disconnects.
    async fn prepare(
        &self,
        received: Received,
        has_token: bool,
        memory: Reservation,
    ) -> Result<(Prepared, Reservation), Refusal> {
        if received.length() <= MAX_INLINE_PARSE {
            return Ok((received.prepare(&self.api, has_token)?, memory));
        }
        let permits = memory.acquire_heavy(&self.parsers).await?;
        let (api, request) = (self.api.clone(), InRequest::current());
        let prepared = tokio::task::spawn_blocking(move || {
            let _permits = permits;
            request.run(|| received.prepare(&api, has_token)).map(|prepared| (prepared, memory))
        });
        prepared.await.unwrap_or_else(|error| {
            tracing::error!(panicked = error.is_panic(), "parsing a request ended without a result");
            Err(Refusal::internal())
        })
    }

    /// Verifies the caller, and counts the request to the caller's share of open requests.
    pub(super) async fn authenticate(&self, parts: &Parts, noted: &Noted) -> Result<Option<Principal>, Refusal> {
        let open_request = parts.extensions.get::<OpenRequest>();
        let mut verifying = pin!(self.verify_caller(&parts.headers));
        let principal = match poll!(verifying.as_mut()) {
            Poll::Ready(verified) => verified?,
            Poll::Pending => {
                // The keys of the token's issuer are being read.
                open_request.map(OpenRequest::ensure_counted).transpose()?;
                verifying.await?
            }
        };
        if let Some(principal) = &principal {
            noted.principal(principal);
            open_request.map(|open_request| open_request.count_to(principal)).transpose()?;
        }
        Ok(principal)
    }

    /// Verifies the token and gives its principal; `None` without a token, where the address serves
    /// anonymous requests.
    async fn verify_caller(&self, headers: &HeaderMap) -> Result<Option<Principal>, Refusal> {
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
            (Serves::People, true) => {
                Err(Refusal::forbidden("This address does not serve runtimes; use the runtimes' address."))
            }
            (Serves::Runtimes, false) => {
                Err(Refusal::forbidden("This address serves runtimes only; use the main address."))
            }
            (Serves::All, _) | (Serves::People, false) | (Serves::Runtimes, true) => Ok(Some(principal)),
        }
    }

    async fn execute(&self, call: Call, memory: Reservation) -> Result<Answered, Refusal> {
        super::metrics::count_operation(call.operation.kind);
        let mut reserved = self.answers.reservation(call.caller.as_ref().map(|caller| &caller.principal));
        let prepared = match self.api.prepare(call).await {
            Ok(prepared) => prepared,
            Err(refused) => return Ok(Answered::refused(&refused)),
        };
        let is_mutation = prepared.is_mutation();
        let reads_much = prepared.lists() > FEW_LISTS;
        let reading = if reads_much { Some(memory.acquire_heavy(&self.readers).await?) } else { None };
        reserved.resize(prepared.answer_bytes()).await?;
        // The task owns the reservations: the memory is in use even when the client does not wait.
        let executing = async move {
            let _reserved = (memory, reading);
            (prepared.execute().await, reserved)
        };
        let task = self.spawn(executing);
        // A mutation has no timeout: its caller is told the result.
        let (response, reserved) = if is_mutation { task.await? } else { in_time(task).await? };
        reserved_answer(&response, reserved, is_mutation).await
    }

    /// Runs a query in a task of its own, with the timeout of queries.
    pub(super) async fn run_query<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        in_time(self.spawn(work)).await
    }

    /// Runs `work` in a task of its own, so that a client that disconnects does not stop a change
    /// half way.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Refusal>> {
        let task = InRequest::current().spawn(&self.running, work);
        async move {
            task.await.map_err(|error| {
                // The error is not logged: its text may quote data.
                tracing::error!(panicked = error.is_panic(), "executing an operation ended without an answer");
                Refusal::internal()
            })
        }
    }
}

/// Waits for a query, as long as one may take.
async fn in_time<T>(query: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    timeout(QUERY_TIMEOUT, query).await.map_err(|_| Refusal::timed_out())?
}

/// Serializes an answer and attaches its reservation.
async fn reserved_answer(
    response: &async_graphql::Response,
    mut reserved: Reservation,
    is_mutation: bool,
) -> Result<Answered, Refusal> {
    let executed = was_executed(response);
    let body = serialize(response);
    match reserved.resize(body.len()).await {
        Ok(()) => {}
        // The result of a mutation is always told, even if the answer is longer than reserved.
        Err(Exhausted) if is_mutation => {}
        Err(exhausted) => return Err(exhausted.into()),
    }
    Ok(Answered { executed, body: reserved.attach_to(body), refused_by: None })
}

/// The parameters of a request as received: a JSON body, or a URI with a query string.
enum Received {
    Body(Zeroizing<Vec<u8>>),
    Query(Uri),
}

/// A parsed request; its document may be invalid.
struct Prepared {
    operation: Result<Arc<Inspected>, graphql::DocumentError>,
    variables: Variables,
    /// Upper bound of the memory that the request takes during execution, in bytes.
    weight: usize,
}

impl Received {
    fn length(&self) -> usize {
        match self {
            Self::Body(body) => body.len(),
            Self::Query(uri) => uri.query().map_or(0, str::len),
        }
    }

    fn prepare(self, api: &Api, has_token: bool) -> Result<Prepared, Refusal> {
        let Parameters { query, operation_name, variables, weight } = match self {
            Self::Body(body) => Parameters::from_json(&body)?,
            Self::Query(uri) => Parameters::from_query(&uri)?,
        };
        let operation = api.inspect(&query, operation_name.as_deref(), has_token);
        // Resolvers get copies of the variables.
        let weight = 2 * weight + operation.as_ref().map_or(0, |operation| operation.weight);
        Ok(Prepared { operation, variables, weight })
    }
}

async fn receive(
    head: Head,
    body: &mut Incoming,
    anonymous: bool,
    memory: &mut Reservation,
) -> Result<Received, Refusal> {
    if head.method == Method::POST {
        if !head.is_json {
            return Err(Refusal::http(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON in UTF-8, with the header Content-Type: application/json.",
            ));
        }
        if let Some(encoding) = head.encoding {
            return Err(Refusal::encoded_body(&encoding));
        }
        body.read(anonymous, memory).await.map(Received::Body)
    } else if let Some(query) = head.query {
        if head.may_be_cross_site {
            return Err(Refusal::forbidden(
                "A request from another site needs the header Authorization or Apollo-Require-Preflight.",
            ));
        }
        Ok(Received::Query(query))
    } else {
        Err(Refusal::method("GET, POST", "Operations are sent by POST, queries by GET too."))
    }
}
