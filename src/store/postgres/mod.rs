//! PostgreSQL.

#[path = "../queries/mod.rs"]
pub mod queries;
#[path = "../schema.rs"]
pub mod schema;

/// The types that the shared queries and schema are compiled with.
pub mod backend {
    pub type Db = diesel::pg::Pg;
    pub type Connection = diesel_async::AsyncPgConnection;
    pub type IdSql = diesel::sql_types::Uuid;
    pub use super::lists::one_of;
    use crate::store::statement::{Fixed, fixed};

    /// The generation of the project in a row of a query. Triggers make it.
    pub const fn generation() -> Fixed<diesel::sql_types::Uuid> {
        fixed("projects.generation")
    }

    /// Whether a column holds an id, which this database makes sure of.
    pub const fn is_id(_sql: &'static str) -> Fixed<diesel::sql_types::Bool> {
        fixed("true")
    }

    /// Loads the rows of a query.
    macro_rules! load {
        ($query:expr, $conn:expr) => {
            diesel_async::RunQueryDsl::load($query, $conn).await
        };
    }
    pub(in crate::store) use load;
}

mod address;
mod hosts;
mod lists;
mod pooled;
mod timeline;
mod tls;

use super::records::{Positioned, Uses};
use super::statement::{insert_events_from, statement};
use super::{Error, Instrument};
use crate::domain::{ChainId, EntryId, ProjectId, ProjectStatus};
pub use address::Address;
use backend::{Connection, one_of};
use deadpool::managed::{Hook, HookError};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Uuid};
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AnsiTransactionManager, AsyncConnection, RunQueryDsl, TransactionManager};
use futures::FutureExt;
pub use pooled::{PATIENT_LIMIT, PooledConnection, STATEMENT_LIMIT};
use schema::{audit_chains, projects};
use std::time::Duration;
use timeline::PrimaryTimeline;

/// Maximum number of connections of one server.
const POOL_SIZE: usize = 16;
/// Maximum time a request waits for a connection, and a connection for the server.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection is rejected when its commits do not wait for the disk. Each new connection is
/// checked, because the role and the database can change the setting as well as the server, and at
/// any time.
const NOT_DURABLE: &str =
    "PostgreSQL runs with synchronous_commit off, so a crash can lose committed changes; set it to on";

/// The error for [`NOT_DURABLE`]; `None` for any other reason why there is no connection.
pub fn not_durable(error: &impl std::fmt::Display) -> Option<Error> {
    error.to_string().contains(NOT_DURABLE).then_some(Error::Refused(NOT_DURABLE))
}

/// Opens a pool; connects at first use. `limit` is the time limit for a statement.
pub fn open(url: &str, instrument: Option<Instrument>, limit: Duration) -> Result<Pool<Connection>, Error> {
    let mut config = ManagerConfig::<Connection>::default();
    config.recycling_method = RecyclingMethod::Fast;
    let address = Address::read(url)?;
    let timeline = PrimaryTimeline::default();
    let newest = timeline.clone();
    config.custom_setup = Box::new(move |_| {
        let address = address.clone();
        let (instrument, newest) = (instrument.clone(), newest.clone());
        async move {
            let mut conn = address.connect().await?;
            if !set_up(&mut conn, limit).await.map_err(ConnectionError::CouldntSetupConfiguration)? {
                return Err(ConnectionError::BadConnection(NOT_DURABLE.to_owned()));
            }
            if !newest.admits(&mut conn).await {
                return Err(ConnectionError::BadConnection("the server is a former primary".to_owned()));
            }
            if let Some(instrument) = instrument {
                conn.set_instrumentation(instrument());
            }
            Ok(conn)
        }
        .boxed()
    });
    Pool::builder(AsyncDieselConnectionManager::new_with_config("", config))
        .pre_recycle(Hook::sync_fn(move |_, metrics| {
            let is_current = timeline.reaches_newest(metrics.created);
            if is_current { Ok(()) } else { Err(HookError::message("the server is a former primary")) }
        }))
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
    #[diesel(sql_type = Text)]
    setting: String,
}

