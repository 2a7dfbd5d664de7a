//! A database that does not answer: calls end in time, and go on without a restart.

use crate::support::{Backend, World, agent_asks, entry, in_time, runtime, tool_asks, user};
use std::process::Command;
use std::time::{Duration, Instant};

/// Server processes of PostgreSQL that are stopped as long as this is there.
struct Stopped(Vec<String>);

impl Stopped {
    /// Those of the world's connections.
    async fn all(world: &World) -> Self {
        let of_world = "SELECT coalesce(string_agg(pid::text, ' '), '') AS t FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let processes = world.text(of_world).await.split(' ').map(str::to_owned).collect();
        signal("STOP", &processes);
        Self(processes)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

fn signal(name: &str, processes: &Vec<String>) {
    assert!(Command::new("kill").args(["-s", name]).args(processes).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_processes_that_hang_delay_the_calls_that_met_them_and_no_others() {
    in_time(Backend::Postgres, async |world| {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let resolve = async || {
            world.vault.agents().resolve(&runtime("acme-runtime"), tool_asks(agent_asks("builder", &["TOKEN"]))).await
        };
        resolve().await.unwrap();
        let _stopped = Stopped::all(&world).await;
        let started = Instant::now();
        // As many as there are connections, so that each that hangs is met.
        for answer in futures::future::join_all((0..16).map(|_| resolve())).await {
            if let Err(error) = answer {
                assert_eq!(error.code().as_str(), "UNAVAILABLE");
            }
        }
        let waited = started.elapsed();
        assert!(waited > Duration::from_secs(5) && waited < Duration::from_secs(40), "{waited:?}");
        // Without a restart, and while the processes still hang.
        let ended = Instant::now();
        while resolve().await.is_err() {
            assert!(ended.elapsed() < Duration::from_secs(20), "no recovery");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_waits_too_long_is_cancelled_and_its_connection_serves_on() {
    in_time(Backend::Postgres, async |world| {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let lock = "DO $$ BEGIN LOCK TABLE entries IN ACCESS EXCLUSIVE MODE; PERFORM pg_sleep(14); END $$";
        let started = Instant::now();
        let (locked, answer) = tokio::join!(world.sql(lock), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            world.vault.agents().resolve(&runtime("acme-runtime"), tool_asks(agent_asks("builder", &["TOKEN"]))).await
        });
        locked.unwrap();
        assert_eq!(answer.err().unwrap().code().as_str(), "UNAVAILABLE");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        let opened = world.connections();
        let resolved =
            world.vault.agents().resolve(&runtime("acme-runtime"), tool_asks(agent_asks("builder", &["TOKEN"]))).await;
        assert_eq!(resolved.unwrap().secrets.len(), 1);
        assert_eq!(world.connections(), opened);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_that_is_asked_again_and_again_takes_a_connection_for_each_part_alone() {
    in_time(Backend::Postgres, async |world| {
        world.demo().await;
        assert!(world.vault.health().ready().await.iter().all(|(_, ready)| *ready));
        let waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        let lock = "DO $$ BEGIN LOCK TABLE installation IN ACCESS EXCLUSIVE MODE; PERFORM pg_sleep(11); END $$";
        let (locked, most) = tokio::join!(world.sql(lock), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let mut most = 0;
            for _ in 0..3 {
                let parts = world.vault.health().ready().await;
                assert!(parts.iter().any(|(part, ready)| *part == "database" && !ready), "{parts:?}");
                most = most.max(world.number(waiting).await);
            }
            most
        });
        locked.unwrap();
        assert!((1..=3).contains(&most), "{most} connections wait");
        assert!(world.vault.health().ready().await.iter().all(|(_, ready)| *ready));
    })
    .await;
}
