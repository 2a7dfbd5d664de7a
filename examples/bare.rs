//! The bare stack, for `scripts/bench`: async-graphql behind axum, which answers constants without
//! tokens, permissions, database or records. `resolveSecrets` takes and answers what the vault's
//! does.
//!
//! `bare IP:PORT` serves until it is ended.

use async_graphql::{EmptyMutation, EmptySubscription, Enum, ID, InputObject, Object, Request, Schema, SimpleObject};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use std::error::Error;
use tokio::net::TcpListener;

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum VaultResolvePurpose {
    CodingSession,
    ToolExecution,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum SecretOutcome {
    Resolved,
}

#[derive(InputObject)]
struct ResolveSecretsInput {
    project_id: ID,
    agent_id: ID,
    names: Option<Vec<String>>,
    purpose: VaultResolvePurpose,
    session_id: Option<String>,
    tool: Option<String>,
}

#[derive(SimpleObject)]
struct ResolvedSecret {
    name: String,
    outcome: SecretOutcome,
    value: Option<String>,
}

#[derive(SimpleObject)]
struct ResolvedSecrets {
    secrets: Vec<ResolvedSecret>,
}

struct Query;

#[Object]
impl Query {
    async fn answer(&self) -> &'static str {
        "constant"
    }

    async fn resolve_secrets(&self, input: ResolveSecretsInput) -> ResolvedSecrets {
        let secret =
            |name| ResolvedSecret { name, outcome: SecretOutcome::Resolved, value: Some("constant".to_owned()) };
        ResolvedSecrets { secrets: input.names.unwrap_or_default().into_iter().map(secret).collect() }
    }
}

type Bare = Schema<Query, EmptyMutation, EmptySubscription>;

async fn graphql(State(schema): State<Bare>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Request>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    match serde_json::to_vec(&schema.execute(request).await) {
        Ok(answer) => ([(CONTENT_TYPE, "application/graphql-response+json")], answer).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: bare IP:PORT")?;
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let app = Router::new().route("/graphql", post(graphql)).with_state(schema);
    let listener = TcpListener::bind(address).await?.tap_io(|connection| {
        // An answer that waits for an acknowledgement would only make the stack look slower.
        let _unset = connection.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}
