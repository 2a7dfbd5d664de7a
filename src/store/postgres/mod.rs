//! PostgreSQL.

#[path = "../queries/mod.rs"]
pub mod queries;
#[path = "../schema.rs"]
pub mod schema;

/// What the shared queries and schema are compiled with.
pub mod backend {
    pub type Db = diesel::pg::Pg;
    pub type Connection = diesel_async::AsyncPgConnection;
    pub type IdSql = diesel::sql_types::Uuid;
}

mod address;
mod tls;

use super::records::ChainedEvent;
use super::{Error, Instrument};
use crate::domain::{ChainId, EntryId, ProjectId, ProjectStatus, Timestamp};
pub use address::Address;
use backend::Connection;
use diesel::prelude::*;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AnsiTransactionManager, AsyncConnection, RunQueryDsl, SimpleAsyncConnection, TransactionManager};
use futures::FutureExt;
use queries::events::{NewDecoy, NewEvent, ROWS_PER_STATEMENT};
use schema::{audit_chains, audit_decoys, audit_events, projects};
use std::time::Duration;

/// Connections one server holds at most.
const POOL_SIZE: usize = 16;
/// How long a request waits for a connection, and a connection for the server.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection is not used whose commits do not wait for the disk: the setting is the role's or the database's as well as
/// the server's, and may change while this runs, so each new connection is asked.
const NOT_DURABLE: &str = "PostgreSQL runs with synchronous_commit off, which loses what was answered; set it to on";

/// Tells that reason from others for which there is no connection.
pub fn not_durable(error: &impl std::fmt::Display) -> Option<Error> {
    error.to_string().contains(NOT_DURABLE).then_some(Error::Refused(NOT_DURABLE))
}

pub type PooledConnection = Object<Connection>;

/// Opens a pool; connects at first use.
pub fn open(url: &str, instrument: Option<Instrument>) -> Result<Pool<Connection>, Error> {
    let mut config = ManagerConfig::<Connection>::default();
    config.recycling_method = RecyclingMethod::Fast;
    let address = Address::read(url)?;
    config.custom_setup = Box::new(move |_| {
        let address = address.clone();
        let instrument = instrument.clone();
        async move {
            let mut conn = address.connect().await?;
            if !is_durable(&mut conn).await.map_err(ConnectionError::CouldntSetupConfiguration)? {
                return Err(ConnectionError::BadConnection(NOT_DURABLE.to_owned()));
            }
            if let Some(instrument) = instrument {
                conn.set_instrumentation(instrument());
            }
            Ok(conn)
        }
        .boxed()
    });
    Pool::builder(AsyncDieselConnectionManager::new_with_config("", config))
        .max_size(POOL_SIZE)
        .wait_timeout(Some(CONNECTION_TIMEOUT))
        .create_timeout(Some(CONNECTION_TIMEOUT))
        .recycle_timeout(Some(CONNECTION_TIMEOUT))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(Error::unexpected)
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = diesel::sql_types::Text)]
    setting: String,
}

/// Whether a commit waits for the disk. What was answered must survive a crash.
async fn is_durable(conn: &mut Connection) -> QueryResult<bool> {
    let row: Setting =
        diesel::sql_query("SELECT current_setting('synchronous_commit') AS setting").get_result(conn).await?;
    Ok(row.setting != "off")
}

/// The isolation that the locks are made for, whatever the server's default; and a bound to waiting for them.
pub async fn begin(conn: &mut Connection) -> QueryResult<()> {
    AnsiTransactionManager::begin_transaction_sql(
        conn,
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'",
    )
    .await
}

/// As [`begin`], for a set-up: whoever has its lock may need it for minutes.
pub async fn begin_set_up(conn: &mut Connection) -> QueryResult<()> {
    begin(conn).await?;
    conn.batch_execute("SET LOCAL lock_timeout = '10min'").await
}

pub async fn commit(conn: &mut Connection) -> QueryResult<()> {
    AnsiTransactionManager::commit_transaction(conn).await
}

