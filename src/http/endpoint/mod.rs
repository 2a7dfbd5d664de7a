//! `/graphql`, by the draft "GraphQL over HTTP": who calls is judged first, then the request's form, then its document, and
//! only then is anything executed. Every answer, whatever its status, is a GraphQL answer.

mod bearer;
mod body;
mod form;
mod media;
mod refusal;
mod site;

use super::observe::Noted;
use super::tokens::Verifier;
use crate::domain::{Principal, RequestId};
use crate::graphql::{Api, Call, Inspected};
use crate::trace::InRequest;
use crate::vault::Caller;
use async_graphql::parser::types::OperationType;
use axum::extract::{Request, State};
use axum::response::Response;
use bearer::Bearer;
use body::Incoming;
use form::Form;
use http::request::Parts as Head;
use http::{Method, StatusCode};
use media::Media;
pub(super) use refusal::Refusal;
use refusal::{respond, was_executed};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// By this header a gateway asks for the trace of what it fetches.
const INCLUDE_TRACE: &str = "apollo-federation-include-trace";

/// Whom an address serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    /// Everybody.
    All,
    /// Everybody but runtimes.
    People,
    /// Runtimes alone.
    Runtimes,
}

/// What `/graphql` needs.
pub(super) struct Endpoint {
    pub(super) api: Api,
    pub(super) verifier: Verifier,
    pub(super) serves: Serves,
    /// What is being executed, so that the end of the program can wait for it.
    pub(super) running: TaskTracker,
}

/// Answers a request to `/graphql`.
pub(super) async fn graphql(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let noted = head.extensions.get::<Arc<Noted>>().cloned().unwrap_or_default();
    let wanted = Media::wanted(&head.headers);
    let media = wanted.unwrap_or(Media::Json);
    let mut body = Incoming::new(&head.headers, body);
    match endpoint.answer(&head, &mut body, wanted, &noted).await {
        Ok(answer) => {
            let executed = was_executed(&answer);
            // In application/json a status other than 200 would say that it is no GraphQL answer at all.
            let status = if executed || media == Media::Json { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            respond(status, media, &answer)
        }
        Err(refusal) => {
            body.discard().await;
            refusal.respond(media, &noted.request_id)
        }
    }
}

impl Endpoint {
    async fn answer(
        &self,
        head: &Head,
        body: &mut Incoming,
        media: Option<Media>,
        noted: &Noted,
    ) -> Result<async_graphql::Response, Refusal> {
        let principal = self.principal(head).await?;
        if let Some(principal) = &principal {
            noted.principal(principal);
        }
        if media.is_none() {
            return Err(Refusal::http(
                StatusCode::NOT_ACCEPTABLE,
                "Answers are application/graphql-response+json or application/json; accept one of them.",
            ));
        }
        let form = read(head, body, principal.is_none()).await?;
        let operation = match self.api.inspect(&form.query, form.operation_name.as_deref()) {
            Ok(operation) => operation,
            Err(refusal) => return Ok(Api::refuse((&refusal).into(), &noted.request_id)),
        };
        if head.method == Method::GET && (operation.kind != OperationType::Query || operation.resolves) {
            return Err(Refusal::method("POST", "By GET only queries are executed, and not resolveSecrets; use POST."));
        }
        if principal.is_none() && !self.api.answers_anyone(&operation) {
            return Err(Refusal::no_token());
        }
        let traced = head.headers.get(INCLUDE_TRACE).is_some_and(|format| format == "ftv1");
        self.execute(principal, form, operation, noted.request_id.clone(), traced).await
    }

    /// Who calls; none without a token, where that is enough for some operations.
    async fn principal(&self, head: &Head) -> Result<Option<Principal>, Refusal> {
        let token = match Bearer::of(&head.headers) {
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

    /// Executes on a task of its own: who hangs up does not stop a change half way.
    async fn execute(
        &self,
        principal: Option<Principal>,
        form: Form,
        operation: Inspected,
        request_id: RequestId,
        traced: bool,
    ) -> Result<async_graphql::Response, Refusal> {
        super::metrics::count_operation(operation.kind);
        let call = Call {
            caller: principal.map(|principal| Caller { principal, request_id: request_id.clone() }),
            request_id,
            operation,
            variables: form.variables,
            traced,
        };
        let api = self.api.clone();
        let task = InRequest::current().spawn(&self.running, async move { api.execute(call).await });
        task.await.map_err(|error| {
            // Its text may quote what was worked on.
            tracing::error!(panicked = error.is_panic(), "the execution of an operation ended without an answer");
            Refusal::internal()
        })
    }
}

async fn read(head: &Head, body: &mut Incoming, anonymous: bool) -> Result<Form, Refusal> {
    if head.method == Method::POST {
        if !media::is_json(&head.headers) {
            return Err(Refusal::http(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON in UTF-8, with the header Content-Type: application/json.",
            ));
        }
        Form::of_json(&body.read(anonymous).await?)
    } else if head.method == Method::GET {
        if site::may_be_foreign(&head.headers) {
            return Err(Refusal::forbidden(
                "A request from another site needs the header Authorization or Apollo-Require-Preflight.",
            ));
        }
        Form::of_query(&head.uri)
    } else {
        Err(Refusal::method("GET, POST", "Operations are sent by POST, queries by GET too."))
    }
}
