//! SQLite.

#[path = "../queries/mod.rs"]
pub mod queries;
#[path = "../schema.rs"]
pub mod schema;

/// The types that the shared queries and schema are compiled with.
pub mod backend {
    pub type Db = diesel::sqlite::Sqlite;
    pub type Connection = diesel_async::sync_connection_wrapper::SyncConnectionWrapper<
        diesel::SqliteConnection,
        super::execution::Execution,
    >;
    pub type IdSql = diesel::sql_types::Binary;
    pub use super::lists::one_of;
    use crate::store::statement::{Fixed, fixed};

    /// The generation of the project in a row of a query: the count of the changes of all projects.
    pub const fn generation() -> Fixed<diesel::sql_types::BigInt> {
        fixed("(SELECT count FROM changes WHERE id = 1)")
    }

    /// Whether a column holds an id. `sql` compares the column's length with that of one: SQLite
    /// stores bytes of any length.
    pub const fn is_id(sql: &'static str) -> Fixed<diesel::sql_types::Bool> {
        fixed(sql)
    }

    /// Loads the rows of a query. It is loaded by the connection below `diesel-async`, which would
    /// copy every value of every row once more.
    macro_rules! load {
        ($query:expr, $conn:expr) => {{
            let query = $query;
            $conn.spawn_blocking(move |conn| diesel::RunQueryDsl::load(query, conn)).await
        }};
    }
    pub(in crate::store) use load;
}

mod events;
mod execution;
mod lists;

use super::{Error, Instrument};
use crate::domain::{ChainId, ProjectId, ProjectStatus};
use backend::Connection;
use deadpool::managed::QueueMode;
use diesel::connection::AnsiTransactionManager;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::result::Error::DatabaseError;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection, TransactionManager as _};
pub use events::insert_events;
use execution::Execution;
use futures::FutureExt;
pub use lists::Item;
use schema::{audit_chains, projects};
use std::time::{Duration, Instant};

/// Maximum number of connections of each pool of a process.
const POOL_SIZE: usize = 8;
/// Maximum time a request waits for a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a transaction waits between two attempts to take the write lock.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// What SQLite says while another connection holds the write lock.
const LOCKED: &str = "database is locked";

/// Maximum time a statement waits for a lock, in milliseconds.
const LOCK_TIMEOUT_PRAGMA: &str = "PRAGMA busy_timeout = 5000";
/// The same while others may migrate, in milliseconds.
pub const SET_UP_LOCK_TIMEOUT_PRAGMA: &str = "PRAGMA busy_timeout = 600000";

/// Settings of each connection; SQLite does not store them in the file. A commit waits for the
/// disk, and deleted content is overwritten.
///
/// A connection caches up to 16 MiB of pages, and a commit copies the write-ahead log to the database
/// when the log has 10,000 pages (40 MB). Records touch pages all over their indexes, so with the
/// usual 2 MB and 1,000 pages, a fifth fewer values are released in a second.
pub const PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                       PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; \
                       PRAGMA wal_autocheckpoint = 10000; PRAGMA cache_size = -16384;";

pub type PooledConnection = Object<Connection>;

/// The connections of a process.
#[derive(Clone)]
pub struct Pools {
    /// For reading few rows by an index.
    pub readers: Pool<Connection>,
    /// For everything else.
    pub others: Pool<Connection>,
}

/// Opens the pools; connects at first use.
pub fn open(path: &str, instrument: Option<&Instrument>) -> Result<Pools, Error> {
    let pool = |execution| open_pool(path, execution, instrument.cloned());
    Ok(Pools { readers: pool(Execution::Here)?, others: pool(Execution::InPlace)? })
}

fn open_pool(path: &str, execution: Execution, instrument: Option<Instrument>) -> Result<Pool<Connection>, Error> {
    let mut config = ManagerConfig::<Connection>::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |path| {
        let path = path.to_owned();
        let instrument = instrument.clone();
        async move {
            let conn: SqliteConnection = tokio::task::block_in_place(|| diesel::Connection::establish(&path))?;
            let mut conn = Connection::with_runtime(conn, execution);
            conn.batch_execute(PRAGMAS).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
            if let Some(instrument) = instrument {
                conn.set_instrumentation(instrument());
            }
            Ok(conn)
        }
        .boxed()
    });
    Pool::builder(AsyncDieselConnectionManager::new_with_config(path, config))
        .max_size(POOL_SIZE)
        .wait_timeout(Some(CONNECTION_TIMEOUT))
        // The connection used last has its statements prepared and its pages cached.
        .queue_mode(QueueMode::Lifo)
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(Error::unexpected)
}

