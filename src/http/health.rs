//! Health checks: `/healthz` says that the process runs, `/readyz` that the parts it depends on
//! answer. Also serves the public keys of the vault's signed statements.

use crate::vault::Vault;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a result of `/readyz` is reused, so that frequent checks do not burden the parts.
const REUSE_TIME: Duration = Duration::from_secs(1);

/// The state behind `/readyz`.
pub(super) struct Readiness {
    vault: Vault,
    last: Mutex<Option<(Instant, Vec<&'static str>)>>,
}

impl Readiness {
    pub(super) fn new(vault: Vault) -> Self {
        Self { vault, last: Mutex::default() }
    }

    /// The parts that do not answer. One check runs at a time; those that arrive meanwhile share
    /// its result.
    async fn unready_parts(&self) -> Vec<&'static str> {
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, unready)) if at.elapsed() < REUSE_TIME => unready.clone(),
            _ => {
                let parts = self.vault.health().ready().await;
                let unready: Vec<_> = parts.into_iter().filter(|(_, ready)| !ready).map(|(part, _)| part).collect();
                *last = Some((Instant::now(), unready.clone()));
                unready
            }
        }
    }
}

/// Answers `/healthz`.
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Answers `/readyz` with 200, or with 503 and the parts that do not answer.
pub(super) async fn readyz(State(readiness): State<Arc<Readiness>>) -> Response {
    let unready = readiness.unready_parts().await;
    let (status, body) = if unready.is_empty() {
        (StatusCode::OK, json!({ "status": "ready" }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "unavailable", "parts": unready }))
    };
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Answers `/.well-known/project-vault/jwks.json` with the public keys that verify receipts and
/// audit heads.
pub(super) async fn statement_keys(State(vault): State<Vault>) -> Response {
    match vault.installation().statement_keys().await {
        Ok(keys) => ([(CONTENT_TYPE, "application/jwk-set+json")], keys.to_string()).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the public keys of statements cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable\n").into_response()
        }
    }
}
