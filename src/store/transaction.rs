//! Transactions. However one ends, nothing half-done stays, and its connection can serve the next.

use super::conn::{in_time, on_sqlite};
use super::records::{EventRow, Link, Uses};
use super::{Conn, Error, Result, postgres, sqlite};
use diesel_async::pooled_connection::deadpool::Object;
use std::time::Duration;
use tokio::runtime::Handle;

/// Maximum time for rolling back a dropped transaction; then its connection is closed.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction. Dropped without a commit, it is rolled back.
pub struct Tx {
    conn: Option<Conn>,
    /// Whether the database has to be told when it ends.
    is_begun: bool,
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

/// An event with its place in a chain.
pub type Chained<'a> = (&'a EventRow, Link);

/// Called with the way a transaction ended.
type Hook = Box<dyn FnOnce(End) + Send>;

impl Tx {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn: Some(conn), is_begun: true, end: End::RolledBack, at_end: Vec::new() }
    }

    /// Calls `hook` with the way the transaction ended, once it holds no lock any more.
    pub fn at_end(&mut self, hook: impl FnOnce(End) + Send + 'static) {
        self.at_end.push(Box::new(hook));
    }

    /// Adds events and decoys, and counts the uses of which the events tell.
    ///
    /// # Errors
    /// When the database refuses or cannot answer.
    pub async fn insert_all(
        &mut self,
        events: &[Chained<'_>],
        decoys: &[Chained<'_>],
        uses: Option<&Uses>,
    ) -> Result<()> {
        if !decoys.is_empty() {
            self.insert_decoys(decoys).await?;
        }
        if events.is_empty() { Ok(()) } else { self.insert_events(events, uses).await }
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
        self.ends_with(committed)
    }

    /// Ends as the database says. If it says nothing, the outcome stays unknown.
    fn ends_with(mut self, committed: Result<()>) -> Result<()> {
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

/// A transaction that only records events: see [`Self::insert_events`]. Dropped without it, nothing
/// is written.
pub struct EventsTx(Tx);

impl EventsTx {
    /// One that was begun.
    pub(super) fn within(tx: Tx) -> Self {
        Self(tx)
    }

    /// One that its only statement begins and commits.
    pub(super) fn of_statement(conn: Conn) -> Self {
        let mut tx = Tx::new(conn);
        tx.is_begun = false;
        Self(tx)
    }

    /// As [`Tx::at_end`].
    pub fn at_end(&mut self, hook: impl FnOnce(End) + Send + 'static) {
        self.0.at_end(hook);
    }

    /// Adds events and decoys, counts the uses of which the events tell, and commits. PostgreSQL commits
    /// a statement outside a transaction by itself, which takes one round trip instead of three; the
    /// decoys, which nothing reads, have a statement of their own.
    ///
    /// # Errors
    /// As [`Tx::commit`], of the events.
    pub async fn insert(self, events: &[Chained<'_>], decoys: &[Chained<'_>], uses: Option<&Uses>) -> Result<()> {
        let Self(mut tx) = self;
        if tx.is_begun {
            tx.insert_all(events, decoys, uses).await?;
            return tx.commit().await;
        }
        // If this future is dropped while it waits, the outcome is unknown.
        tx.end = End::Unknown;
        let inserted = tx.insert_all(events, decoys, uses).await;
        tx.ends_with(inserted)
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
            (Some(conn @ Conn::Postgres(_)), _) if !self.is_begun => drop(conn),
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
