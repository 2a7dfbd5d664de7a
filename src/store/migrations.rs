//! Migrations, which bring the tables up to date.

use super::{Error, Kind, Result, SET_UP_LOCK_TIMEOUT, postgres, sqlite};
use diesel::Connection as _;
use diesel::backend::Backend;
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel::sqlite::SqliteConnection;
use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::collections::BTreeSet;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The advisory lock that lets one migration run at a time; a constant that no other lock uses.
const LOCK: i64 = 0x7076_6d69_6772_6174;
/// Lists the migrations that were applied to a database, in which `diesel` keeps them.
const APPLIED: &str = "SELECT version FROM __diesel_schema_migrations";

/// How the tables of a database compare with those of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tables {
    /// They are those of this program.
    Current,
    /// Migrations of this program were not applied yet, or none was.
    Behind,
    /// A newer program applied migrations that this one does not know: their versions.
    Newer(Vec<String>),
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

impl Tables {
    /// Compares what was applied with what this program has.
    fn of<DB: Backend>(applied: &[Version], known: &impl MigrationSource<DB>) -> Result<Self> {
        let known = known.migrations().map_err(Error::unexpected)?;
        let known: BTreeSet<String> = known.iter().map(|known| known.name().version().to_string()).collect();
        let mut newer: Vec<String> = applied.iter().map(|applied| applied.version.clone()).collect();
        newer.retain(|version| !known.contains(version));
        newer.sort();
        let is_current = applied.len() >= known.len();
        Ok(if newer.is_empty() && is_current {
            Self::Current
        } else if newer.is_empty() {
            Self::Behind
        } else {
            Self::Newer(newer)
        })
    }

    /// Refuses the tables of a newer program, on which this one could do harm.
    fn require_known(self) -> Result<()> {
        match self {
            Self::Current | Self::Behind => Ok(()),
            Self::Newer(versions) => Err(Error::Newer(versions)),
        }
    }
}

/// Applies the pending migrations in one transaction.
pub async fn run(kind: Kind, url: &str) -> Result<()> {
    match kind {
        Kind::Postgres => {
            let mut conn = connect(url).await?;
            postgres::begin(&mut conn, SET_UP_LOCK_TIMEOUT).await?;
            diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
                .bind::<diesel::sql_types::BigInt, _>(LOCK)
                .execute(&mut conn)
                .await?;
            in_postgres(&mut conn).await?.require_known()?;
            let mut conn = with_harness(conn, |mut harness| {
                harness.run_pending_migrations(POSTGRES).map_err(Error::unexpected)?;
                Ok(harness.into_inner())
            })
            .await?;
            postgres::commit(&mut conn).await?;
        }
        Kind::Sqlite => {
            blocking(url, |conn| {
                for pragmas in [sqlite::PRAGMAS, sqlite::SET_UP_LOCK_TIMEOUT_PRAGMA] {
                    diesel::connection::SimpleConnection::batch_execute(conn, pragmas)?;
                }
                conn.immediate_transaction(|conn| {
                    in_sqlite(conn)?.require_known()?;
                    conn.run_pending_migrations(SQLITE).map(drop).map_err(Error::unexpected)
                })
            })
            .await?;
        }
    }
    Ok(())
}

/// Compares the tables with those of this program. Writes nothing, and changes no setting of the
/// database.
pub async fn tables(kind: Kind, url: &str) -> Result<Tables> {
    match kind {
        Kind::Postgres => in_postgres(&mut connect(url).await?).await,
        Kind::Sqlite => {
            blocking(url, |conn| {
                diesel::connection::SimpleConnection::batch_execute(conn, sqlite::SET_UP_LOCK_TIMEOUT_PRAGMA)?;
                in_sqlite(conn)
            })
            .await
        }
    }
}

async fn in_postgres(conn: &mut postgres::backend::Connection) -> Result<Tables> {
    let found = diesel::sql_query("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS found");
    let Found { found } = RunQueryDsl::get_result(found, conn).await.map_err(Error::of_postgres)?;
    if !found {
        return Ok(Tables::Behind);
    }
    let applied: Vec<Version> =
        RunQueryDsl::load(diesel::sql_query(APPLIED), conn).await.map_err(Error::of_postgres)?;
    Tables::of::<diesel::pg::Pg>(&applied, &POSTGRES)
}

fn in_sqlite(conn: &mut SqliteConnection) -> Result<Tables> {
    let found = diesel::sql_query(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '__diesel_schema_migrations') AS found",
    );
    let Found { found } = diesel::RunQueryDsl::get_result(found, conn)?;
    if !found {
        return Ok(Tables::Behind);
    }
    let applied: Vec<Version> = diesel::RunQueryDsl::load(diesel::sql_query(APPLIED), conn)?;
    Tables::of::<diesel::sqlite::Sqlite>(&applied, &SQLITE)
}

async fn connect(url: &str) -> Result<postgres::backend::Connection> {
    postgres::Address::read(url)?.connect().await.map_err(|e| Error::unreachable(&e))
}

/// Runs `work` on a thread for blocking work, because the harness blocks its thread.
async fn with_harness<T: Send + 'static>(
    conn: postgres::backend::Connection,
    work: impl FnOnce(AsyncMigrationHarness<postgres::backend::Connection>) -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(|| work(AsyncMigrationHarness::new(conn))).await.map_err(Error::unexpected)?
}

async fn blocking<T: Send + 'static>(
    url: &str,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T> + Send + 'static,
) -> Result<T> {
    let path = url.strip_prefix("sqlite:").unwrap_or(url).to_owned();
    tokio::task::spawn_blocking(move || {
        let mut conn = SqliteConnection::establish(&path).map_err(|e| Error::unreachable(&e))?;
        work(&mut conn)
    })
    .await
    .map_err(Error::unexpected)?
}
