//! Transactions: whichever way one ends, nothing half-done stays, and its connection serves the next.

use super::{Conn, Error, Result, postgres, sqlite};
use diesel_async::pooled_connection::deadpool::Object;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a transaction that was dropped may take to end; then its connection is closed.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction. Dropped without a commit, it is rolled back, and what was not committed is gone.
pub struct Tx {
    conn: Option<Conn>,
    end: End,
    at_end: Vec<Hook>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is durable.
    Committed,
    /// Nothing of it is there.
    RolledBack,
    /// The database went away while it was asked to commit.
    Unknown,
}

/// Told how a transaction ended.
type Hook = Box<dyn FnOnce(End) + Send>;

impl Tx {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn: Some(conn), end: End::RolledBack, at_end: Vec::new() }
    }

    /// Has `hook` told how the transaction ends, whichever way that is, once it holds no lock any more.
    pub fn at_end(&mut self, hook: impl FnOnce(End) + Send + 'static) {
        self.at_end.push(Box::new(hook));
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// When the database cannot; then nothing of it is there.
    pub async fn commit(mut self) -> Result<()> {
        // Whoever drops this while it waits does not know either.
        self.end = End::Unknown;
        let committed = match &mut *self {
            Conn::Postgres(conn) => postgres::commit(conn).await,
            Conn::Sqlite(conn) => sqlite::commit(conn).await,
        };
        match committed.map_err(Error::from) {
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

    /// Ends it without a trace and gives the connection back.
    ///
    /// # Errors
    /// When the database cannot be reached; then nothing of it is there either.
    pub async fn rollback(mut self) -> Result<()> {
        match &mut *self {
            Conn::Postgres(conn) => postgres::rollback(conn).await?,
            Conn::Sqlite(conn) => sqlite::rollback(conn).await?,
        }
        self.give_back();
        Ok(())
    }

    /// Lets the pool have the connection, which holds no open transaction any more.
    fn give_back(mut self) {
        drop(self.conn.take());
    }
}

impl Drop for Tx {
    /// The pool looks at a connection only when it hands it out again: an open transaction that lay there would keep its
    /// locks until then. So it ends first. That waits for PostgreSQL, which takes one statement after the other, the one that was
    /// under way included; a refused request would otherwise cost a new connection. SQLite's is closed at once: the next writer
    /// waits for its lock.
    fn drop(&mut self) {
        let (end, at_end) = (self.end, std::mem::take(&mut self.at_end));
        let told = move || at_end.into_iter().for_each(|hook| hook(end));
        match (self.conn.take(), Handle::try_current()) {
            (Some(Conn::Postgres(mut conn)), Ok(runtime)) => {
                runtime.spawn(async move {
                    match tokio::time::timeout(ROLLBACK_TIMEOUT, postgres::rollback(&mut conn)).await {
                        Ok(Ok(())) => drop(conn),
                        Ok(Err(_)) | Err(_) => drop(Object::take(conn)),
                    }
                    told();
                });
                return;
            }
            (Some(Conn::Postgres(conn)), Err(_)) => drop(Object::take(conn)),
            (Some(Conn::Sqlite(conn)), _) => drop(Object::take(conn)),
            (None, _) => {}
        }
        told();
    }
}

/// Only what consumes a transaction takes its connection.
const HELD: &str = "a transaction holds its connection until it is gone";

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
