//! PgBouncer in transaction mode between the program and PostgreSQL.

use super::load::{LONGEST_WAIT, Load, Row, report};
use super::together::replace_master_key;
use crate::support::{
    Backend, Database, Installation, Running, as_database_user, free_port, give_to_database_user, setting, signal,
};
use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The line of docs/operators.md, which gives each server connection what the vault sets.
const CONNECT_QUERY: &str = "SELECT set_config('plan_cache_mode','force_generic_plan',false), set_config('enable_seqscan','off',false), \
    set_config('enable_hashjoin','off',false), set_config('enable_mergejoin','off',false), set_config('jit','off',false), \
    set_config('default_transaction_isolation','read committed',false), \
    set_config('statement_timeout','10s',false), set_config('idle_in_transaction_session_timeout','60s',false)";
/// Connections to the server: fewer than those of the two programs to the pooler.
const POOL_SIZE: usize = 6;

struct Pooler {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Pooler {
    async fn before(database: &Database) -> Self {
        let (_, place) = database.url.split_once('@').unwrap();
        let (server, name) = place.split_once('/').unwrap();
        let (host, port) = server.split_once(':').unwrap();
        let own = Self { folder: TempDir::new().unwrap(), port: free_port(), process: None };
        let quoted = CONNECT_QUERY.replace('\'', "''");
        let text = format!(
            "[databases]\n{name} = host={host} port={port} dbname={name} user=postgres connect_query='{quoted}'\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\nmax_prepared_statements = 500\ndefault_pool_size = {POOL_SIZE}\n\
             server_login_retry = 1\n",
            own.port
        );
        std::fs::write(own.folder.path().join("pgbouncer.ini"), text).unwrap();
        give_to_database_user(own.folder.path());
        own.started().await
    }

    async fn started(mut self) -> Self {
        self.start().await;
        self
    }

    async fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let process = as_database_user(setting("VAULT_TEST_PGBOUNCER"))
            .arg(self.folder.path().join("pgbouncer.ini"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap());
        let started = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(30), "PgBouncer does not start: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal("KILL", &[process.id()]);
            process.wait().unwrap();
        }
    }

    fn url(&self, database: &Database) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}", self.port, database.url.rsplit_once('/').unwrap().1)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    t: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vault_works_through_it_and_outlives_it() {
    let database = Database::new(Backend::Postgres).await;
    let mut pooler = Pooler::before(&database).await;
    let url = pooler.url(&database);
    let it = Installation::with(Backend::Postgres, database, &[("DATABASE_URL", url.clone())]).await;
    let it = Arc::new(it);
    let servers = [it.serve("warn", &it.file("log")).await, it.serve("warn", &it.file("log")).await];
    let mut load = Load::start(&it, &[&servers[0], &servers[1]], 12, Duration::ZERO).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        it.done(&["migrate"]).await;
        replace_master_key(&it, &servers.each_ref().map(Running::id)).await;
        it.done(&["keys", "rotate", "--data", "load-0"]).await;
    }
    let (longest, codes) = load.take_waits();
    assert!(codes.is_empty(), "{codes:?}");
    let steady = (load.acknowledged(), load.releases(), longest);

    // Every server connection has the settings, whoever used it first.
    let mut held = Vec::new();
    for _ in 0..POOL_SIZE {
        let mut conn = AsyncPgConnection::establish(&url).await.unwrap();
        sql_query("BEGIN").execute(&mut conn).await.unwrap();
        let sql = "SELECT current_setting('statement_timeout') || ' ' || current_setting('plan_cache_mode') \
            || ' ' || current_setting('enable_seqscan') AS t";
        let row: Setting = sql_query(sql).get_result(&mut conn).await.unwrap();
        assert_eq!(row.t, "10s force_generic_plan off");
        held.push(conn);
    }
    drop(held);

    load.recovery(&servers[0]).await;
    load.take_waits();
    pooler.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    pooler.start().await;
    let recovery = load.recovery(&servers[0]).await.max(load.recovery(&servers[1]).await);
    load.stop().await;
    let (longest, codes) = load.take_waits();
    println!("{steady:?} {longest:?} {recovery:?} {codes:?}");
    assert!(codes.keys().all(|code| code == "UNAVAILABLE"), "{codes:?}");
    assert!(longest < LONGEST_WAIT, "a call took {longest:?}");
    load.check(&servers[0]).await;
    report(&[
        Row {
            fault: "PgBouncer in transaction mode, two servers, rotations and migrations beside them",
            tried: "8 s under load",
            changes: steady.0,
            releases: steady.1,
            longest: steady.2,
            recovery: None,
        },
        Row {
            fault: "PgBouncer: kill -9, back after 2 s",
            tried: "once, under load",
            changes: load.acknowledged() - steady.0,
            releases: load.releases() - steady.1,
            longest,
            recovery: Some(recovery),
        },
    ]);
}
