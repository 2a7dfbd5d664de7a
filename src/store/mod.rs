//! All SQL. One set of queries, compiled for PostgreSQL and for SQLite; [`Conn`] picks the backend.
//! The store holds rows and ciphertext and decides nothing: to write an entry, a caller presents
//! proof of a permission that was granted for it.

mod columns;
mod conn;
mod entry_changes;
mod error;
mod generations;
mod measures;
mod migrations;
mod postgres;
pub mod records;
mod sqlite;
mod statement;
mod transaction;

pub use conn::Conn;
use conn::in_time;
use diesel_async::pooled_connection::deadpool::Pool;
pub use error::Error;
pub use generations::Generation;
use generations::{Generations, generations};
pub use measures::declare_metrics;
pub use migrations::Tables;
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
pub use transaction::{End, EventsTx, Tx};

/// The result of every query.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Makes the instrumentation of one connection, for counting statements.
pub type Instrument = Arc<dyn Fn() -> Box<dyn diesel::connection::Instrumentation> + Send + Sync>;

/// The database.
#[derive(Clone)]
pub struct Store {
    pool: Backend,
    /// It may contain the database's password.
    url: SecretString,
    /// SQLite has one write lock. Writers wait for it here, without a connection, so that readers
    /// can use the connection.
    writer: Arc<Mutex<()>>,
    generations: Generations,
    /// Time limit for a statement on PostgreSQL.
    patience: Duration,
    /// When the last record was refused, unless one was written since.
    refused: Arc<parking_lot::Mutex<Option<Instant>>>,
}

/// Maximum time a transaction waits for a lock.
const WRITE_LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a refused record counts.
const REFUSAL_LASTS: Duration = Duration::from_secs(10);
/// Maximum time a set-up waits for another one.
const SET_UP_LOCK_TIMEOUT: Duration = Duration::from_secs(600);

#[derive(Clone)]
enum Backend {
    Postgres(Pool<postgres::backend::Connection>),
    Sqlite(sqlite::Pools),
}

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Kind {
    /// Reads the scheme of `postgres://...`, `postgresql://...` or `sqlite:PATH`.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Some(Self::Postgres)
        } else {
            url.starts_with("sqlite:").then_some(Self::Sqlite)
        }
    }
}

impl Store {
    /// Opens the database of a URL; connects at first use. `instrument` observes each connection.
    ///
    /// # Errors
    /// When the URL names neither PostgreSQL nor SQLite.
    pub fn open(url: &str, instrument: Option<Instrument>) -> Result<Self> {
        Self::open_within(url, instrument, postgres::STATEMENT_LIMIT)
    }

