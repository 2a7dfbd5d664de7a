//! The REST view: one secret of an agent by GET, for callers that do not speak GraphQL, such as
//! External Secrets Operator and scripts.
//!
//! It is a second way to ask for `resolveSecrets` with one name. The vault answers both by the same
//! method, so permissions, records and narrowing are the same, and so are the limits on callers and
//! memory. Only the form differs: each outcome has an HTTP status, so that no caller takes the
//! answer to a missing secret for a value. Values are not sealed here, and there is no receipt;
//! GraphQL has both.

mod answer;
mod problem;
mod question;

use super::endpoint::{Endpoint, Incoming, Refusal};
use super::noted::Noted;
use crate::domain::Error;
use crate::graphql::{Concealment, count_secret};
use crate::vault::{Caller, Resolution};
use answer::Outcome;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
pub(super) use problem::Problem;
use std::sync::Arc;
use tokio::time::Instant;

/// What all paths of the view begin with.
const PREFIX: &str = "/v1/";
/// The path of a secret.
pub(super) const SECRET: &str = "/v1/projects/{project}/agents/{agent}/secrets/{name}";
/// The path of the view's description.
pub(super) const OPENAPI: &str = "/v1/openapi.json";

/// Bytes that are reserved for an answer before the size of its value is known: the longest value,
/// and what stands around it.
const ANSWER_BYTES: usize = 64 * 1024 + 1024;

/// The parts of the path of a secret.
pub(super) type SecretPath = (String, String, String);

/// Whether a path is one of the view's.
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Answers a request for a secret.
pub(super) async fn secret(
    State(endpoint): State<Arc<Endpoint>>,
    path: Result<Path<SecretPath>, PathRejection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let noted = parts.extensions.get::<Arc<Noted>>().cloned().unwrap_or_default();
    let mut body = Incoming::new(&parts.headers, body);
    let answered = answer(&endpoint, path, parts, &noted).await;
    count_secret(answered.as_ref().err().map(Problem::code));
    match answered {
        Ok(response) => response,
        Err(problem) => {
            // So that the client gets to read the answer.
            body.discard().await;
            problem.respond(&noted.request_id)
        }
    }
}

async fn answer(
    endpoint: &Endpoint,
    path: Result<Path<SecretPath>, PathRejection>,
    parts: Parts,
    noted: &Noted,
) -> Result<Response, Problem> {
    let principal = endpoint.authenticate(&parts, noted).await?.ok_or_else(Refusal::no_token)?;
    if parts.method != Method::GET {
        return Err(Refusal::method("GET", "A secret is read by GET, which also records it; use GET.").into());
    }
    let request = question::parse(path, &parts.uri)?;
    // A browser sends the header Authorization to other sites only after a preflight, which is
    // never granted. So this GET needs no other sign of where it comes from.
    let known: Vec<HeaderValue> = parts.headers.get_all(IF_NONE_MATCH).iter().cloned().collect();
    let weight = question::weight(&parts.uri);
    drop(parts);
    let mut memory = endpoint.requests.reservation(Some(&principal));
    memory.resize_to_execute(weight).await.map_err(Refusal::from)?;
    let mut reserved = endpoint.answers.reservation(Some(&principal));
    reserved.resize(ANSWER_BYTES).await.map_err(Refusal::from)?;

    let caller = Caller { principal, request_id: noted.request_id.clone() };
    let vault = endpoint.api.vault().clone();
    // The task owns the reservations: the memory is in use even when the client does not wait.
    let resolving = async move {
        let _memory = memory;
        let (began, concealment) = (Instant::now(), Concealment::default());
        let resolved = vault.agents().resolve(&caller, request).await;
        let outcome = outcome(resolved, &concealment);
        concealment.wait(began).await;
        (outcome, reserved)
    };
    let (outcome, reserved) = endpoint.run_query(resolving).await?;
    outcome.map_err(|error| Problem::of(&error))?.respond(&known, reserved).await
}

/// The outcome for the one name of the request.
fn outcome(resolved: Result<Resolution, Error>, concealment: &Concealment) -> Result<Outcome, Error> {
    let outcome = resolved.inspect_err(|error| concealment.note_error(error)).and_then(Outcome::of);
    if matches!(outcome, Ok(Outcome::Absent)) {
        concealment.note();
    }
    outcome
}

/// Answers with the view's description.
pub(super) async fn openapi(request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        let json = HeaderValue::from_static("application/json");
        return ([(CONTENT_TYPE, json)], include_str!("../../../openapi.json")).into_response();
    }
    refuse(&request, Refusal::method("GET, HEAD", "This description is read by GET."))
}

/// Answers a request for a path that does not exist.
pub(super) async fn no_such_path(request: Request) -> Response {
    if is_path(request.uri().path()) {
        return refuse(&request, Refusal::no_such_path());
    }
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

fn refuse(request: &Request, refusal: Refusal) -> Response {
    let noted = request.extensions().get::<Arc<Noted>>().cloned().unwrap_or_default();
    Problem::from(refusal).respond(&noted.request_id)
}
