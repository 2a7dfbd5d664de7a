//! The servers that the program depends on are stopped, suspended, killed and restarted.

use super::load::{LONGEST_WAIT, Load, Row, Watch, report};
use crate::support::{Backend, Cluster, Database, Installation, OpenFgaServer, Running, signal};
use std::sync::Arc;
use std::time::Duration;

const CLIENTS: usize = 8;
const PACE: Duration = Duration::from_millis(20);
/// How long a server is away.
const AWAY: Duration = Duration::from_secs(3);
/// How long a server is suspended: longer than a statement may take.
const SUSPENDED: Duration = Duration::from_secs(16);

/// What befalls a server.
#[derive(Clone, Copy)]
enum Outage {
    /// It is told to stop, as by its service manager, and started later.
    Stopped,
    /// The same, and started at once.
    Restarted,
    /// It is killed, and started later.
    Killed,
    /// It is suspended, and goes on later.
    Suspended,
}

const OUTAGES: &[(&str, Outage)] = &[
    ("stopped for 3 s", Outage::Stopped),
    ("restarted", Outage::Restarted),
    ("kill -9, back after 3 s", Outage::Killed),
    ("SIGSTOP for 16 s", Outage::Suspended),
];

/// One of the two servers.
enum Server {
    Postgres(Cluster),
    OpenFga(OpenFgaServer),
}

impl Server {
    fn processes(&self) -> Vec<u32> {
        match self {
            Self::Postgres(cluster) => cluster.processes(),
            Self::OpenFga(openfga) => openfga.processes(),
        }
    }

    fn stop(&mut self, name: &str) {
        match (self, name) {
            // A fast shutdown; TERM would wait for the clients.
            (Self::Postgres(cluster), "TERM") => cluster.stop_with("INT"),
            (Self::Postgres(cluster), _) => cluster.stop_with(name),
            (Self::OpenFga(openfga), _) => openfga.stop_with(name),
        }
    }

    async fn start(&mut self) {
        match self {
            Self::Postgres(cluster) => cluster.start().await,
            Self::OpenFga(openfga) => openfga.start(&[]).await,
        }
    }

    /// Has it happen and end.
    async fn suffer(&mut self, outage: Outage) {
        match outage {
            Outage::Stopped | Outage::Killed => {
                self.stop(if matches!(outage, Outage::Killed) { "KILL" } else { "TERM" });
                tokio::time::sleep(AWAY).await;
                self.start().await;
            }
            Outage::Restarted => {
                self.stop("TERM");
                self.start().await;
            }
            Outage::Suspended => {
                let processes = self.processes();
                signal("STOP", &processes);
                tokio::time::sleep(SUSPENDED).await;
                signal("CONT", &processes);
            }
        }
    }
}

async fn suffers_all(what: &str, part: &str, target: &mut Server, load: &mut Load, running: &Running) {
    let mut rows = Vec::new();
    let names: Vec<String> = OUTAGES.iter().map(|(name, _)| format!("{what}: {name}")).collect();
    for (name, (_, outage)) in names.iter().zip(OUTAGES) {
        load.recovery(running).await;
        load.take_waits();
        let (changes, releases) = (load.acknowledged(), load.releases());
        let watch = Watch::of(running);
        target.suffer(*outage).await;
        let recovery = load.recovery(running).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let seen = watch.seen();
        let (longest, codes) = load.take_waits();
        println!("{name}: {longest:?} {recovery:?} readyz {:?} {:?} {codes:?}", seen.readyz, seen.unready);
        assert!(codes.keys().all(|code| code == "UNAVAILABLE"), "{name}: {codes:?}");
        assert!(longest < LONGEST_WAIT, "{name}: a call took {longest:?}");
        assert!(seen.problems.is_empty(), "{name}: {:?}", seen.problems);
        assert!(seen.healthz < Duration::from_secs(5), "{name}: /healthz took {:?}", seen.healthz);
        assert!(seen.readyz < Duration::from_secs(10), "{name}: /readyz took {:?}", seen.readyz);
        if !matches!(outage, Outage::Restarted) {
            assert!(seen.unready.contains(part), "{name}: {:?}", seen.unready);
        }
        rows.push(Row {
            fault: name,
            tried: "once, under load",
            changes: load.acknowledged() - changes,
            releases: load.releases() - releases,
            longest,
            recovery: Some(recovery),
        });
    }
    load.stop().await;
    load.check(running).await;
    report(&rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_stop_hang_or_die_lose_nothing() {
    let cluster = Cluster::start_new().await;
    let mut openfga = OpenFgaServer::set_up(&cluster.create("openfga").await);
    openfga.start(&[]).await;
    let database = Database::at(&cluster.create("vault").await);
    let settings = [("OPENFGA_URL", format!("http://{}", openfga.address))];
    let it = Arc::new(Installation::with(Backend::Postgres, database, &settings).await);
    let running = it.serve("warn", &it.file("log")).await;
    let mut load = Load::start(&it, &[&running], CLIENTS, PACE).await;
    let mut target = Server::OpenFga(openfga);
    suffers_all("OpenFGA", "authorizer", &mut target, &mut load, &running).await;
    load.start_again();
    let mut target_too = Server::Postgres(cluster);
    suffers_all("PostgreSQL, of vault and OpenFGA", "database", &mut target_too, &mut load, &running).await;
}
