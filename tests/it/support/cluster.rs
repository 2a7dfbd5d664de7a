//! Servers of one test's own, which it may stop, kill and fill: PostgreSQL, and OpenFGA with its
//! tuples in PostgreSQL.

use super::database::setting;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Maximum time a server takes to start.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(60);

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends a signal to processes; those that are gone do not matter.
pub fn signal(name: &str, processes: &[u32]) {
    let processes = processes.iter().map(u32::to_string);
    let _gone = Command::new("kill").args(["-s", name]).args(processes).stderr(Stdio::null()).status();
}

/// A process and its children.
pub fn family(process: u32) -> Vec<u32> {
    let children = Command::new("pgrep").args(["-P", &process.to_string()]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    std::iter::once(process).chain(children.lines().map(|line| line.parse().unwrap())).collect()
}

/// The user that runs PostgreSQL, which refuses to run as root: its ids, where this is root.
pub fn database_user() -> Option<(u32, u32)> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

/// A program that runs as that user.
pub fn as_database_user(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = database_user() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Gives a folder to that user.
pub fn give_to_database_user(folder: &Path) {
    if let Some((user, group)) = database_user() {
        chown(folder, Some(user), Some(group)).unwrap();
    }
}

/// A program of PostgreSQL.
pub fn postgres_program(name: &str) -> PathBuf {
    Path::new(&setting("VAULT_TEST_POSTGRES_BIN")).join(name)
}

/// A PostgreSQL server.
pub struct Cluster {
    pub port: u16,
    data: PathBuf,
    process: Option<Child>,
    _folder: Option<TempDir>,
}

impl Cluster {
    /// A new one, which runs.
    pub async fn start_new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut cluster = Self::start_in(folder.path()).await;
        cluster._folder = Some(folder);
        cluster
    }

    /// A new one with its data in this empty folder.
    pub async fn start_in(folder: &Path) -> Self {
        give_to_database_user(folder);
        let data = folder.join("data");
        let made = as_database_user(postgres_program("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut cluster = Self { port: free_port(), data, process: None, _folder: None };
        cluster.start().await;
        cluster
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&mut self) {
        let started = Instant::now();
        loop {
            // A killed server's children may hold its memory for a moment; then the start fails.
            let ended = self.process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some());
            if ended {
                self.process = Some(self.spawn());
            }
            if AsyncPgConnection::establish(&self.url("postgres")).await.is_ok() {
                return;
            }
            assert!(started.elapsed() < START_TIMEOUT, "PostgreSQL does not start: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn spawn(&self) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.data.with_extension("log"));
        let log = log.map_or_else(|_| Stdio::null(), Stdio::from);
        as_database_user(postgres_program("postgres"))
            .arg("-D")
            .arg(&self.data)
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "unix_socket_directories=", "-c", "max_connections=100", "-c", "shared_buffers=32MB"])
            .args(["-c", "min_wal_size=32MB", "-c", "max_wal_size=64MB"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database. Gives its URL.
    pub async fn create(&self, database: &str) -> String {
        let mut conn = AsyncPgConnection::establish(&self.url("postgres")).await.unwrap();
        diesel::sql_query(format!("CREATE DATABASE {database}")).execute(&mut conn).await.unwrap();
        self.url(database)
    }

    /// The server's processes.
    pub fn processes(&self) -> Vec<u32> {
        self.process.as_ref().map(|process| family(process.id())).unwrap_or_default()
    }

    /// Stops it as `pg_ctl stop` does, or with KILL all its processes, and waits for its end.
    pub fn stop_with(&mut self, name: &str) {
        let processes = self.processes();
        let Some(mut process) = self.process.take() else { return };
        signal(name, if name == "KILL" { &processes } else { &processes[..1] });
        for _ in 0..600 {
            if process.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        signal("KILL", &processes);
        process.wait().unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        signal("CONT", &self.processes());
        self.stop_with("QUIT");
    }
}
