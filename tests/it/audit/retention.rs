//! Retention erases old events, and the rest of their chains still verifies.

use crate::support::{agent_asks, entry, runtime, tool_asks, user};
use project_vault::vault::Break;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
