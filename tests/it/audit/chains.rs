//! Writing chains: by many transactions at once, by servers side by side and one after the other,
//! and by transactions that are rolled back.

use crate::audit::World;
use crate::support::{agent_asks, entry, runtime, tool_asks, user};
use futures::future::{join, join_all};
use project_vault::domain::Clock as _;
use project_vault::store::Store;
use project_vault::store::records::Uses;
use std::time::Duration;

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
        // Another server holds the entry's counter, so that the first commit waits for it.
        let other = Store::open(world.url(), None).unwrap();
        let mut held = other.begin().await.unwrap();
        let found = held.candidates(&World::project(), None, None, None).await.unwrap();
        let uses: Vec<_> = found.entries.iter().map(|row| (row.entry.id, 1)).collect();
        held.insert_events(&[], Some(&Uses { entries: uses, at: world.clock.now() })).await.unwrap();
        let calls = (0..64).map(|_| world.vault.agents().resolve(&acme, tool_asks(agent_asks("builder", &["TOKEN"]))));
        let release = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            held.rollback().await.unwrap();
        };
        let (sent, done) = world.watched(join(join_all(calls), release)).await;
        done.0.into_iter().for_each(|resolved| drop(resolved.unwrap()));
        let commits = sent.iter().filter(|one| one.is_commit()).count();
        assert!(commits <= 8, "{commits} commits for 64 records");
        assert_eq!(world.breaks().await, []);
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
