//! An attacker who writes to the database cannot change, remove, reorder, copy or cut off events
//! unnoticed.

use crate::support::{World, entry, user};
use project_vault::vault::Break;

/// Columns of an event with another value each.
const CHANGES: &[&str] = &[
    "occurred_at = occurred_at + 1",
    "project_id = 'other'",
    "project_id = NULL",
    "action = 'ENTRY_DELETED'",
    "outcome = 'DENIED'",
    "reason = 'EXPIRED'",
    "count = 2",
    "actor = 'user:mallory'",
    "subject = 'user:mallory'",
    "role = 'INFORMED'",
    "agent_id = 'deployer'",
    "entry_id = NULL",
    "entry_name = 'OTHER'",
    "entry_version = 7",
    "entry_revision = NULL",
    "milestone_id = 'demo-launch'",
    "purpose = 'CODING_SESSION'",
    "session_id = 's'",
    "tool = 't'",
    "request_id = 'r'",
    "prev = mac",
];

const ONE: &str = "SELECT seq FROM audit_events WHERE action = 'ENTRY_CREATED'";

both! {
    async fn every_column_of_an_event_is_authenticated(world: World) {
        world.used_demo().await;
        world.sql("CREATE TABLE kept AS SELECT * FROM audit_events").await.unwrap();
        let seq = world.number("SELECT seq AS n FROM audit_events WHERE action = 'ENTRY_CREATED'").await;
        for change in CHANGES {
            assert_eq!(world.sql(&format!("UPDATE audit_events SET {change} WHERE action = 'ENTRY_CREATED'")).await.unwrap(), 1);
            let breaks = world.breaks().await;
            assert!(matches!(&breaks[0], Break::Changed { seq: found, .. } if *found == seq), "{change}: {breaks:?}");
            world.sql(&format!("DELETE FROM audit_events WHERE seq = {seq}")).await.unwrap();
            world.sql(&format!("INSERT INTO audit_events SELECT * FROM kept WHERE seq = {seq}")).await.unwrap();
            assert_eq!(world.breaks().await, [], "{change} taken back");
        }
    }

    async fn a_removed_event_shows_with_its_place(world: World) {
        world.used_demo().await;
        let seq = world.number(&format!("SELECT seq AS n FROM ({ONE}) AS one")).await;
        world.sql(&format!("DELETE FROM audit_events WHERE seq IN ({seq}, {seq} - 1)")).await.unwrap();
        let breaks = world.breaks().await;
        assert!(matches!(breaks[0], Break::Removed { from, to, .. } if (from, to) == (seq - 1, seq)), "{breaks:?}");
        assert!(matches!(breaks[1], Break::Entry { event: None, .. }), "{breaks:?}");
    }

    async fn reordered_and_copied_events_show(world: World) {
        world.used_demo().await;
        for (from, to) in [(2, 1_000), (3, 2), (1_000, 3)] {
            world.sql(&format!("UPDATE audit_events SET seq = {to} WHERE seq = {from}")).await.unwrap();
        }
        let breaks = world.breaks().await;
        let changed = breaks.iter().filter(|one| matches!(one, Break::Changed { seq: 2 | 3, .. })).count();
        assert_eq!(changed, 2, "{breaks:?}");
    }

    async fn a_copy_at_the_end_shows(world: World) {
        world.used_demo().await;
        world.sql("CREATE TABLE kept AS SELECT * FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)").await.unwrap();
        let other = world.id(uuid::Uuid::now_v7());
        world.sql(&format!("UPDATE kept SET seq = seq + 1, prev = mac, id = {other}")).await.unwrap();
        world.sql("INSERT INTO audit_events SELECT * FROM kept").await.unwrap();
        assert!(matches!(world.breaks().await[..], [Break::Changed { .. }]));
    }

    async fn an_end_that_was_cut_off_shows_by_the_signed_head(world: World) {
        world.used_demo().await;
        let kept = world.vault.audit().sign_head().await.unwrap();
        assert_eq!(world.vault.audit().sign_head().await.unwrap(), kept, "nothing was recorded since");
        let named = world.number("SELECT max(seq) AS n FROM audit_events").await;
        world.sql(&format!("DELETE FROM audit_events WHERE seq > {named} - 2")).await.unwrap();
        let truncated = |breaks: &[Break]| {
            breaks.iter().any(|one| matches!(one, Break::Truncated { last, named: n, .. } if (*last, *n) == (named - 2, named)))
        };
        assert!(truncated(&world.breaks().await));
        // Another head does not make it good.
        world.vault.audit().sign_head().await.unwrap();
        assert!(truncated(&world.breaks().await));
        // Without any head in the database, the one that was kept elsewhere shows it.
        world.sql("DELETE FROM audit_heads").await.unwrap();
        assert_eq!(world.breaks().await, []);
        assert!(truncated(&world.verified_against(&[kept]).await.breaks));
    }

    async fn a_whole_chain_that_is_gone_shows(world: World) {
        world.used_demo().await;
        world.vault.audit().sign_head().await.unwrap();
        world.sql("DELETE FROM audit_events").await.unwrap();
        world.sql("DELETE FROM audit_chains").await.unwrap();
        assert!(world.breaks().await.iter().any(|one| matches!(one, Break::Truncated { last: 0, .. })));
    }

    async fn another_installations_head_is_refused(world: World) {
        world.used_demo().await;
        let other = World::new(world.backend).await;
        other.used_demo().await;
        let head = other.vault.audit().sign_head().await.unwrap();
        assert!(matches!(world.verified_against(&[head]).await.breaks[..], [Break::Head { number: 1, .. }]));
    }

    async fn the_beginning_of_a_chain_is_authenticated(world: World) {
        world.used_demo().await;
        let other = world.another_server();
        other.entries().create(&user("bob"), entry("A", "v")).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_chains WHERE anchor_chain IS NOT NULL").await, 1);
        world.sql("UPDATE audit_chains SET anchor_seq = anchor_seq - 1 WHERE anchor_chain IS NOT NULL").await.unwrap();
        let breaks = world.breaks().await;
        assert!(breaks.iter().any(|one| matches!(one, Break::Unlinked { seq: 1, .. })), "{breaks:?}");
        assert!(breaks.iter().any(|one| matches!(one, Break::Replaced { .. })), "{breaks:?}");
    }

    async fn who_writes_a_change_of_tuples_into_the_outbox_grants_nothing(world: World) {
        world.demo().await;
        let forged = r#"{"change":{"write":[{"user":"user:mallory","relation":"accountable","object":"project:demo"}],"delete":[]}}"#;
        let mac = match world.backend {
            crate::support::Backend::Sqlite => "zeroblob(32)",
            crate::support::Backend::Postgres => "decode(repeat('00', 32), 'hex')",
        };
        let sql = format!("INSERT INTO outbox (lane, change, mac, created_at) VALUES ('project:demo', '{forged}', {mac}, 1)");
        world.sql(&sql).await.unwrap();
        world.vault.tuples().apply_outbox().await.unwrap();
        assert_eq!(world.vault.tuples().count_set_aside().await.unwrap(), 1);
        let tuples = world.authorizer.read(&mut world.store.conn().await.unwrap(), &project_vault::authz::TupleFilter::of_project(&World::project())).await.unwrap();
        assert!(!format!("{tuples:?}").contains("mallory"));
    }
}