    /// As [`Self::open`], for an operator's command: its statements may wait for a busy database.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_patiently(url: &str) -> Result<Self> {
        Self::open_within(url, None, postgres::PATIENT_LIMIT)
    }

    fn open_within(url: &str, instrument: Option<Instrument>, patience: Duration) -> Result<Self> {
        let pool = match (Kind::of(url), url.strip_prefix("sqlite:")) {
            (Some(Kind::Postgres), _) => Backend::Postgres(postgres::open(url, instrument, patience)?),
            (Some(Kind::Sqlite), Some(path)) => Backend::Sqlite(sqlite::open(path, instrument.as_ref())?),
            _ => {
                return Err(Error::Refused(
                    "the database's URL is neither postgres://... nor sqlite:PATH; give one of them",
                ));
            }
        };
        let url = SecretString::from(url);
        let (writer, refused) = (Arc::default(), Arc::default());
        Ok(Self { pool, url, writer, generations: generations(), patience, refused })
    }

    /// Notes whether the database took a record. On a full disk it still takes rows that fit into
    /// the pages it has, so a probe alone does not notice.
    pub fn note_record(&self, taken: bool) {
        *self.refused.lock() = (!taken).then(Instant::now);
    }

    /// Whether the database refused the last record, not long ago: a server that gets no requests
    /// because of that has to be tried again.
    #[must_use]
    pub fn refuses_records(&self) -> bool {
        self.refused.lock().is_some_and(|at| at.elapsed() < REFUSAL_LASTS)
    }

    /// The kind of database.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.pool {
            Backend::Postgres(_) => Kind::Postgres,
            Backend::Sqlite(_) => Kind::Sqlite,
        }
    }

    /// Brings the tables up to date. Safe to repeat, and to run twice at once.
    ///
    /// # Errors
    /// When the database cannot be reached or a migration fails; then none of it was applied. When
    /// a newer program has brought the tables up to date.
    pub async fn migrate(&self) -> Result<()> {
        migrations::run(self.kind(), self.url.expose_secret()).await
    }

    /// Compares the tables with those of this program. Writes nothing.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn tables(&self) -> Result<Tables> {
        migrations::tables(self.kind(), self.url.expose_secret()).await
    }

    /// Rejects a database whose commits could be lost, as every new connection does.
    ///
    /// # Errors
    /// When PostgreSQL runs with `synchronous_commit` off, or cannot be reached.
    pub async fn require_durable(&self) -> Result<()> {
        self.conn().await.map(drop)
    }

    /// Rejects a database that takes no writes, such as a standby. Writes nothing itself.
    ///
    /// # Errors
    /// When the database is read-only or cannot be reached.
    pub async fn require_writable(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        if let Conn::Postgres(conn) = &mut *tx
            && in_time!("is_read_only", conn, postgres::is_read_only())?
        {
            return Err(Error::Refused(
                "PostgreSQL takes no writes here: it is a standby, or default_transaction_read_only is on; name the primary",
            ));
        }
        tx.rollback().await
    }

    /// Takes a connection without a transaction, for reading.
    ///
    /// # Errors
    /// When none is available in time, or its commits could be lost.
    pub async fn conn(&self) -> Result<Conn> {
        let began = Instant::now();
        let conn = self.any_conn().await;
        measures::record_wait(began, &conn);
        conn
    }

    async fn any_conn(&self) -> Result<Conn> {
        match &self.pool {
            Backend::Postgres(pool) => {
                let conn = pool.get().await;
                let conn = conn.map(|conn| Conn::Postgres(postgres::PooledConnection::new(conn, self.patience)));
                conn.map_err(|error| postgres::not_durable(&error).unwrap_or_else(|| Error::unreachable(&error)))
            }
            Backend::Sqlite(pools) => sqlite_conn(&pools.others).await,
        }
    }

    /// As [`Self::conn`], for statements that find few rows by an index. With SQLite, they run on
    /// the worker thread and keep its other tasks waiting, so use it for no statement whose rows
    /// grow with a project or with the installation.
    ///
    /// # Errors
    /// As [`Self::conn`].
    pub async fn reader(&self) -> Result<Conn> {
        match &self.pool {
            Backend::Postgres(_) => self.conn().await,
            Backend::Sqlite(pools) => {
                let began = Instant::now();
                let conn = sqlite_conn(&pools.readers).await;
                measures::record_wait(began, &conn);
                conn
            }
        }
    }

    /// Runs a task that uses the database all the time: for SQLite on a thread of its own, so that
    /// its statements and commits keep no other task waiting.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self.kind() {
            Kind::Postgres => drop(tokio::spawn(task)),
            Kind::Sqlite => {
                let runtime = Handle::current();
                drop(tokio::task::spawn_blocking(move || runtime.block_on(task)));
            }
        }
    }

    /// Begins a transaction that may write. Dropped without [`Tx::commit`], it is rolled back.
    ///
    /// # Errors
    /// When no connection or write lock is available in time.
    pub async fn begin(&self) -> Result<Tx> {
        self.begin_within(WRITE_LOCK_TIMEOUT).await
    }

    /// As [`Self::begin`], for a set-up, which waits up to ten minutes for another one.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn begin_set_up(&self) -> Result<Tx> {
        self.begin_within(SET_UP_LOCK_TIMEOUT).await
    }

    /// Prepares a transaction that only records events.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn begin_events(&self) -> Result<EventsTx> {
        match self.kind() {
            Kind::Postgres => self.conn().await.map(EventsTx::of_one_statement),
            Kind::Sqlite => self.begin().await.map(EventsTx::begun),
        }
    }

    async fn begin_within(&self, limit: Duration) -> Result<Tx> {
        let lock = self.write_lock(limit).await?;
        let mut tx = Tx::begin(self.conn().await?, limit).await?;
        tx.at_end(move |_| drop(lock));
        Ok(tx)
    }

    /// Waits for SQLite's write lock; PostgreSQL has none.
    async fn write_lock(&self, limit: Duration) -> Result<Option<OwnedMutexGuard<()>>> {
        match self.kind() {
            Kind::Postgres => Ok(None),
            Kind::Sqlite => match tokio::time::timeout(limit, self.writer.clone().lock_owned()).await {
                Ok(lock) => Ok(Some(lock)),
                Err(_) => Err(Error::Unavailable("other writers held the write lock for too long".to_owned())),
            },
        }
    }
}

async fn sqlite_conn(pool: &Pool<sqlite::backend::Connection>) -> Result<Conn> {
    pool.get().await.map(Conn::Sqlite).map_err(|error| Error::unreachable(&error))
}
