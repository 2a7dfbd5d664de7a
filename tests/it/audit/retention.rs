//! Retention erases old events, and the rest of their chains still verifies.

use crate::support::{agent_asks, entry, runtime, tool_asks, user};
use project_vault::domain::Error;
use project_vault::vault::Break;
use std::task::Poll;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Polls a sweep until it ends, or until it is to be dropped where it stands. Gives its result, if
/// it ended.
async fn sweep_until<T>(sweep: impl Future<Output = T>, mut is_dropped: impl AsyncFnMut() -> bool) -> Option<T> {
    let mut sweep = std::pin::pin!(sweep);
    loop {
        if let Poll::Ready(result) = futures::poll!(&mut sweep) {
            return Some(result);
        }
        if is_dropped().await {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

both! {
    async fn what_is_left_verifies_and_every_entry_keeps_its_newest_change(world: World) {
        world.used_demo().await;
        let old = world.events_there().await;
        world.clock.advance(DAY * 40);
        world.vault.entries().create(&user("bob"), entry("LATER", "v")).await.unwrap();
        world.vault.audit().sign_head().await.unwrap();
        let gone = world.vault.audit().sweep(DAY * 30).await.unwrap();
        assert_eq!(i64::try_from(gone).unwrap(), old - 1, "all but the change that made TOKEN");
        assert_eq!(world.breaks().await, []);
        assert_eq!(world.vault.audit().sweep(DAY * 30).await.unwrap(), 0);
        let acme = runtime("acme-runtime");
        let asked = tool_asks(agent_asks("builder", &["TOKEN", "LATER"]));
        let found = world.vault.agents().resolve(&acme, asked).await.unwrap().secrets;
        assert!(found.iter().all(|answer| answer.value.is_some()));
        assert_eq!(world.breaks().await, []);
    }

    async fn another_server_goes_on_with_a_chain_of_which_all_is_past(world: World) {
        world.demo().await;
        world.vault.audit().end_records().await.unwrap();
        world.clock.advance(DAY * 40);
        world.vault.audit().sweep(DAY * 30).await.unwrap();
        assert_eq!(world.events_there().await, 0);
        world.another_server().entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains").await, 1);
        assert_eq!(world.breaks().await, []);
    }

    async fn a_server_goes_on_behind_the_cut_where_an_older_event_was_kept(world: World) {
        world.used_demo().await;
        world.vault.audit().end_records().await.unwrap();
        world.clock.advance(DAY * 40);
        world.vault.audit().sweep(DAY * 30).await.unwrap();
        assert_eq!(world.events_there().await, 1, "the change that made TOKEN");
        world.another_server().entries().create(&user("bob"), entry("LATER", "v")).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_events WHERE seq > (SELECT max(cut_seq) FROM audit_chains)").await, 1);
        assert_eq!(world.breaks().await, []);
    }

    async fn servers_that_sweep_at_once_cut_as_one(world: World) {
        world.used_demo().await;
        world.clock.advance(DAY * 40);
        let other = world.another_server();
        let swept = futures::join!(world.vault.audit().sweep(DAY * 30), other.audit().sweep(DAY * 30));
        swept.0.unwrap();
        swept.1.unwrap();
        assert_eq!(world.breaks().await, []);
        world.vault.entries().create(&user("bob"), entry("LATER", "v")).await.unwrap();
        assert_eq!(world.breaks().await, []);
    }

    async fn a_backlog_is_erased_in_steps_and_a_crash_between_two_of_them_leaves_nothing_behind(world: World) {
        world.demo().await;
        let acme = runtime("acme-runtime");
        let names: Vec<String> = (0..60).map(|n| format!("E{n}")).collect();
        for name in &names {
            world.vault.entries().create(&user("bob"), entry(name, "v")).await.unwrap();
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for _ in 0..40 {
            world.vault.agents().resolve(&acme, tool_asks(agent_asks("builder", &names))).await.unwrap();
        }
        assert!(world.events_there().await > 2_400);
        world.clock.advance(DAY * 40);
        world.vault.audit().sign_head().await.unwrap();
        // Cut off ever later, and whenever events are gone, until it comes to its end.
        let (mut polls, mut there, mut between) = (0, world.events_there().await, 0);
        loop {
            polls += 1;
            let (mut left, before) = (polls, there);
            let result = sweep_until(world.vault.audit().sweep(DAY * 30), async || {
                left -= 1;
                there = world.events_there().await;
                there != before || left == 0
            });
            match result.await {
                Some(Ok(_)) => break,
                // PostgreSQL has not noticed yet that the one before is gone, and it holds the lock.
                Some(Err(Error::Unavailable { .. })) => {}
                Some(Err(error)) => panic!("{error:?}"),
                None if there == before => {}
                None => {
                    between += usize::from(there > 60 && there < 2_400);
                    assert_eq!(world.breaks().await, [], "{there} events are left");
                }
            }
        }
        assert_eq!(world.events_there().await, 60, "the changes that made the entries");
        assert!(between > 0, "no crash came between two steps");
    }

    async fn an_event_that_cannot_be_read_stops_retention_in_its_chain_alone(world: World) {
        world.used_demo().await;
        world.another_server().entries().create(&user("bob"), entry("OTHER", "v")).await.unwrap();
        world.another_server().entries().create(&user("bob"), entry("THIRD", "v")).await.unwrap();
        let chain = "(SELECT chain_id FROM audit_events WHERE entry_name = 'OTHER')";
        world.sql("UPDATE audit_events SET outcome = 'NONE' WHERE entry_name = 'OTHER'").await.unwrap();
        world.clock.advance(DAY * 40);
        world.vault.audit().sweep(DAY * 30).await.unwrap();
        let left = |of: &str| format!("SELECT count(*) AS n FROM audit_events WHERE chain_id {of} {chain}");
        assert_eq!(world.number(&left("=")).await, 1);
        assert_eq!(world.number(&left("<>")).await, 2, "the changes that made TOKEN and THIRD");
    }

    async fn a_cut_that_retention_did_not_make_shows(world: World) {
        world.used_demo().await;
        world.clock.advance(DAY * 40);
        world.vault.audit().sweep(DAY * 30).await.unwrap();
        world.vault.entries().create(&user("bob"), entry("LATER", "v")).await.unwrap();
        world.sql("DELETE FROM audit_events WHERE entry_name = 'LATER'").await.unwrap();
        world.sql("UPDATE audit_chains SET cut_seq = cut_seq + 1").await.unwrap();
        assert!(world.breaks().await.iter().any(|one| matches!(one, Break::Cut { .. })));
    }
}
