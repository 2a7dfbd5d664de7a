//! An OpenFGA of a test's own, with its tuples in PostgreSQL.

use super::cluster::{START_TIMEOUT, free_port, signal};
use super::database::setting;
use project_vault::authz::OpenFgaConfig;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An OpenFGA server with its tuples in a database of PostgreSQL.
pub struct OpenFgaServer {
    process: Option<Child>,
    datastore: String,
    /// Where it answers gRPC, as `HOST:PORT`.
    pub address: String,
}

impl OpenFgaServer {
    /// Prepares the database. The server does not run yet.
    pub fn set_up(datastore: &str) -> Self {
        let status = Command::new(setting("VAULT_TEST_OPENFGA_BIN"))
            .args(["migrate", "--datastore-engine", "postgres", "--datastore-uri", datastore])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "openfga migrate");
        Self::on(datastore)
    }

    /// One whose tables are there. The server does not run yet.
    pub fn on(datastore: &str) -> Self {
        Self { process: None, datastore: datastore.to_owned(), address: format!("127.0.0.1:{}", free_port()) }
    }

    /// Starts it with more arguments, and waits until it answers.
    pub async fn start(&mut self, more: &[&str]) {
        let process = Command::new(setting("VAULT_TEST_OPENFGA_BIN"))
            .args(["run", "--datastore-engine", "postgres", "--datastore-uri", &self.datastore])
            .args(["--grpc-addr", &self.address, "--http-addr", &format!("127.0.0.1:{}", free_port())])
            .args(["--playground-enabled=false", "--metrics-enabled=false", "--log-level", "error"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        let started = Instant::now();
        while tokio::net::TcpStream::connect(&self.address).await.is_err() {
            assert!(started.elapsed() < START_TIMEOUT, "OpenFGA does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How the vault reaches it.
    pub fn config(&self) -> OpenFgaConfig {
        OpenFgaConfig { url: format!("http://{}", self.address), store: "project-vault".to_owned(), token: None }
    }

    pub fn processes(&self) -> Vec<u32> {
        self.process.iter().map(Child::id).collect()
    }

    pub fn stop_with(&mut self, name: &str) {
        signal(name, &self.processes());
        if let Some(mut process) = self.process.take() {
            for _ in 0..200 {
                if process.try_wait().unwrap().is_some() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _gone = process.kill();
            let _gone = process.wait();
        }
    }
}

impl Drop for OpenFgaServer {
    fn drop(&mut self) {
        self.stop_with("KILL");
    }
}
