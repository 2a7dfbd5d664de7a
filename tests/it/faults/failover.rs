//! PostgreSQL in three nodes, of which Patroni makes one the leader: it is killed, suspended and cut
//! off, and the vault follows its successor.

use super::load::{LONGEST_WAIT, Load, Row, Watch, report};
use crate::support::{
    Backend, Database, Fault, Installation, Proxy, as_database_user, family, free_port, give_to_database_user, setting,
    signal,
};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the cluster may take to be whole: a leader, and two standbys, one of them synchronous.
const WHOLE: Duration = Duration::from_secs(120);
/// How long the vault may be without a leader. The lock of a dead one lasts 8 seconds.
const LEADERLESS: Duration = Duration::from_secs(90);

/// What befalls the leader.
#[derive(Clone, Copy)]
enum End {
    Killed,
    Suspended,
    /// Neither the vault, nor the standbys, nor etcd reach it.
    CutOff,
}

struct Node {
    name: String,
    folder: TempDir,
    port: u16,
    api: u16,
    /// Between PostgreSQL and the vault, and the standbys.
    postgres: Proxy,
    /// Between Patroni and etcd.
    etcd: Proxy,
    patroni: Option<Child>,
}

struct Nodes {
    nodes: Vec<Node>,
    etcd: Vec<Child>,
    _folder: TempDir,
}

fn quiet(command: &mut std::process::Command, log: PathBuf) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

impl Node {
    async fn new(number: usize, etcd: u16) -> Self {
        let (port, folder) = (free_port(), TempDir::new().unwrap());
        give_to_database_user(folder.path());
        Self {
            name: format!("n{number}"),
            folder,
            port,
            api: free_port(),
            postgres: Proxy::to(&format!("127.0.0.1:{port}")).await,
            etcd: Proxy::to(&format!("127.0.0.1:{etcd}")).await,
            patroni: None,
        }
    }

    fn start(&mut self) {
        let Self { name, port, api, .. } = self;
        let (etcd, address) = (&self.etcd.address, &self.postgres.address);
        let (folder, programs) = (self.folder.path().display(), setting("VAULT_TEST_POSTGRES_BIN"));
        let user = "{username: postgres}";
        let text = format!(
            r#"
scope: vault
name: {name}
restapi: {{listen: "127.0.0.1:{api}", connect_address: "127.0.0.1:{api}"}}
etcd3: {{hosts: ["{etcd}"], use_proxies: true}}
bootstrap:
  dcs:
    ttl: 8
    loop_wait: 2
    retry_timeout: 3
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: {{max_connections: 100, shared_buffers: 32MB, fsync: "off", max_wal_size: 64MB, min_wal_size: 32MB, wal_keep_size: 64MB}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, {{auth: trust}}]
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "{address}"
  data_dir: {folder}/data
  bin_dir: {programs}
  pgpass: {folder}/pgpass
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
  authentication: {{superuser: {user}, replication: {user}, rewind: {user}}}
  parameters: {{unix_socket_directories: ""}}
"#
        );
        let path = self.folder.path().join("patroni.yml");
        std::fs::write(&path, text).unwrap();
        let mut command = as_database_user(setting("VAULT_TEST_PATRONI"));
        self.patroni = Some(quiet(command.arg(path), self.folder.path().join("patroni.log")));
    }

    /// Patroni, and PostgreSQL, which outlives it.
    fn processes(&self) -> Vec<u32> {
        let server = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
        let server = server.lines().next().and_then(|line| line.trim().parse().ok());
        self.patroni
            .iter()
            .flat_map(|patroni| family(patroni.id()))
            .chain(server.into_iter().flat_map(family))
            .collect()
    }

    fn kill(&mut self) {
        signal("KILL", &self.processes());
        if let Some(mut patroni) = self.patroni.take() {
            patroni.wait().unwrap();
        }
    }

    fn cut_off(&self, fault: Fault) {
        self.postgres.set(fault);
        self.etcd.set(fault);
    }

