//! Transactions. However one ends, nothing half-done stays, and its connection can serve the next.

use super::conn::{in_time, on_sqlite};
use super::records::{Positioned, Uses};
use super::{Conn, Error, Result, WRITE_LOCK_TIMEOUT, postgres, sqlite};
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
    /// No change was made: what was recorded has the place of something that is there already.
    Conflict,
    /// The database became unreachable during the commit, so the changes may or may not be there.
    Unknown,
}

/// Called with the way a transaction ended.
type Hook = Box<dyn FnOnce(End) + Send>;

impl Tx {
    fn new(conn: Conn) -> Self {
        Self { conn: Some(conn), end: End::RolledBack, at_end: Vec::new() }
    }

    /// Begins a transaction, whose statements wait for a lock no longer than `limit`.
    pub(super) async fn begin(mut conn: Conn, limit: Duration) -> Result<Self> {
        match &mut conn {
            Conn::Postgres(conn) => {
                conn.be_patient(limit + postgres::STATEMENT_LIMIT);
                in_time!("BEGIN", conn, postgres::begin(limit))?;
            }
            Conn::Sqlite(conn) => on_sqlite!("BEGIN", sqlite::begin(conn, limit))?,
        }
        Ok(Self::new(conn))
    }

    /// Calls `hook` with the way the transaction ended, once it holds no lock any more.
    pub fn at_end(&mut self, hook: impl FnOnce(End) + Send + 'static) {
        self.at_end.push(Box::new(hook));
    }

    /// Adds events and decoys, and counts the uses of which the events tell.
    ///
    /// # Errors
    /// [`Error::Unique`] when the chain has an event at such a position already; the transaction ends in
    /// [`End::Conflict`] then. Also when the database cannot answer.
    pub async fn record(
        &mut self,
        events: &[Positioned<'_>],
        decoys: &[Positioned<'_>],
        uses: Option<&Uses>,
    ) -> Result<()> {
        let recorded = self.insert_events(events, decoys, uses).await;
        if let Err(Error::Unique(_)) = &recorded {
            self.end = End::Conflict;
        }
        recorded
    }

    /// Asks for nothing, to find out whether the connection still works.
    async fn probe(&mut self) -> Result<()> {
        match &mut **self {
            Conn::Postgres(conn) => in_time!("probe", conn, postgres::probe()),
            Conn::Sqlite(_) => Ok(()),
        }
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

/// A transaction whose only statement records events. Dropped before that, nothing is written.
pub struct EventsTx(Prepared);

enum Prepared {
    Begun(Tx),
    /// The statement begins and commits it.
    Statement(Conn),
}

impl EventsTx {
    /// In a transaction that was begun.
    pub(super) fn begun(tx: Tx) -> Self {
        Self(Prepared::Begun(tx))
    }

    /// In the transaction that PostgreSQL makes of a statement outside one.
    pub(super) fn of_one_statement(conn: Conn) -> Self {
        Self(Prepared::Statement(conn))
    }

    /// Makes it one for more than that statement.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn begin(self) -> Result<Tx> {
        match self.0 {
            Prepared::Begun(tx) => Ok(tx),
            Prepared::Statement(conn) => Tx::begin(conn, WRITE_LOCK_TIMEOUT).await,
        }
    }

    /// Adds events and decoys, counts the uses of which the events tell, and commits; then calls
    /// `at_end`. With PostgreSQL, that takes one round trip instead of three.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the database becomes unreachable meanwhile. After any other error, no
    /// change was made.
    pub async fn record(
        self,
        events: &[Positioned<'_>],
        decoys: &[Positioned<'_>],
        uses: Option<&Uses>,
        at_end: impl FnOnce(End) + Send + 'static,
    ) -> Result<()> {
        let conn = match self.0 {
            Prepared::Begun(mut tx) => {
                tx.at_end(at_end);
                tx.record(events, decoys, uses).await?;
                return tx.commit().await;
            }
            Prepared::Statement(conn) => conn,
        };
        let mut tx = Tx::new(conn);
        tx.at_end(at_end);
        // If this future is dropped while it waits, the outcome is unknown.
        tx.end = End::Unknown;
        let recorded = tx.insert_events(events, decoys, uses).await;
        tx.end = match &recorded {
            Ok(()) => End::Committed,
            Err(Error::Unique(_)) => End::Conflict,
            // A connection that still works would have told of a commit.
            Err(Error::Unavailable(reason)) if tx.probe().await.is_err() => return Err(Error::Unknown(reason.clone())),
            Err(_) => End::RolledBack,
        };
        tx.give_back();
        recorded
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
