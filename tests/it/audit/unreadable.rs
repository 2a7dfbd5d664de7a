//! A row that a change by hand left unreadable is a finding, and everything else is verified.

use crate::support::{Backend, Installation, entry, new_project, service, user};
use project_vault::vault::Break;
use uuid::Uuid;

/// How many events or rows cannot be read, by these findings.
fn unreadable(breaks: &[Break]) -> usize {
    breaks.iter().filter(|one| matches!(one, Break::UnreadableEvent { .. } | Break::Unreadable { .. })).count()
}

both! {
    async fn an_event_that_cannot_be_read_is_named_and_the_others_are_verified(world: World) {
        world.used_demo().await;
        world.vault.entries().create(&user("bob"), entry("LATER", "v")).await.unwrap();
        let seq = world.number("SELECT seq AS n FROM audit_events WHERE entry_name = 'TOKEN' AND action = 'ENTRY_CREATED'").await;
        let later = world.number("SELECT seq AS n FROM audit_events WHERE entry_name = 'LATER'").await;
        for change in ["action = 'EATEN'", "outcome = 'NONE'", "role = 'KING'", "purpose = 'FUN'"] {
            world.sql("CREATE TABLE kept AS SELECT * FROM audit_events").await.unwrap();
            world.sql(&format!("UPDATE audit_events SET {change} WHERE seq = {seq}")).await.unwrap();
            world.sql(&format!("UPDATE audit_events SET count = 7 WHERE seq = {later}")).await.unwrap();
            let breaks = world.breaks().await;
            assert!(breaks.iter().any(|one| matches!(one, Break::UnreadableEvent { seq: found, .. } if *found == seq)), "{change}: {breaks:?}");
            assert!(breaks.iter().any(|one| matches!(one, Break::Changed { seq: found, .. } if *found == later)), "{change}: {breaks:?}");
            assert!(!breaks.iter().any(|one| matches!(one, Break::Removed { .. } | Break::Unlinked { .. })), "{change}: {breaks:?}");
            // The row of the entry cannot be compared with what is not there.
            assert!(breaks.iter().any(|one| matches!(one, Break::Entry { event: None, .. })), "{change}: {breaks:?}");
            world.sql("DELETE FROM audit_events").await.unwrap();
            world.sql("INSERT INTO audit_events SELECT * FROM kept").await.unwrap();
            world.sql("DROP TABLE kept").await.unwrap();
            assert_eq!(world.breaks().await, [], "{change} taken back");
        }
    }

    async fn rows_that_cannot_be_read_are_named_and_the_others_are_verified(world: World) {
        world.used_demo().await;
        let token = world.vault.entries().create(&user("bob"), entry("OTHER", "v")).await.unwrap().id;
        world.sql(&format!("UPDATE entries SET created_by = '' WHERE id = {}", world.id(token.0))).await.unwrap();
        world.sql("UPDATE entries SET name = 'RENAMED' WHERE name = 'TOKEN'").await.unwrap();
        let breaks = world.breaks().await;
        assert!(breaks.contains(&Break::Unreadable { table: "entries", id: token.to_string() }), "{breaks:?}");
        assert!(breaks.iter().any(|one| matches!(one, Break::EntryUnlike { what: "name", .. })), "{breaks:?}");
        assert_eq!(breaks.len(), 2, "{breaks:?}");
    }

    async fn what_is_no_id_or_number_ends_no_verification(world: World) {
        if world.backend == Backend::Postgres {
            // The types of its columns hold nothing else.
            return;
        }
        world.used_demo().await;
        world.by_hand("UPDATE audit_events SET seq = 'x' WHERE seq = (SELECT max(seq) FROM audit_events)").await;
        assert_eq!(unreadable(&world.breaks().await), 1);
        world.vault.projects().register(&service("platform"), new_project("other", "zoe")).await.unwrap();
        world.by_hand("PRAGMA ignore_check_constraints = ON; UPDATE projects SET status = 'EATEN' WHERE id = 'demo'").await;
        world.by_hand("UPDATE projects SET registered_at = 5 WHERE id = 'other'").await;
        let breaks = world.breaks().await;
        assert!(breaks.contains(&Break::Unreadable { table: "projects", id: "demo".to_owned() }), "{breaks:?}");
        assert!(breaks.iter().any(|one| matches!(one, Break::Project(_))), "{breaks:?}");
        world.by_hand("UPDATE entries SET id = x'01'").await;
        world.by_hand("INSERT INTO audit_chains (id, opened_at, anchor_chain, anchor_seq, anchor_mac, released, cut_seq) \
            VALUES (x'00000000000000000000000000000000', 1, x'01', 1, x'01', false, 0)").await;
        let breaks = world.breaks().await;
        let nil = Uuid::nil().to_string();
        for (table, id) in [("entries", "01"), ("audit_chains", nil.as_str())] {
            assert!(breaks.contains(&Break::Unreadable { table, id: id.to_owned() }), "{table}: {breaks:?}");
        }
    }
}

async fn an_unreadable_event_is_a_break_and_no_failure_to_look(backend: Backend) {
    let it = Installation::new(backend).await;
    it.database.sql("UPDATE audit_events SET outcome = 'UNHEARD_OF'").await.unwrap();
    let ran = it.run(&["audit", "verify"]).await;
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.out.contains("event 1: changed; it cannot be read"), "{ran:?}");
}

on_both! { an_unreadable_event_is_a_break_and_no_failure_to_look }
