//! The bare stack, for `scripts/bench`: async-graphql behind axum, which answers constants without
//! tokens, permissions, database or records. `resolveSecrets` takes and answers what the vault's
//! does.
//!
//! `bare IP:PORT` serves until it is ended. `bare IP:PORT FILE` does the least that a vault with durable
//! records has to do besides: before it answers `resolveSecrets`, a row of 500 bytes is committed
//! to SQLite in that file, synced to the disk, together with the rows of the calls that wait.

use async_graphql::{EmptyMutation, EmptySubscription, Enum, ID, InputObject, Object, Request, Schema, SimpleObject};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, ExpressionMethods as _, QueryResult, RunQueryDsl as _, SqliteConnection};
use std::error::Error;
use std::sync::mpsc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

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

diesel::table! {
    /// What is durable before an answer leaves.
    records (id) {
        /// The number of the record.
        id -> BigInt,
        /// Its bytes.
        record -> Binary,
    }
}

/// Size of a record, in bytes: about that of an event of the vault.
const RECORD: usize = 500;

/// Tells a caller that its record is durable.
type Recorded = oneshot::Sender<()>;

/// Commits the records of the callers that wait, all at once.
fn record(conn: &mut SqliteConnection, calls: &mpsc::Receiver<Recorded>) -> QueryResult<()> {
    while let Ok(first) = calls.recv() {
        let waiting: Vec<_> = std::iter::once(first).chain(calls.try_iter()).collect();
        conn.immediate_transaction(|conn| {
            for _ in &waiting {
                diesel::insert_into(records::table).values(records::record.eq([7; RECORD].as_slice())).execute(conn)?;
            }
            QueryResult::Ok(())
        })?;
        for caller in waiting {
            let _left = caller.send(());
        }
    }
    Ok(())
}

fn recorder(file: &str) -> Result<mpsc::Sender<Recorded>, Box<dyn Error>> {
    let mut conn = SqliteConnection::establish(file)?;
    conn.batch_execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 10000; \
         CREATE TABLE records (id INTEGER PRIMARY KEY, record BLOB NOT NULL)",
    )?;
    let (calls, waiting) = mpsc::channel();
    std::thread::spawn(move || record(&mut conn, &waiting));
    Ok(calls)
}

struct Query {
    recorder: Option<mpsc::Sender<Recorded>>,
}

#[Object]
impl Query {
    async fn answer(&self) -> &'static str {
        "constant"
    }

    async fn resolve_secrets(&self, input: ResolveSecretsInput) -> async_graphql::Result<ResolvedSecrets> {
        if let Some(recorder) = &self.recorder {
            let (recorded, is_recorded) = oneshot::channel();
            recorder.send(recorded)?;
            is_recorded.await?;
        }
        let secret =
            |name| ResolvedSecret { name, outcome: SecretOutcome::Resolved, value: Some("constant".to_owned()) };
        Ok(ResolvedSecrets { secrets: input.names.unwrap_or_default().into_iter().map(secret).collect() })
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
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: bare IP:PORT [FILE]")?;
    let recorder = arguments.next().map(|file| recorder(&file)).transpose()?;
    let schema = Schema::new(Query { recorder }, EmptyMutation, EmptySubscription);
    let app = Router::new().route("/graphql", post(graphql)).with_state(schema);
    let listener = TcpListener::bind(address).await?.tap_io(|connection| {
        // An answer that waits for an acknowledgement would only make the stack look slower.
        let _unset = connection.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}
