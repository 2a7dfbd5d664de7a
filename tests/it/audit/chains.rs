//! Writing chains: by many transactions at once, by servers side by side and one after the other,
//! and by transactions that are rolled back.

use crate::audit::World;
use crate::support::{Backend, agent_asks, entry, in_time, runtime, tool_asks, user};
use futures::future::{join, join_all};
use project_vault::domain::Clock as _;
use project_vault::store::records::{Uses, Values};
use project_vault::store::{Store, Tx};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

both! {
    async fn everything_that_is_done_refused_or_failed_is_in_a_chain(world: World) {
        world.used_demo().await;
        let verified = world.verified_against(&[]).await;
        assert_eq!(verified.breaks, []);
        assert_eq!(i64::try_from(verified.events).unwrap(), world.events_there().await);
        for outcome in ["ALLOWED", "DENIED", "FAILED"] {
            let sql = format!("SELECT count(*) AS n FROM audit_events WHERE outcome = '{outcome}'");
            assert!(world.number(&sql).await > 0, "{outcome}");
        }
    }

    async fn one_after_the_other_uses_one_chain(world: World) {
        world.used_demo().await;
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 1);
        world.vault.audit().end_records().await.unwrap();
        let next = world.another_server();
        next.entries().create(&user("bob"), entry("OTHER", "v")).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 1, "a server goes on with what the last one left");
        assert_eq!(world.breaks().await, []);
    }

    async fn the_chains_of_killed_servers_are_used_again_and_signed_heads_do_not_grow(world: World) {
        world.used_demo().await;
        for n in 0..5 {
            // It is not stopped, and nobody hears of it again.
            let killed = world.another_server();
            killed.entries().create(&user("bob"), entry(&format!("E{n}"), "v")).await.unwrap();
            drop(killed);
            world.clock.advance(MINUTE * 9);
            world.vault.audit().sign_head().await.unwrap();
            world.clock.advance(MINUTE * 9);
            world.vault.audit().sign_head().await.unwrap();
        }
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 2, "one of a server that runs, one of the killed ones");
        let head = world.vault.audit().sign_head().await.unwrap();
        let verified = world.verified_against(&[head]).await;
        assert_eq!((verified.breaks, verified.chains), (vec![], 2));
    }

    async fn a_server_that_signs_heads_keeps_its_chain(world: World) {
        world.used_demo().await;
        let other = world.another_server();
        other.entries().create(&user("bob"), entry("OTHER", "v")).await.unwrap();
        for n in 0..30 {
            world.clock.advance(MINUTE);
            world.vault.audit().sign_head().await.unwrap();
            other.audit().sign_head().await.unwrap();
            if n % 10 == 0 {
                for (server, name) in [(&world.vault, "A"), (&other, "B")] {
                    server.entries().create(&user("bob"), entry(&format!("{name}{n}"), "v")).await.unwrap();
                }
            }
        }
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains WHERE NOT released").await, 2);
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 2);
        assert_eq!(world.breaks().await, []);
    }

    async fn a_server_that_was_paused_past_its_lease_appends_to_no_chain_of_another(world: World) {
        world.used_demo().await;
        let bob = user("bob");
        // Nobody wanted its chain meanwhile, so it is still its own.
        world.clock.advance(MINUTE * 60);
        world.vault.entries().create(&bob, entry("AWAKE", "v")).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 1);
        // The next time, another server takes it over.
        world.clock.advance(MINUTE * 60);
        let other = world.another_server();
        other.audit().sign_head().await.unwrap();
        other.entries().create(&bob, entry("TAKEN", "v")).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 1);
        world.vault.entries().create(&bob, entry("LATER", "v")).await.unwrap();
        other.entries().create(&bob, entry("LATEST", "v")).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 2);
        assert_eq!(world.breaks().await, []);
    }

    async fn servers_side_by_side_and_many_writers_leave_chains_that_verify(world: World) {
        world.used_demo().await;
        let other = world.another_server();
        let servers = [&world.vault, &other];
        let (acme, bob) = (runtime("acme-runtime"), user("bob"));
        let writes = (0..40).map(|n| {
            let (vault, acme, bob) = (servers[n % 2], &acme, &bob);
            async move {
                if n % 4 < 2 {
                    vault.agents().resolve(acme, tool_asks(agent_asks("builder", &["TOKEN"]))).await.map(drop)
                } else {
                    vault.entries().create(bob, entry(&format!("E{n}"), "v")).await.map(drop)
                }
            }
        });
        for done in join_all(writes).await {
            done.unwrap();
        }
        let verified = world.verified_against(&[]).await;
        assert_eq!(verified.breaks, []);
        assert!(verified.chains > 1);
        assert_eq!(world.number("SELECT resolve_count AS n FROM entry_usage JOIN entries ON id = entry_id WHERE name = 'TOKEN'").await, 21);
    }

    async fn a_chain_whose_next_position_is_taken_is_left_to_the_other(world: World) {
        world.used_demo().await;
        let rest = "project_id, action, outcome, reason, count, actor, subject, role, agent_id, entry_id, entry_name, \
                    entry_version, entry_revision, milestone_id, purpose, session_id, tool, request_id, chain_id, prev, mac";
        world
            .sql(&format!(
                "INSERT INTO audit_events (id, occurred_at, seq, {rest}) SELECT id, occurred_at + 1, seq + 1, {rest} \
                 FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)"
            ))
            .await
            .unwrap();
        let acme = runtime("acme-runtime");
        let resolve = || world.vault.agents().resolve(&acme, tool_asks(agent_asks("builder", &["TOKEN"])));
        assert_eq!(resolve().await.err().unwrap().code().as_str(), "UNAVAILABLE");
        for _ in 0..3 {
            resolve().await.unwrap();
        }
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 2);
    }

    async fn a_record_that_waited_too_long_leaves_its_chain_as_it_was(world: World) {
        world.used_demo().await;
        let acme = runtime("acme-runtime");
        let resolve = || world.vault.agents().resolve(&acme, tool_asks(agent_asks("builder", &["TOKEN"])));
        let held = world.held().await;
        assert_eq!(resolve().await.err().unwrap().code().as_str(), "UNAVAILABLE");
        held.rollback().await.unwrap();
        resolve().await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 1);
        assert_eq!(world.breaks().await, []);
    }

    async fn servers_count_uses_of_one_entry_at_once_whatever_the_database_isolates(world: World) {
        world.used_demo().await;
        if world.backend == Backend::Postgres {
            let name = world.url().rsplit('/').next().unwrap();
            let level = "SET default_transaction_isolation = 'serializable'";
            world.sql(&format!("ALTER DATABASE {name} {level}")).await.unwrap();
        }
        let servers = [world.another_server(), world.another_server()];
        let acme = runtime("acme-runtime");
        let calls = (0..60).map(|n| servers[n % 2].agents().resolve(&acme, tool_asks(agent_asks("builder", &["TOKEN"]))));
        for done in join_all(calls).await {
            done.unwrap();
        }
        assert_eq!(world.breaks().await, []);
    }

    async fn a_change_that_comes_to_nothing_leaves_no_gap(world: World) {
        world.used_demo().await;
        let before = world.events_there().await;
        let bob = user("bob");
        for n in 0..30 {
            world.vault.entries().create(&bob, entry(&format!("CUT_{n}"), "v")).into_cut(n).await;
        }
        world.vault.entries().create(&user("bob"), entry("WHOLE", "v")).await.unwrap();
        assert!(world.events_there().await > before);
        assert_eq!(world.breaks().await, []);
    }

    async fn records_of_calls_that_arrive_together_are_committed_together(world: World) {
        world.used_demo().await;
        let acme = runtime("acme-runtime");
        // The first commit waits.
        let held = world.held().await;
        let calls = (0..64).map(|_| world.vault.agents().resolve(&acme, tool_asks(agent_asks("builder", &["TOKEN"]))));
        let release = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            held.rollback().await.unwrap();
        };
        let (sent, done) = world.watched(join(join_all(calls), release)).await;
        done.0.into_iter().for_each(|resolved| drop(resolved.unwrap()));
        let commits = sent.iter().filter(|one| one.is_commit).count();
        assert!(commits <= 8, "{commits} commits for 64 records");
        assert_eq!(world.breaks().await, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_is_lost_only_if_postgresql_does_not_tell_how_a_record_ended() {
    in_time(Backend::Postgres, async |world| {
        world.used_demo().await;
        let acme = runtime("acme-runtime");
        let resolve = || world.vault.agents().resolve(&acme, tool_asks(agent_asks("builder", &["TOKEN"])));
        for (stop, chains) in [("pg_cancel_backend", 1), ("pg_terminate_backend", 2)] {
            let held = world.held().await;
            let sql = format!(
                "SELECT count({stop}(pid)) AS n FROM pg_stat_activity WHERE datname = current_database() \
                 AND wait_event_type = 'Lock' AND query LIKE 'WITH used %'"
            );
            let stopped = async {
                while world.number(&sql).await == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let (answer, ()) = join(resolve(), stopped).await;
            assert_eq!(answer.err().unwrap().code().as_str(), "UNAVAILABLE", "{stop}");
            held.rollback().await.unwrap();
            resolve().await.unwrap();
            assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, chains, "{stop}");
        }
        assert_eq!(world.breaks().await, []);
    })
    .await;
}

impl World {
    /// A transaction of another server that holds the counters of the project's entries.
    async fn held(&self) -> Tx {
        let other = Store::open(self.url(), None).unwrap();
        let mut held = other.begin().await.unwrap();
        let found = held.candidates(&World::project(), None, None, Values::None).await.unwrap();
        let entries = found.entries.iter().map(|row| (row.entry.id, 1)).collect();
        held.insert_events(&[], &[], Some(&Uses { entries, at: self.clock.now() })).await.unwrap();
        held
    }
}

/// Runs a future for so many polls and drops it where it stands.
trait IntoCut: Future + Sized {
    async fn into_cut(self, polls: usize) {
        let mut future = std::pin::pin!(self);
        for _ in 0..polls {
            if futures::poll!(&mut future).is_ready() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl<F: Future> IntoCut for F {}