/// Has the connection plan each statement once, so that it finds its rows by an index whatever the
/// statistics say: they may be of a time when the tables were empty. PostgreSQL would plan
/// statements with lists anew on every call, which takes longer than running them. It would also
/// compile a statement that has to read a whole table, since what is off counts as very expensive.
///
/// A statement outside a transaction has the isolation level of [`begin`]: at higher levels, one of
/// two servers that count uses of an entry would fail.
///
/// Also limits the time of a statement, and of a transaction in which nothing happens, such as that
/// of a server that was cut off: its locks are others' then. Of these limits, what the URL, the role
/// or the database set wins. There is none for locks alone: where a table is locked, PostgreSQL reports
/// it like a fault of the statement.
///
/// Says whether a commit waits for the disk: what the vault has confirmed must survive a crash.
async fn set_up(conn: &mut Connection, limit: Duration) -> QueryResult<bool> {
    let row: Setting = diesel::sql_query(
        "SELECT current_setting('synchronous_commit') AS setting, \
         set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false), \
         set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false), \
         set_config('jit', 'off', false), set_config('default_transaction_isolation', 'read committed', false), \
         set_config('statement_timeout', coalesce(nullif(current_setting('statement_timeout'), '0'), $1), false), \
         set_config('idle_in_transaction_session_timeout', \
           coalesce(nullif(current_setting('idle_in_transaction_session_timeout'), '0'), '60s'), false)",
    )
    .bind::<Text, _>(format!("{}ms", limit.as_millis()))
    .get_result(conn)
    .await?;
    Ok(row.setting != "off")
}

/// Begins with the isolation level that the locks are designed for, whatever the server's default,
/// and limits the wait for a lock. A set-up waits longer for one than a statement may take
/// otherwise.
pub async fn begin(conn: &mut Connection, limit: Duration) -> QueryResult<()> {
    let lock = limit.as_millis();
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '{lock}ms'");
    let begin = if limit < STATEMENT_LIMIT {
        begin
    } else {
        format!("{begin}; SET LOCAL statement_timeout = '{}ms'", (limit + STATEMENT_LIMIT).as_millis())
    };
    AnsiTransactionManager::begin_transaction_sql(conn, &begin).await
}

/// Whether the transaction refuses writes.
pub async fn is_read_only(conn: &mut Connection) -> QueryResult<bool> {
    let setting = diesel::sql_query("SELECT current_setting('transaction_read_only') AS setting");
    Ok(setting.get_result::<Setting>(conn).await?.setting == "on")
}

pub async fn commit(conn: &mut Connection) -> QueryResult<()> {
    AnsiTransactionManager::commit_transaction(conn).await
}

pub async fn rollback(conn: &mut Connection) -> QueryResult<()> {
    AnsiTransactionManager::rollback_transaction(conn).await
}

/// Takes the lock under which everything of a project is changed. Inserts that refer to the row do
/// not wait for it.
pub async fn lock_project(conn: &mut Connection, id: &ProjectId) -> QueryResult<Option<ProjectStatus>> {
    projects::table.find(id).select(projects::status).for_no_key_update().first(conn).await.optional()
}

/// As [`lock_project`], for several projects in the order of their ids, so that two callers never
/// deadlock.
pub async fn lock_projects(conn: &mut Connection, ids: &[ProjectId]) -> QueryResult<()> {
    let locked = projects::table.filter(one_of(projects::id, ids)).select(projects::id).order(projects::id);
    locked.for_no_key_update().load::<ProjectId>(conn).await.map(drop)
}

/// Takes a lock by name, until the transaction ends.
pub async fn lock_name(conn: &mut Connection, name: &str) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind::<Text, _>(name)
        .execute(conn)
        .await?;
    Ok(())
}

