//! The metrics of the database.

use super::{Backend, Error, Result, Store};
use crate::measures::{Kind, declare, number};
use crate::trace::ExportedSpan;
use deadpool::managed::{Manager, Pool, Status};
use std::time::Instant;

const STATEMENTS: &str = "vault_database_statement_duration_seconds";
const WAITS: &str = "vault_database_connection_wait_seconds";
const FAILURES: &str = "vault_database_failures_total";
const CONNECTIONS: &str = "vault_database_connections";
const MAX_CONNECTIONS: &str = "vault_database_connections_max";
const WAITING: &str = "vault_database_connection_waiters";

/// The values of the label `pool`. With SQLite, statements that find few rows by an index have
/// connections of their own; PostgreSQL has the main pool only.
const POOLS: [&str; 2] = ["main", "readers"];
/// The values of the label `state`.
const STATES: [&str; 2] = ["idle", "in_use"];

/// Declares the metrics of the database.
pub fn declare_metrics() {
    declare(
        Kind::Histogram,
        STATEMENTS,
        "How long statements of the database took, BEGIN and COMMIT included, without the wait for a connection.",
        &[],
    );
    declare(Kind::Histogram, WAITS, "How long it took to get a connection to the database.", &[]);
    declare(
        Kind::Counter,
        FAILURES,
        "Statements, and attempts to get a connection, that the database did not answer in time or at all.",
        &[],
    );
    declare(
        Kind::Gauge,
        CONNECTIONS,
        "Open connections to the database, by pool and state.",
        &[("pool", &POOLS), ("state", &STATES)],
    );
    declare(Kind::Gauge, MAX_CONNECTIONS, "Maximum number of connections, by pool.", &[("pool", &POOLS)]);
    declare(Kind::Gauge, WAITING, "Tasks that wait for a connection, by pool.", &[("pool", &POOLS)]);
}

/// A statement that is measured and traced.
pub(super) struct Statement {
    began: Instant,
    span: ExportedSpan,
}

impl Statement {
    /// Begins now, on `postgresql` or `sqlite`.
    pub(super) fn begin(system: &'static str, operation: &'static str) -> Self {
        Self { began: Instant::now(), span: ExportedSpan::statement(system, operation) }
    }

    /// Records its result.
    pub(super) fn end<T>(self, result: Result<T>) -> Result<T> {
        // The text of `STATEMENTS`; a literal, so that the key is static.
        metrics::histogram!("vault_database_statement_duration_seconds").record(self.began.elapsed());
        record_failure(&result);
        if let Err(error) = &result {
            self.span.failed(error.kind());
        }
        result
    }
}

/// Records that a connection was asked for then.
pub(super) fn record_wait<T>(began: Instant, result: &Result<T>) {
    // The text of `WAITS`.
    metrics::histogram!("vault_database_connection_wait_seconds").record(began.elapsed());
    record_failure(result);
}

fn record_failure<T>(result: &Result<T>) {
    if let Err(Error::Unavailable(_) | Error::Unknown(_)) = result {
        metrics::counter!(FAILURES).increment(1);
    }
}

impl Store {
    /// Sets the gauges of the connection pools. Asks the database nothing.
    pub fn measure_pools(&self) {
        match &self.pool {
            Backend::Postgres(pool) => measure("main", pool),
            Backend::Sqlite(pools) => {
                measure("main", &pools.others);
                measure("readers", &pools.readers);
            }
        }
    }
}

fn measure<M: Manager>(name: &'static str, pool: &Pool<M>) {
    let Status { max_size, size, available, waiting, .. } = pool.status();
    metrics::gauge!(CONNECTIONS, "pool" => name, "state" => "idle").set(number(available));
    metrics::gauge!(CONNECTIONS, "pool" => name, "state" => "in_use").set(number(size.saturating_sub(available)));
    metrics::gauge!(MAX_CONNECTIONS, "pool" => name).set(number(max_size));
    metrics::gauge!(WAITING, "pool" => name).set(number(waiting));
}
