//! The program itself is killed with `kill -9` while it works, again and again.

use super::load::{LONGEST_WAIT, Load, NO_ANSWER, Row, database_of, report};
use crate::support::{Backend, Installation};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Acknowledged new entries of each shape: some alone, most in imports. `VAULT_TEST_FAULTS_CHANGES`
/// is another number, at most 11,000, for which the test then works as long as it takes.
const CHANGES: usize = 5_000;
const CLIENTS: usize = 24;
/// How long it works at most: a busy machine makes fewer changes.
const LASTS: Duration = Duration::from_secs(120);
/// The fewest changes that show anything.
const FEWEST: usize = 500;

async fn again_and_again_it_loses_nothing(backend: Backend) {
    let (wanted, lasts) = std::env::var("VAULT_TEST_FAULTS_CHANGES")
        .map_or((CHANGES, LASTS), |number| (number.parse().unwrap(), Duration::from_secs(3_600)));
    let it = Arc::new(Installation::new(backend).await);
    let mut server = it.serve("warn", &it.file("log")).await;
    let mut load = Load::start_with(&it, &[&server], CLIENTS, Duration::ZERO, true).await;
    let started = Instant::now();
    let (mut deaths, mut recovery) = (0_u64, Duration::ZERO);
    // Until changes of each kind were acknowledged as well: imports alone may be enough of them.
    let has_all = |load: &Load| load.acknowledged() >= wanted && load.told.lock().unwrap().changed.are_of_each_kind();
    while !has_all(&load) && started.elapsed() < lasts {
        // At another moment each time.
        tokio::time::sleep(Duration::from_millis(1_000 + deaths * 773 % 3_000)).await;
        server.kill();
        deaths += 1;
        let died = Instant::now();
        server = it.serve("warn", &it.file("log")).await;
        let known = load.acknowledged();
        *load.urls.lock().unwrap() = vec![server.url.clone()];
        while load.acknowledged() == known {
            assert!(died.elapsed() < Duration::from_secs(60), "no recovery");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        recovery = recovery.max(died.elapsed());
    }
    load.stop().await;
    let (longest, codes) = load.take_waits();
    println!("{backend:?}: {deaths} deaths, {} changes in {:?}, {codes:?}", load.acknowledged(), started.elapsed());
    assert!(deaths >= 3, "killed {deaths} times only");
    assert!(load.acknowledged() >= FEWEST, "{} changes only", load.acknowledged());
    assert!(codes.keys().all(|code| code == NO_ANSWER || code == "UNAVAILABLE"), "{codes:?}");
    assert!(longest < LONGEST_WAIT, "a call took {longest:?}");
    assert!(load.told.lock().unwrap().changed.are_of_each_kind());
    load.check(&server).await;
    report(&[Row {
        fault: &format!("the vault: kill -9 ({})", database_of(backend)),
        tried: &format!("{deaths} times under load"),
        changes: load.acknowledged(),
        releases: load.releases(),
        longest,
        recovery: Some(recovery),
    }]);
}

on_both! { again_and_again_it_loses_nothing }
