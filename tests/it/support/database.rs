//! A database for one test.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, QueryableByName, SqliteConnection};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl};
use project_vault::store::Store;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// What a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A SQLite file, with the embedded authorizer.
    Sqlite,
    /// A database in PostgreSQL, with a store in OpenFGA.
    Postgres,
}

/// The setting that `scripts/test` makes; without it there is nothing to test with, which is no
/// success.
pub fn setting(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the tests with scripts/test, which starts the servers"))
}

/// A database that goes with its value.
pub struct Database {
    pub url: String,
    _dir: Option<TempDir>,
    dropped_at_end: Option<String>,
}

#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    t: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = diesel::sql_types::Text)]
    detail: String,
}

impl Database {
    /// An empty one.
    pub async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::in_sqlite(&[]),
            Backend::Postgres => Self::in_postgres("template1").await,
        }
    }

    /// One with the tables of this version: a copy, since making them takes longer than most tests.
    pub async fn migrated(backend: Backend) -> Self {
        static SQLITE: OnceCell<Vec<u8>> = OnceCell::const_new();
        static POSTGRES: OnceCell<String> = OnceCell::const_new();
        let made = async || {
            let database = Self::new(backend).await;
            Store::open(&database.url, None).unwrap().migrate().await.unwrap();
            database
        };
        match backend {
            Backend::Sqlite => {
                let file = SQLITE.get_or_init(|| async { std::fs::read(made().await.path().unwrap()).unwrap() });
                Self::in_sqlite(file.await)
            }
            Backend::Postgres => {
                // It goes with the cluster.
                let template = POSTGRES.get_or_init(|| async { made().await.dropped_at_end.take().unwrap() });
                Self::in_postgres(template.await).await
            }
        }
    }

    fn in_sqlite(file: &[u8]) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("vault.db");
        if !file.is_empty() {
            std::fs::write(&path, file).unwrap();
        }
        Self { url: format!("sqlite:{}", path.display()), _dir: Some(dir), dropped_at_end: None }
    }

    async fn in_postgres(template: &str) -> Self {
        let server = setting("VAULT_TEST_POSTGRES");
        let name = format!("t_{}", Uuid::now_v7().simple());
        administer(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        Self { url: format!("{server}/{name}"), _dir: None, dropped_at_end: Some(name) }
    }

    /// The file of SQLite.
    fn path(&self) -> Option<&str> {
        self.url.strip_prefix("sqlite:")
    }

    /// A database of somebody else, empty as well.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), _dir: None, dropped_at_end: None }
    }

    /// Runs SQL as somebody who can write to the database. Gives the number of rows it changed.
    pub async fn sql(&self, sql: &str) -> diesel::QueryResult<usize> {
        match self.path() {
            Some(path) => diesel::RunQueryDsl::execute(diesel::sql_query(sql), &mut sqlite(path)),
            None => diesel::sql_query(sql).execute(&mut postgres(&self.url).await).await,
        }
    }

    /// The plan of a statement on SQLite, a line for each step. Its parameters are NULL.
    pub fn sqlite_plan(&self, sql: &str) -> Vec<String> {
        let path = self.path().expect("a SQLite database");
        let explain = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"));
        let steps: Vec<Step> = diesel::RunQueryDsl::load(explain, &mut sqlite(path)).unwrap();
        steps.into_iter().map(|step| step.detail).collect()
    }

    /// Everything the database holds: the files of SQLite, the rows of PostgreSQL as text.
    pub async fn stored_bytes(&self) -> Vec<u8> {
        if let Some(path) = self.path() {
            let files = [path.to_owned(), format!("{path}-wal")];
            return files.iter().filter_map(|file| std::fs::read(file).ok()).flatten().collect();
        }
        #[derive(QueryableByName)]
        struct Rows {
            #[diesel(sql_type = diesel::sql_types::Text)]
            xml: String,
        }
        let sql =
            "SELECT schema_to_xml('public', true, false, '')::text AS xml FROM set_config('xmlbinary', 'hex', false)";
        let rows: Rows = diesel::sql_query(sql).get_result(&mut postgres(&self.url).await).await.unwrap();
        rows.xml.into_bytes()
    }

    /// A backup of it, restored into another database.
    pub async fn restored_backup(&self) -> Self {
        let copy = match self.path() {
            Some(path) => {
                let dir = TempDir::new().unwrap();
                let file = dir.path().join("vault.db");
                diesel::RunQueryDsl::execute(
                    diesel::sql_query(format!("VACUUM INTO '{}'", file.display())),
                    &mut sqlite(path),
                )
                .unwrap();
                return Self { url: format!("sqlite:{}", file.display()), _dir: Some(dir), dropped_at_end: None };
            }
            None => Self::new(Backend::Postgres).await,
        };
        let (from, to) = (self.url.clone(), copy.url.clone());
        let script =
            format!("set -e; {{ pg_dump '{from}' || kill $$; }} | psql -q -v ON_ERROR_STOP=1 '{to}' >/dev/null");
        let restored =
            tokio::task::spawn_blocking(move || std::process::Command::new("sh").args(["-c", &script]).status());
        assert!(restored.await.unwrap().unwrap().success());
        copy
    }

    /// A database with what a dump in SQL holds.
    pub async fn from_dump(backend: Backend, dump: &str) -> Self {
        let database = Self::new(backend).await;
        let (url, dump) = (database.url.clone(), dump.to_owned());
        let load = move || match url.strip_prefix("sqlite:") {
            Some(path) => SqliteConnection::establish(path).unwrap().batch_execute(&dump).unwrap(),
            None => {
                let mut psql = std::process::Command::new("psql");
                psql.args(["-q", "-X", "-v", "ON_ERROR_STOP=1", &url]).stdin(std::process::Stdio::piped());
                let mut psql = psql.stdout(std::process::Stdio::null()).spawn().unwrap();
                std::io::Write::write_all(&mut psql.stdin.take().unwrap(), dump.as_bytes()).unwrap();
                assert!(psql.wait().unwrap().success(), "psql takes the dump");
            }
        };
        tokio::task::spawn_blocking(load).await.unwrap();
        database
    }

    /// The answer `t` of a query for one text.
    pub async fn text(&self, sql: &str) -> String {
        let row: Text = match self.path() {
            Some(path) => diesel::RunQueryDsl::get_result(diesel::sql_query(sql), &mut sqlite(path)).unwrap(),
            None => diesel::sql_query(sql).get_result(&mut postgres(&self.url).await).await.unwrap(),
        };
        row.t
    }

    /// The answer `n` of a query for one number.
    pub async fn number(&self, sql: &str) -> i64 {
        let row: Number = match self.path() {
            Some(path) => diesel::RunQueryDsl::get_result(diesel::sql_query(sql), &mut sqlite(path)).unwrap(),
            None => diesel::sql_query(sql).get_result(&mut postgres(&self.url).await).await.unwrap(),
        };
        row.n
    }
}

fn sqlite(path: &str) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(path).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON").unwrap();
    conn
}

async fn postgres(url: &str) -> AsyncPgConnection {
    AsyncPgConnection::establish(url).await.unwrap()
}

async fn administer(sql: &str) -> diesel::QueryResult<usize> {
    diesel::sql_query(sql).execute(&mut postgres(&setting("VAULT_TEST_POSTGRES")).await).await
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(name) = self.dropped_at_end.take() else { return };
        // A runtime of its own, since the test's may be the one that is dropping. What cannot be
        // dropped goes with the cluster.
        let drop = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(administer(&format!("DROP DATABASE {name} WITH (FORCE)"))).map_err(std::io::Error::other)
        });
        let _best_effort = drop.join();
    }
}