/// Takes the write lock at the beginning, so that a transaction never has to upgrade from reading
/// while another process writes. Waits for it between two attempts, and not in SQLite, which would
/// block the thread.
pub async fn begin(conn: &mut Connection, limit: Duration) -> QueryResult<()> {
    let deadline = Instant::now() + limit;
    loop {
        let begun = conn
            .spawn_blocking(|conn| {
                conn.batch_execute("PRAGMA busy_timeout = 0")?;
                let begun = AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE");
                conn.batch_execute(LOCK_TIMEOUT_PRAGMA)?;
                begun
            })
            .await;
        match begun {
            Err(DatabaseError(_, info)) if info.message() == LOCKED && Instant::now() < deadline => {
                tokio::time::sleep(LOCK_RETRY_INTERVAL).await;
            }
            begun => return begun,
        }
    }
}

pub async fn commit(conn: &mut Connection) -> QueryResult<()> {
    <Connection as AsyncConnection>::TransactionManager::commit_transaction(conn).await
}

pub async fn rollback(conn: &mut Connection) -> QueryResult<()> {
    <Connection as AsyncConnection>::TransactionManager::rollback_transaction(conn).await
}

/// Takes no lock: the transaction already holds the database's one write lock.
pub async fn lock_project(conn: &mut Connection, id: &ProjectId) -> QueryResult<Option<ProjectStatus>> {
    projects::table.find(id).select(projects::status).get_result(conn).await.optional()
}

/// Takes no lock: the transaction already holds the database's one write lock.
pub async fn lock_projects(_: &mut Connection, _: &[ProjectId]) -> QueryResult<()> {
    Ok(())
}

/// Takes no lock: the transaction already holds the database's one write lock.
pub async fn lock_name(_: &mut Connection, _: &str) -> QueryResult<()> {
    Ok(())
}

diesel::table! {
    changes (id) { id -> BigInt, count -> BigInt, }
}

/// Triggers count the changes. Each resolve asks, and so does the embedded authorizer, so this does
/// not go through `diesel-async` either.
pub async fn changes(conn: &mut Connection) -> QueryResult<Option<i64>> {
    conn.spawn_blocking(|conn| diesel::RunQueryDsl::first(changes::table.select(changes::count), conn)).await.map(Some)
}

#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

/// The tables with ids, and what finds rows without one.
const TABLES_WITH_IDS: [(&str, &str); 4] = [
    ("entries", "SELECT hex(id) AS text FROM entries WHERE typeof(id) <> 'blob' OR length(id) <> 16 LIMIT 100"),
    ("data_keys", "SELECT hex(id) AS text FROM data_keys WHERE typeof(id) <> 'blob' OR length(id) <> 16 LIMIT 100"),
    (
        "replaced_data_keys",
        "SELECT hex(id) AS text FROM replaced_data_keys WHERE typeof(id) <> 'blob' OR length(id) <> 16 LIMIT 100",
    ),
    (
        "audit_chains",
        "SELECT hex(id) AS text FROM audit_chains WHERE typeof(id) <> 'blob' OR length(id) <> 16 LIMIT 100",
    ),
];

/// Rows whose ids are none, by their bytes in hex.
pub async fn rows_without_id(conn: &mut Connection) -> QueryResult<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    for (table, sql) in TABLES_WITH_IDS {
        let rows: Vec<Text> = diesel::sql_query(sql).load(conn).await?;
        found.extend(rows.into_iter().map(|row| (table, row.text)));
    }
    Ok(found)
}

#[derive(QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    busy: i32,
}

/// Truncates the write-ahead log. `secure_delete` overwrites pages, but their old content stays in
/// the log until then. Returns false while a reader still uses the log, which is not an error.
pub async fn truncate_wal(conn: &mut Connection) -> QueryResult<bool> {
    let checkpoint: Checkpoint = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(conn).await?;
    Ok(checkpoint.busy == 0)
}

/// A released chain. Takes no lock: the transaction already holds the database's one write lock.
pub async fn released_chain(conn: &mut Connection) -> QueryResult<Option<ChainId>> {
    audit_chains::table.filter(audit_chains::released).select(audit_chains::id).first(conn).await.optional()
}
