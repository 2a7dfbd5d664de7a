//! Errors of the REST view as problem documents (RFC 9457), with the codes of GraphQL's errors.

use super::answer::EntryFields;
use crate::domain::{Error, ErrorCode, RequestId, SecretOutcome, with_causes};
use crate::http::endpoint::Refusal;
use crate::http::observe::RefusedBy;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// An answer other than a secret.
#[derive(Debug)]
pub(in crate::http) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
    field: Option<&'static str>,
    retry_after: Option<Duration>,
    /// The entry that has expired.
    entry: Option<Box<EntryFields>>,
}

/// The document. Its `type` is `about:blank`, which need not be written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    #[serde(flatten)]
    entry: Option<&'a EntryFields>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { status, code, detail, header: None, field: None, retry_after: None, entry: None }
    }

    /// No entry for the agent bears the name.
    pub(super) fn absent() -> Self {
        let detail = "The agent receives no secret of this name; check the name and the milestone.";
        Self::new(StatusCode::NOT_FOUND, SecretOutcome::NotFound.as_str(), detail)
    }

    /// The entry has expired.
    pub(super) fn expired(entry: EntryFields) -> Self {
        let detail = "This secret has expired; have a Responsible person of the project rotate it.";
        let problem = Self::new(StatusCode::GONE, SecretOutcome::Expired.as_str(), detail);
        Self { entry: Some(Box::new(entry)), ..problem }
    }

    /// An error of the vault. The text of what was unexpected goes to the log only.
    pub(super) fn of(error: &Error) -> Self {
        if let Error::Internal(_) = error {
            tracing::error!(error = %with_causes(error), "internal error");
        }
        let problem = Self::new(status(error.code()), error.code().as_str(), error.to_string());
        match error {
            Error::InvalidInput { field, .. } | Error::LimitExceeded { field, .. } => {
                Self { field: field.last().map(|name| parameter(name)), ..problem }
            }
            Error::RateLimited { retry_after } => Self {
                retry_after: Some(*retry_after),
                header: Some((RETRY_AFTER, retry_after.as_secs().into())),
                ..problem
            },
            Error::NotFound(_)
            | Error::Conflict(_)
            | Error::Forbidden(_)
            | Error::Unavailable { .. }
            | Error::Internal(_) => problem,
        }
    }

    /// The code of the error.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(in crate::http) fn respond(self, request: &RequestId) -> Response {
        let document = Document {
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id: request.as_str(),
            field: self.field,
            retry_after_seconds: self.retry_after.map(|wait| wait.as_secs()),
            entry: self.entry.as_deref(),
        };
        // Serializing cannot fail: all keys are strings, and no type here returns an error.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(self.header);
        response.extensions_mut().insert(RefusedBy(self.code));
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, code, message, header } = refusal;
        let header = header.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self { header, ..Self::new(status, code.as_str(), message) }
    }
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::InvalidInput
        | ErrorCode::LimitExceeded
        | ErrorCode::BadUserInput
        | ErrorCode::ParseFailed
        | ErrorCode::PersistedQueryNotSupported
        | ErrorCode::ValidationFailed => StatusCode::BAD_REQUEST,
    }
}

/// The part of the path, or the query parameter, that an input field of GraphQL is here.
fn parameter(field: &'static str) -> &'static str {
    match field {
        "projectId" => "project",
        "agentId" => "agent",
        "milestoneId" => "milestone",
        "names" => "name",
        same => same,
    }
}