/// The columns of rows of events, each as an array.
macro_rules! columns {
    ($events:expr) => {{
        let events: &[Positioned<'_>] = $events;
        macro_rules! each {
            ($event:pat, $link:pat => $value:expr, $kind:ty) => {
                events.iter().map(|($event, $link)| $value).collect::<Vec<_>>().into_sql::<Array<$kind>>()
            };
        }
        (
            each!(event, _ => event.id, Uuid),
            each!(event, _ => event.occurred_at, BigInt),
            each!(event, _ => event.project.as_deref(), Nullable<Text>),
            each!(event, _ => event.action, Text),
            each!(event, _ => event.outcome, Text),
            each!(event, _ => event.reason.as_deref(), Nullable<Text>),
            each!(event, _ => event.count, BigInt),
            each!(event, _ => event.actor.as_str(), Text),
            each!(event, _ => event.subject.as_deref(), Nullable<Text>),
            each!(event, _ => event.role, Nullable<Text>),
            each!(event, _ => event.agent.as_deref(), Nullable<Text>),
            each!(event, _ => event.entry, Nullable<Uuid>),
            each!(event, _ => event.entry_name.as_deref(), Nullable<Text>),
            each!(event, _ => event.entry_version, Nullable<Integer>),
            each!(event, _ => event.entry_revision, Nullable<Integer>),
            each!(event, _ => event.milestone.as_deref(), Nullable<Text>),
            each!(event, _ => event.purpose, Nullable<Text>),
            each!(event, _ => event.session.as_deref(), Nullable<Text>),
            each!(event, _ => event.tool.as_deref(), Nullable<Text>),
            each!(event, _ => event.request_id.as_str(), Text),
            each!(_, link => link.chain, Uuid),
            each!(_, link => link.seq, BigInt),
            each!(_, link => link.prev.as_slice(), Binary),
            each!(_, link => link.mac.as_slice(), Binary),
        )
    }};
}

/// Adds to the number of uses of each entry, as the first parts of a statement that inserts events.
/// The rows are locked in one order, so that two resolves never deadlock. A missing counter starts
/// anew, unless its entry is gone as well.
macro_rules! counting_uses {
    () => {
        "used AS (SELECT id, times, at FROM unnest(?) AS used (id, times), (SELECT ? AS at) AS now), \
         locked AS ( \
             SELECT entry_usage.entry_id, used.times, used.at FROM used JOIN entry_usage ON entry_usage.entry_id = used.id \
             ORDER BY entry_usage.entry_id FOR UPDATE OF entry_usage), \
         counted AS ( \
             UPDATE entry_usage SET resolve_count = resolve_count + locked.times, \
             last_resolved_at = GREATEST(COALESCE(last_resolved_at, locked.at), locked.at) \
             FROM locked WHERE entry_usage.entry_id = locked.entry_id RETURNING entry_usage.entry_id), \
         started AS ( \
             INSERT INTO entry_usage AS known (entry_id, resolve_count, last_resolved_at) \
             SELECT entries.id, used.times, used.at FROM used JOIN entries ON entries.id = used.id \
             WHERE (SELECT count(*) FROM counted) < (SELECT count(*) FROM used) \
             AND NOT EXISTS (SELECT FROM counted WHERE counted.entry_id = entries.id) \
             ORDER BY entries.id FOR KEY SHARE OF entries \
             ON CONFLICT (entry_id) DO UPDATE SET resolve_count = known.resolve_count + EXCLUDED.resolve_count, \
             last_resolved_at = GREATEST(COALESCE(known.last_resolved_at, EXCLUDED.last_resolved_at), EXCLUDED.last_resolved_at))"
    };
}

/// Inserts rows of events into a table.
macro_rules! insert {
    ($table:literal) => {
        insert_events_from!($table, "SELECT * FROM unnest")
    };
}

/// Adds audit events and decoys, and counts the uses, in one prepared statement: outside a
/// transaction, it is durable as a whole or not at all.
pub async fn insert_events(
    conn: &mut Connection,
    events: &[Positioned<'_>],
    decoys: &[Positioned<'_>],
    uses: Option<&Uses>,
) -> QueryResult<()> {
    macro_rules! run {
        ($($part:expr),+; $($bind:expr),+) => {
            statement(concat!($($part),+), ($($bind,)+)).execute(conn).await.map(drop)
        };
    }
    let counted = uses.map(|Uses { entries, at }| {
        let (entries, times): (Vec<EntryId>, Vec<i64>) = entries.iter().copied().unzip();
        ((entries.into_sql::<Array<Uuid>>(), times.into_sql::<Array<BigInt>>()), at.into_sql::<BigInt>())
    });
    let (of_events, of_decoys) = (|| columns!(events), || columns!(decoys));
    match counted {
        None if decoys.is_empty() => run!(insert!("audit_events"); of_events()),
        None if events.is_empty() => run!(insert!("audit_decoys"); of_decoys()),
        None => {
            run!("WITH decoyed AS (", insert!("audit_decoys"), ") ", insert!("audit_events"); of_decoys(), of_events())
        }
        Some((uses, at)) if decoys.is_empty() => {
            run!("WITH ", counting_uses!(), " ", insert!("audit_events"); uses, at, of_events())
        }
        Some((uses, at)) => run!(
            "WITH ", counting_uses!(), ", decoyed AS (", insert!("audit_decoys"), ") ", insert!("audit_events");
            uses, at, of_decoys(), of_events()
        ),
    }
}

/// Asks for nothing.
pub async fn probe(conn: &mut Connection) -> QueryResult<()> {
    diesel::sql_query("SELECT").execute(conn).await.map(drop)
}

/// Nothing counts those of the whole database: changes of one project would wait for those of
/// others.
pub async fn changes(_: &mut Connection) -> QueryResult<Option<i64>> {
    Ok(None)
}

/// Does nothing: the server reuses erased pages.
pub async fn truncate_wal(_: &mut Connection) -> QueryResult<bool> {
    Ok(true)
}

/// None: the type of the columns makes sure of it.
pub async fn rows_without_id(_: &mut Connection) -> QueryResult<Vec<(&'static str, String)>> {
    Ok(Vec::new())
}

/// A released chain. Never waits for one that another transaction is about to claim.
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
