//! Migrations, which bring the tables up to date.

use super::{Error, Kind, Result, SET_UP_LOCK_TIMEOUT, postgres, sqlite};
use diesel::Connection as _;
use diesel::sqlite::SqliteConnection;
use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The advisory lock that lets one migration run at a time; a constant that no other lock uses.
const LOCK: i64 = 0x7076_6d69_6772_6174;

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
            let mut conn = with_harness(conn, |mut harness| {
                harness.run_pending_migrations(POSTGRES).map_err(Error::unexpected)?;
                Ok(harness.into_inner())
            })
            .await?;
            postgres::commit(&mut conn).await?;
        }
        Kind::Sqlite => {
            blocking(url, |conn| {
                conn.immediate_transaction(|conn| {
                    conn.run_pending_migrations(SQLITE).map(drop).map_err(Error::unexpected)
                })
            })
            .await?;
        }
    }
    Ok(())
}

/// Whether no migration is pending.
pub async fn are_applied(kind: Kind, url: &str) -> Result<bool> {
    let pending = match kind {
        Kind::Postgres => {
            with_harness(connect(url).await?, |mut harness| {
                harness.has_pending_migration(POSTGRES).map_err(Error::unexpected)
            })
            .await?
        }
        Kind::Sqlite => blocking(url, |conn| conn.has_pending_migration(SQLITE).map_err(Error::unexpected)).await?,
    };
    Ok(!pending)
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
        for pragmas in [sqlite::PRAGMAS, sqlite::SET_UP_LOCK_TIMEOUT_PRAGMA] {
            diesel::connection::SimpleConnection::batch_execute(&mut conn, pragmas)?;
        }
        work(&mut conn)
    })
    .await
    .map_err(Error::unexpected)?
}
