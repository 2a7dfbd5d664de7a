//! Health checks: `/healthz` says that the process runs, `/readyz` that the parts it depends on
//! answer. Also serves the public keys of the vault's signed statements.

use crate::vault::{Findings, Vault};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

/// Answers `/healthz`.
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Answers `/readyz` with 200, and what an operator should repair, or with 503 and the parts that do
/// not answer.
pub(super) async fn readyz(State(vault): State<Vault>) -> Response {
    let Findings { parts, to_repair } = vault.health().findings().await;
    let unready: Vec<_> = parts.into_iter().filter(|(_, is_ready)| !is_ready).map(|(part, _)| part).collect();
    let (status, body) = if unready.is_empty() && !to_repair.is_empty() {
        (StatusCode::OK, json!({ "status": "ready", "details": to_repair }))
    } else if unready.is_empty() {
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
