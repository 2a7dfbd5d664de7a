//! `/healthz`: the process runs. `/readyz`: its parts answer. And the public keys of its
//! statements.

use crate::vault::Vault;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long an answer is reused, so that frequent checks do not burden the parts.
const KEPT: Duration = Duration::from_secs(1);

/// The state behind `/readyz`.
pub(super) struct Readiness {
    vault: Vault,
    last: Mutex<Option<(Instant, Vec<&'static str>)>>,
}

impl Readiness {
    pub(super) fn new(vault: Vault) -> Self {
        Self { vault, last: Mutex::default() }
    }

    /// The parts that do not answer. One question runs at a time, and all checks that arrive
    /// meanwhile get its answer.
    async fn silent(&self) -> Vec<&'static str> {
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, silent)) if at.elapsed() < KEPT => silent.clone(),
            _ => {
                let parts = self.vault.health().ready().await;
                let silent: Vec<_> = parts.into_iter().filter(|(_, ready)| !ready).map(|(part, _)| part).collect();
                *last = Some((Instant::now(), silent.clone()));
                silent
            }
        }
    }
}

/// `/healthz`.
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// `/readyz`.
pub(super) async fn readyz(State(readiness): State<Arc<Readiness>>) -> Response {
    let silent = readiness.silent().await;
    let (status, body) = if silent.is_empty() {
        (StatusCode::OK, json!({ "status": "ready" }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "unavailable", "parts": silent }))
    };
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// `/.well-known/project-vault/jwks.json`: what receipts and heads are verified with.
pub(super) async fn statement_keys(State(vault): State<Vault>) -> Response {
    match vault.installation().statement_keys().await {
        Ok(keys) => ([(CONTENT_TYPE, "application/jwk-set+json")], keys.to_string()).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the public keys of statements cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable\n").into_response()
        }
    }
}
