//! All SQL. One set of queries, compiled for PostgreSQL and for SQLite; [`Conn`] picks the backend.
//! The store holds rows and ciphertext and decides nothing: to write an entry, a caller presents
//! proof of a permission that was granted for it.

mod columns;
mod conn;
mod entry_changes;
mod error;
mod generations;
mod migrations;
mod postgres;
pub mod records;
mod sqlite;
mod statement;
mod transaction;

pub use conn::Conn;
use diesel_async::pooled_connection::deadpool::Pool;
pub use error::Error;
pub use generations::Generation;
use generations::{Generations, generations};
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
pub use transaction::{End, Tx};

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
}

/// Maximum time a transaction waits for SQLite's write lock.
const WRITE_LOCK_TIMEOUT: Duration = Duration::from_secs(5);
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
        let pool = match (Kind::of(url), url.strip_prefix("sqlite:")) {
            (Some(Kind::Postgres), _) => Backend::Postgres(postgres::open(url, instrument)?),
            (Some(Kind::Sqlite), Some(path)) => Backend::Sqlite(sqlite::open(path, instrument.as_ref())?),
            _ => {
                return Err(Error::Refused(
                    "the database's URL is neither postgres://... nor sqlite:PATH; give one of them",
                ));
            }
        };
        Ok(Self { pool, url: SecretString::from(url), writer: Arc::default(), generations: generations() })
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
    /// When the database cannot be reached or a migration fails; then none of it was applied.
    pub async fn migrate(&self) -> Result<()> {
        migrations::run(self.kind(), self.url.expose_secret()).await
    }

    /// Whether the tables are up to date.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn is_migrated(&self) -> Result<bool> {
        migrations::are_applied(self.kind(), self.url.expose_secret()).await
    }

    /// Rejects a database whose commits could be lost, as every new connection does.
    ///
    /// # Errors
    /// When PostgreSQL runs with `synchronous_commit` off, or cannot be reached.
    pub async fn require_durable(&self) -> Result<()> {
        self.conn().await.map(drop)
    }

    /// Takes a connection without a transaction, for reading.
    ///
    /// # Errors
    /// When none is available in time, or its commits could be lost.
    pub async fn conn(&self) -> Result<Conn> {
        match &self.pool {
            Backend::Postgres(pool) => {
                let conn = pool.get().await.map(Conn::Postgres);
                conn.map_err(|error| postgres::not_durable(&error).unwrap_or_else(|| Error::unreachable(&error)))
            }
            Backend::Sqlite(pools) => sqlite_conn(&pools.others).await,
        }
    }

    /// As [`Self::conn`], for statements that find few rows by an index. With SQLite, they run on
    /// the worker thread and keep its other tasks waiting, so use it for no statement whose rows grow
    /// with a project or with the installation.
    ///
    /// # Errors
    /// As [`Self::conn`].
    pub async fn reader(&self) -> Result<Conn> {
        match &self.pool {
            Backend::Postgres(_) => self.conn().await,
            Backend::Sqlite(pools) => sqlite_conn(&pools.readers).await,
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

    async fn begin_within(&self, limit: Duration) -> Result<Tx> {
        let lock = self.write_lock(limit).await?;
        let mut conn = self.conn().await?;
        match &mut conn {
            Conn::Postgres(conn) => postgres::begin(conn, limit).await?,
            Conn::Sqlite(conn) => sqlite::begin(conn, limit).await?,
        }
        let mut tx = Tx::new(conn);
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