    /// What Patroni says of it; null where it says nothing.
    async fn state(&self) -> Value {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
        let asked = async { http.get(format!("http://127.0.0.1:{}/patroni", self.api)).send().await?.json().await };
        asked.await.unwrap_or(Value::Null)
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("patroni.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Nodes {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        give_to_database_user(folder.path());
        let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
        let all: Vec<String> =
            ports.iter().enumerate().map(|(n, (_, peer))| format!("e{n}=http://127.0.0.1:{peer}")).collect();
        let mut own = Self { nodes: Vec::new(), etcd: Vec::new(), _folder: folder };
        for (n, (client, peer)) in ports.iter().enumerate() {
            let [client, peer] = [client, peer].map(|port| format!("http://127.0.0.1:{port}"));
            let mut command = as_database_user(setting("VAULT_TEST_ETCD"));
            command.args(["--name", &format!("e{n}"), "--data-dir"]).arg(own._folder.path().join(format!("e{n}")));
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            command.args(["--initial-cluster", &all.join(","), "--initial-cluster-state", "new"]);
            command.args(["--log-level", "error", "--unsafe-no-fsync"]);
            own.etcd.push(quiet(&mut command, own._folder.path().join(format!("e{n}.log"))));
        }
        let started = Instant::now();
        for (client, _) in &ports {
            // Patroni cannot read a version that is not decided yet.
            let decided = async || {
                let answer = reqwest::get(format!("http://127.0.0.1:{client}/version")).await.ok()?;
                answer.text().await.ok().filter(|text| text.contains("etcdcluster") && !text.contains("not_decided"))
            };
            while decided().await.is_none() {
                assert!(started.elapsed() < WHOLE, "etcd does not start");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        for (n, (client, _)) in ports.iter().enumerate() {
            own.nodes.push(Node::new(n, *client).await);
        }
        own.nodes[0].start();
        while own.nodes[0].state().await["state"] != "running" {
            assert!(started.elapsed() < WHOLE, "{}", own.nodes[0].log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        own.nodes[1].start();
        own.nodes[2].start();
        own.whole().await;
        own
    }

    /// Waits until there are a leader and two standbys, one of them synchronous. Gives the leader.
    async fn whole(&self) -> usize {
        let started = Instant::now();
        loop {
            let mut states = Vec::new();
            for node in &self.nodes {
                states.push(node.state().await);
            }
            let leads = |state: &&Value| state["role"] == "master" || state["role"] == "primary";
            // A leader that was suspended takes a moment to see that it is none any more.
            let leaders = states.iter().filter(leads).count();
            let others = states.iter().filter(|state| state["role"] == "replica").count();
            for (n, state) in states.iter().enumerate() {
                let standbys = state["replication"].as_array().map_or(&[][..], Vec::as_slice);
                let streams = standbys.iter().filter(|standby| standby["state"] == "streaming").count();
                if leaders == 1
                    && others == 2
                    && leads(&state)
                    && streams >= 2
                    && standbys.iter().any(|standby| standby["sync_state"] == "sync")
                {
                    return n;
                }
            }
            let logs: Vec<_> = self.nodes.iter().map(Node::log).collect();
            assert!(started.elapsed() < WHOLE, "the cluster is not whole: {}", logs.join("\n\n"));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    fn url(&self, name: &str, is_direct: bool) -> String {
        let host = |node: &Node| {
            if is_direct { format!("127.0.0.1:{}", node.port) } else { node.postgres.address.clone() }
        };
        let hosts: Vec<_> = self.nodes.iter().map(host).collect();
        format!("postgres://postgres@{}/{name}?target_session_attrs=read-write", hosts.join(","))
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // Suspended processes end as well.
            node.kill();
        }
        for etcd in &mut self.etcd {
            let _gone = etcd.kill();
            let _gone = etcd.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vault_follows_the_leader_and_loses_nothing() {
    let mut nodes = Nodes::start().await;
    let maintenance = Database::at(&nodes.url("postgres", true));
    maintenance.sql("CREATE DATABASE vault").await.unwrap();
    let database = Database::at(&nodes.url("vault", true));
    let settings = [("DATABASE_URL", nodes.url("vault", false))];
    let it = Arc::new(Installation::with(Backend::Postgres, database, &settings).await);
    let servers = [it.serve("warn", &it.file("log")).await, it.serve("warn", &it.file("log")).await];
    let mut load = Load::start(&it, &[&servers[0], &servers[1]], 6, Duration::from_millis(30)).await;
    let mut rows = Vec::new();
    for (name, end) in [
        ("failover: the leader is killed", End::Killed),
        ("failover: the leader is suspended", End::Suspended),
        ("failover: the leader is cut off", End::CutOff),
    ] {
        let old = nodes.whole().await;
        load.recovery(&servers[0]).await;
        load.recovery(&servers[1]).await;
        load.take_waits();
        let watch = Watch::of(&servers[0]);
        let (changes, releases) = (load.acknowledged(), load.releases());
        match end {
            End::Killed => nodes.nodes[old].kill(),
            End::Suspended => signal("STOP", &nodes.nodes[old].processes()),
            End::CutOff => nodes.nodes[old].cut_off(Fault::BlackHole),
        }
        let (here, there) =
            tokio::join!(load.recovery_within(&servers[0], LEADERLESS), load.recovery_within(&servers[1], LEADERLESS));
        // With the new leader it goes on while the old one is away.
        tokio::time::sleep(Duration::from_secs(3)).await;
        match end {
            End::Killed => nodes.nodes[old].start(),
            End::Suspended => signal("CONT", &nodes.nodes[old].processes()),
            End::CutOff => nodes.nodes[old].cut_off(Fault::None),
        }
        let new = nodes.whole().await;
        let (longest, codes) = load.take_waits();
        let seen = watch.seen();
        println!("{name}: n{old} to n{new}, {longest:?} {here:?} {there:?} {:?} {codes:?}", seen.unready);
        assert_ne!(new, old, "{name}: another node leads");
        assert!(codes.keys().all(|code| code == "UNAVAILABLE"), "{name}: {codes:?}");
        assert!(longest < LONGEST_WAIT, "{name}: a call took {longest:?}");
        assert!(
            seen.problems.is_empty() && seen.unready.contains("database"),
            "{:?} {:?}",
            seen.problems,
            seen.unready
        );
        rows.push(Row {
            fault: name,
            tried: "once, under load of two servers",
            changes: load.acknowledged() - changes,
            releases: load.releases() - releases,
            longest,
            recovery: Some(here.max(there)),
        });
    }
    load.stop().await;
    load.check(&servers[0]).await;
    report(&rows);
}
