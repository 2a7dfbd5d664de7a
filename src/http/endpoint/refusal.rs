//! Refusals of requests before their operation is executed.

use super::media::Media;
use crate::domain::{ErrorCode, RequestId};
use crate::graphql::{Api, server_error};
use crate::http::budget::Exhausted;
use crate::http::connections::NoPermit;
use crate::http::observe::RefusedBy;
use axum::body::Body;
use axum::response::Response;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// An answer with an HTTP status and one GraphQL error.
#[derive(Debug)]
pub(in crate::http) struct Refusal {
    pub(in crate::http) status: StatusCode,
    pub(in crate::http) code: ErrorCode,
    pub(in crate::http) message: Cow<'static, str>,
    pub(in crate::http) header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), header: None }
    }

    fn with(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// The request's parameters are invalid.
    pub(in crate::http) fn bad_request(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message)
    }

    /// A condition of HTTP is not met, such as a media type.
    pub(in crate::http) fn http(status: StatusCode, message: &'static str) -> Self {
        Self::new(status, ErrorCode::BadUserInput, message)
    }

    /// The request's body is encoded, such as compressed. The header tells the client how to send
    /// it (RFC 7694).
    pub(super) fn encoded_body(encoding: &str) -> Self {
        let message = format!("The body has the encoding {encoding}; send it without Content-Encoding.");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::BadUserInput, message)
            .with(ACCEPT_ENCODING, "identity")
    }

    /// The request has the hash of a document instead of the document. Clients recognize the
    /// message or the code, and send the document.
    pub(super) fn persisted_query() -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::PersistedQueryNotSupported, "PersistedQueryNotSupported")
    }

    /// The request exceeds a limit.
    pub(in crate::http) fn limit(status: StatusCode, message: &'static str) -> Self {
        Self::new(status, ErrorCode::LimitExceeded, message)
    }

    /// The request's method is wrong; `allowed` lists the right ones.
    pub(in crate::http) fn method(allowed: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadUserInput, message).with(ALLOW, allowed)
    }

    /// The path does not exist.
    pub(in crate::http) fn no_such_path() -> Self {
        let message = "There is no such path; /v1/openapi.json lists those there are.";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    }

    /// The request comes from somebody or somewhere that may not send it.
    pub(in crate::http) fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message)
    }

    /// The token is missing. The challenge names no error then (RFC 6750, section 3).
    pub(in crate::http) fn no_token() -> Self {
        let message = "This needs a bearer token; send one in the header Authorization.";
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthenticated, message).with(WWW_AUTHENTICATE, "Bearer")
    }

    /// The token is refused, for this reason.
    pub(super) fn bad_token(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthenticated, format!("The request is refused: {why}."))
            .with(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
    }

    pub(super) fn unavailable(why: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Unavailable,
            format!("The token cannot be verified: {why}."),
        )
    }

    /// The query took too long.
    pub(super) fn timed_out() -> Self {
        let message = "The query did not end within 30 seconds; try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message).with(RETRY_AFTER, "10")
    }

    /// Other requests use the memory or permits that this one needs.
    pub(super) fn busy() -> Self {
        let message = "The server is busy with other requests; try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message).with(RETRY_AFTER, "1")
    }

    /// An internal error, whose cause is in the log only.
    pub(in crate::http) fn internal() -> Self {
        let message = "Something went wrong inside the vault; report the request id to its operator.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, message)
    }

    pub(super) fn respond(self, media: Media, request: &RequestId) -> Response {
        let body = Api::refuse(server_error(self.message, self.code), request);
        // With application/json, clients of persisted queries look for the error in answers of
        // status 200, as Apollo's servers give.
        let status = match (self.code, media) {
            (ErrorCode::PersistedQueryNotSupported, Media::Json) => StatusCode::OK,
            _ => self.status,
        };
        let mut response = respond(status, media, serialize(&body));
        response.extensions_mut().insert(RefusedBy(self.code.as_str()));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// As [`Self::respond`], in `application/json`, for when the client's Accept header is not
    /// known.
    pub(in crate::http) fn respond_json(self, request: &RequestId) -> Response {
        self.respond(Media::Json, request)
    }
}

impl From<NoPermit> for Refusal {
    fn from(NoPermit: NoPermit) -> Self {
        Self::busy()
    }
}

impl From<Exhausted> for Refusal {
    fn from(Exhausted: Exhausted) -> Self {
        Self::busy()
    }
}

/// A GraphQL answer as specified: without `data` if nothing was executed.
#[derive(Serialize)]
struct ResponseBody<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [async_graphql::ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a async_graphql::Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, async_graphql::Value>,
}

/// Whether an operation was executed, so that the answer has `data`, possibly null.
pub(super) fn was_executed(response: &async_graphql::Response) -> bool {
    use async_graphql::{PathSegment, Value};
    response.data != Value::Null
        || response.errors.is_empty()
        || response.errors.iter().any(|error| error.path.iter().any(|part| matches!(part, PathSegment::Field(_))))
}

/// An answer as JSON.
pub(super) fn serialize(response: &async_graphql::Response) -> Vec<u8> {
    let data = was_executed(response).then_some(&response.data);
    let answer = ResponseBody { errors: &response.errors, data, extensions: &response.extensions };
    // Serializing cannot fail: all keys are strings, and no type in an answer returns an error.
    let mut body =
        serde_json::to_vec(&answer).unwrap_or_else(|_| b"{\"errors\":[{\"message\":\"internal\"}]}".to_vec());
    // A growing buffer is up to twice as large as its content.
    body.shrink_to_fit();
    body
}

pub(super) fn respond(status: StatusCode, media: Media, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    response
}
