//! Transactions. However one ends, nothing half-done stays, and its connection can serve the next.

use super::conn::{in_time, on_sqlite};
use super::{Conn, Error, Result, postgres, sqlite};
use diesel_async::pooled_connection::deadpool::Object;
use std::time::Duration;
use tokio::runtime::Handle;

/// Maximum time for rolling back a dropped transaction; then its connection is closed.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction. Dropped without a commit, it is rolled back.
pub struct Tx {
    conn: Option<Conn>,
    end: End,
    at_end: Vec<Hook>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The changes are durable.
    Committed,
    /// No change was made.
    RolledBack,
    /// The database became unreachable during the commit, so the changes may or may not be there.
    Unknown,
}

/// Called with the way a transaction ended.
type Hook = Box<dyn FnOnce(End) + Send>;

impl Tx {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn: Some(conn), end: End::RolledBack, at_end: Vec::new() }
    }

    /// Calls `hook` with the way the transaction ended, once it holds no lock any more.
    pub fn at_end(&mut self, hook: impl FnOnce(End) + Send + 'static) {
        self.at_end.push(Box::new(hook));
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the database becomes unreachable during the commit. After any other
    /// error, no change was made.
    pub async fn commit(mut self) -> Result<()> {
        // If this future is dropped while it waits, the outcome is unknown too.
        self.end = End::Unknown;
        let committed = match &mut *self {
            Conn::Postgres(conn) => in_time!("COMMIT", conn, postgres::commit()),
            Conn::Sqlite(conn) => on_sqlite!("COMMIT", sqlite::commit(conn)),
        };
        match committed {
            Ok(()) => {
                self.end = End::Committed;
                self.give_back();
                Ok(())
            }
            Err(Error::Unavailable(reason)) => Err(Error::Unknown(reason)),
            Err(error) => {
                self.end = End::RolledBack;
                Err(error)
            }
        }
    }

    /// Rolls the transaction back and returns its connection to the pool.
    ///
    /// # Errors
    /// When the database cannot be reached; no change was made then either.
    pub async fn rollback(mut self) -> Result<()> {
        match &mut *self {
            Conn::Postgres(conn) => in_time!("ROLLBACK", conn, postgres::rollback())?,
            Conn::Sqlite(conn) => on_sqlite!("ROLLBACK", sqlite::rollback(conn))?,
        }
        self.give_back();
        Ok(())
    }

    /// Returns the connection, which has no open transaction any more, to the pool.
    fn give_back(mut self) {
        drop(self.conn.take());
    }
}

impl Drop for Tx {
    /// Rolls back before the pool gets the connection. The pool checks a connection only when it
    /// hands it out again, and an open transaction would keep its locks until then. On PostgreSQL
    /// the rollback waits for the statement under way; closing the connection instead would cost
    /// each refused request a new one. On SQLite the connection is closed at once, because the next
    /// writer waits for its lock; so is one whose commit was under way, which nothing can roll back.
    fn drop(&mut self) {
        let (end, at_end) = (self.end, std::mem::take(&mut self.at_end));
        let told = move || at_end.into_iter().for_each(|hook| hook(end));
        match (self.conn.take(), Handle::try_current()) {
            (Some(Conn::Postgres(conn)), _) if end == End::Unknown => conn.close(),
            (Some(Conn::Postgres(mut conn)), Ok(runtime)) => {
                runtime.spawn(async move {
                    if !conn.rolls_back_within(ROLLBACK_TIMEOUT).await {
                        conn.close();
                    }
                    told();
                });
                return;
            }
            (Some(Conn::Postgres(conn)), Err(_)) => conn.close(),
            (Some(Conn::Sqlite(conn)), _) => drop(Object::take(conn)),
            (None, _) => {}
        }
        told();
    }
}

/// Only methods that consume the transaction take its connection.
const HELD: &str = "a transaction holds its connection until it ends";

impl std::ops::Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        self.conn.as_ref().unwrap_or_else(|| unreachable!("{HELD}"))
    }
}

impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().unwrap_or_else(|| unreachable!("{HELD}"))
    }
}
