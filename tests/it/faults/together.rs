//! Two servers share one database and one store of OpenFGA, while everything that operators and the
//! platform do happens beside them.

use super::load::{LONGEST_WAIT, Load, Row, add_project, database_of, report};
use crate::support::{Backend, Database, Installation, Running, signal};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const LASTS: Duration = Duration::from_secs(15);

/// Runs commands again and again until the end; each has to do its work. Gives how often.
fn repeats(
    it: &Arc<Installation>,
    ended: &Arc<AtomicBool>,
    commands: &'static [&'static [&'static str]],
) -> JoinHandle<usize> {
    let (it, ended) = (it.clone(), ended.clone());
    tokio::spawn(async move {
        let mut times = 0;
        while !ended.load(Ordering::Relaxed) {
            for command in commands {
                it.done_in_the_end(command).await;
            }
            times += 1;
        }
        times
    })
}

/// Replaces the master key as docs/operators.md says, again and again until the end.
fn rotates(it: &Arc<Installation>, ended: &Arc<AtomicBool>, servers: &[Running; 2]) -> JoinHandle<usize> {
    let (it, ended) = (it.clone(), ended.clone());
    let servers = servers.each_ref().map(Running::id);
    tokio::spawn(async move {
        let mut times = 0;
        while !ended.load(Ordering::Relaxed) {
            replace_master_key(&it, &servers).await;
            times += 1;
        }
        times
    })
}

/// Replaces the master key once.
pub async fn replace_master_key(it: &Installation, servers: &[u32]) {
    it.done(&["keys", "generate", "--add", it.keyring().to_str().unwrap()]).await;
    signal("HUP", servers);
    // Nothing tells when the servers have read it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    it.done_in_the_end(&["keys", "rotate"]).await;
}

/// Registers projects, fills and deletes them. Gives how many.
async fn deletes(it: &Installation, servers: &[Running; 2], ended: &AtomicBool) -> usize {
    for n in 0.. {
        if ended.load(Ordering::Relaxed) {
            return n;
        }
        let project = format!("brief-{n}");
        let (here, there) = (&servers[n % 2], &servers[(n + 1) % 2]);
        add_project(it, here, &project).await;
        let create = format!(
            "mutation {{ createVaultEntry(input: {{ projectId: \"{project}\", name: \"A\", value: \"v\", category: SECRET }}) {{ entry {{ id }} }} }}"
        );
        let answer = it.answer(there, "user:alice", &create).await;
        assert!(answer["data"]["createVaultEntry"]["entry"]["id"].is_string(), "{answer}");
        let delete = format!("mutation {{ deleteProjectVault(projectId: \"{project}\") {{ userErrors {{ code }} }} }}");
        let answer = it.answer(there, "service:platform", &delete).await;
        assert_eq!(answer["data"]["deleteProjectVault"]["userErrors"], json!([]), "{answer}");
    }
    unreachable!()
}

async fn two_servers_disturb_each_other_in_nothing(backend: Backend) {
    let settings = [("VAULT_AUDIT_RETENTION_DAYS", "1".to_owned())];
    let it = Arc::new(Installation::with(backend, Database::new(backend).await, &settings).await);
    let servers = [it.serve("warn", &it.file("log")).await, it.serve("warn", &it.file("log")).await];
    let mut load = Load::start(&it, &[&servers[0], &servers[1]], 8, Duration::from_millis(5)).await;
    let ended = Arc::<AtomicBool>::default();
    let beside = [
        repeats(&it, &ended, &[&["migrate"], &["audit", "verify"]]),
        rotates(&it, &ended, &servers),
        repeats(&it, &ended, &[&["keys", "rotate", "--data", "load-0"], &["keys", "rotate", "--data", "load-1"]]),
    ];
    let started = Instant::now();
    let (deleted, ()) = tokio::join!(deletes(&it, &servers, &ended), async {
        tokio::time::sleep(LASTS).await;
        ended.store(true, Ordering::Relaxed);
    });
    let mut times = Vec::new();
    for one in beside {
        times.push(one.await.unwrap());
    }
    load.stop().await;
    let (longest, codes) = load.take_waits();
    println!("{backend:?}: {deleted} deleted, {times:?} {:?} {longest:?} {codes:?}", started.elapsed());
    // Commands of operators hold SQLite's one write lock as well.
    let expected = |code: &String| backend == Backend::Sqlite && code == "UNAVAILABLE";
    assert!(codes.keys().all(expected), "{codes:?}");
    assert!(deleted > 0 && times.iter().all(|times| *times > 0));
    assert!(longest < LONGEST_WAIT, "a call took {longest:?}");
    let left = "SELECT count(*) AS n FROM projects WHERE id LIKE 'brief-%'";
    assert_eq!(it.database.number(left).await, 0, "deleted projects are there");
    assert!(load.told.lock().unwrap().changed.are_of_each_kind());
    load.check(&servers[0]).await;
    load.check(&servers[1]).await;
    report(&[Row {
        fault: &format!(
            "two servers ({}), with deletes, rotations, migrations and verifications beside them",
            database_of(backend)
        ),
        tried: &format!("{deleted} deletes, {} rotations, {} migrations", times[1] + 2 * times[2], times[0]),
        changes: load.acknowledged(),
        releases: load.releases(),
        longest,
        recovery: None,
    }]);
}

on_both! { two_servers_disturb_each_other_in_nothing }