pub async fn rollback(conn: &mut Connection) -> QueryResult<()> {
    AnsiTransactionManager::rollback_transaction(conn).await
}

/// Takes the lock under which everything of a project is changed. Inserts that refer to the row do not wait for it.
pub async fn lock_project(conn: &mut Connection, id: &ProjectId) -> QueryResult<Option<ProjectStatus>> {
    projects::table.find(id).select(projects::status).for_no_key_update().first(conn).await.optional()
}

/// Takes a lock by name, until the transaction ends.
pub async fn lock_name(conn: &mut Connection, name: &str) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind::<diesel::sql_types::Text, _>(name)
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds audit events, many in one statement.
pub async fn insert_events(conn: &mut Connection, events: &[ChainedEvent]) -> QueryResult<()> {
    for chunk in events.chunks(ROWS_PER_STATEMENT) {
        let rows: Vec<NewEvent<'_>> = chunk.iter().map(NewEvent::from).collect();
        diesel::insert_into(audit_events::table).values(rows).execute(conn).await?;
    }
    Ok(())
}

/// As [`insert_events`], for decoys.
pub async fn insert_decoys(conn: &mut Connection, decoys: &[ChainedEvent]) -> QueryResult<()> {
    for chunk in decoys.chunks(ROWS_PER_STATEMENT) {
        let rows: Vec<NewDecoy<'_>> = chunk.iter().map(NewDecoy::from).collect();
        diesel::insert_into(audit_decoys::table).values(rows).execute(conn).await?;
    }
    Ok(())
}

/// Counts so many uses of each entry. The rows are locked in one order, so that two resolves never wait for each other. A counter that
/// is gone begins anew, unless its entry is gone by now as well.
pub async fn record_usage(conn: &mut Connection, used: &[(EntryId, i64)], now: Timestamp) -> QueryResult<()> {
    let (entries, times): (Vec<EntryId>, Vec<i64>) = used.iter().copied().unzip();
    diesel::sql_query(
        "WITH used AS (SELECT * FROM unnest($1, $3) AS used (id, times)), \
         locked AS (SELECT entry_id FROM entry_usage WHERE entry_id = ANY($1) ORDER BY entry_id FOR UPDATE), \
         counted AS ( \
             UPDATE entry_usage SET resolve_count = resolve_count + used.times, \
             last_resolved_at = GREATEST(COALESCE(last_resolved_at, $2), $2) \
             FROM locked JOIN used ON used.id = locked.entry_id \
             WHERE entry_usage.entry_id = locked.entry_id RETURNING entry_usage.entry_id) \
         INSERT INTO entry_usage AS known (entry_id, resolve_count, last_resolved_at) \
         SELECT entries.id, used.times, $2 FROM entries JOIN used ON used.id = entries.id \
         WHERE NOT EXISTS (SELECT FROM counted WHERE counted.entry_id = entries.id) \
         ORDER BY entries.id FOR KEY SHARE OF entries \
         ON CONFLICT (entry_id) DO UPDATE SET resolve_count = known.resolve_count + EXCLUDED.resolve_count, \
         last_resolved_at = GREATEST(COALESCE(known.last_resolved_at, $2), $2)",
    )
    .bind::<diesel::sql_types::Array<diesel::sql_types::Uuid>, _>(entries)
    .bind::<diesel::sql_types::BigInt, _>(now)
    .bind::<diesel::sql_types::Array<diesel::sql_types::BigInt>, _>(times)
    .execute(conn)
    .await?;
    Ok(())
}

/// Erased pages are the server's to reuse; nothing to do here.
pub async fn truncate_wal(_: &mut Connection) -> QueryResult<bool> {
    Ok(true)
}

/// A chain that nobody appends to. Never waits for one that another transaction is about to take.
pub async fn released_chain(conn: &mut Connection) -> QueryResult<Option<ChainId>> {
    audit_chains::table
        .filter(audit_chains::released)
        .select(audit_chains::id)
        .for_update()
        .skip_locked()
        .first(conn)
        .await
        .optional()
}
