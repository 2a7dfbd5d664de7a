//! The facts about a request that are logged.

use crate::domain::{Principal, RequestId, TokenKind};
use http::{HeaderMap, HeaderName};
use std::sync::OnceLock;

/// The header that carries a request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Facts about a request that its log line and its answer's headers tell.
pub(super) struct Noted {
    /// The request's id.
    pub(super) request_id: RequestId,
    principal: OnceLock<TokenKind>,
}

impl Default for Noted {
    fn default() -> Self {
        Self { request_id: RequestId::new(), principal: OnceLock::new() }
    }
}

impl Noted {
    /// Takes over the request's `X-Request-Id` if it is valid, else makes a new id.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).and_then(RequestId::parse);
        Self { request_id: given.unwrap_or_else(RequestId::new), principal: OnceLock::new() }
    }

    /// Notes the kind of principal that calls, not its id.
    pub(super) fn principal(&self, principal: &Principal) {
        // A request is authenticated once.
        let _ = self.principal.set(principal.kind());
    }

    /// The kind of principal that calls, once it is known.
    pub(super) fn principal_kind(&self) -> Option<TokenKind> {
        self.principal.get().copied()
    }
}
