//! Forged dates, meant to make the sweeper or retention erase the evidence: neither turns a forged
//! deletion into an authentic one.

use super::resolved;
use crate::support::user;
use project_vault::vault::Break;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CUT: &str = "SELECT CAST(sum(cut_seq) AS BIGINT) AS n FROM audit_chains";

both! {
    async fn a_forged_deletion_is_not_made_authentic_by_the_sweeper(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        world.by_hand("UPDATE entries SET deleted_at = 1000 WHERE name = 'TOKEN'").await;
        for server in [&world.vault, &world.another_server()] {
            assert_eq!(server.sweeper().sweep().await.unwrap(), 0);
        }
        assert_eq!(world.number("SELECT count(*) AS n FROM versions").await, 1);
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_events WHERE action = 'ENTRY_PURGED'").await, 0);
        let broken = world.found_broken().await;
        assert!(matches!(broken[..], [Break::EntryUnlike { what: "state", .. }]), "{broken:?}");
        world.by_hand("UPDATE entries SET deleted_at = NULL").await;
        assert!(resolved(&world.another_server()).await.is_ok());
        assert_eq!(world.found_broken().await, []);
    }

    async fn forged_deletions_keep_no_other_from_being_swept(world: World) {
        world.demo().await;
        // More than are read at once, all of one instant.
        for n in 0..130 {
            world.add(&format!("FORGED_{n}"), "a value").await;
        }
        let due = world.add("DUE", "a value").await;
        world.vault.entries().delete(&user("alice"), due.to_string()).await.unwrap();
        world.clock.advance(DAY * 31);
        world.by_hand("UPDATE entries SET deleted_at = 1000 WHERE name <> 'DUE'").await;
        assert_eq!(world.vault.sweeper().sweep().await.unwrap(), 1);
        assert_eq!(world.number("SELECT count(*) AS n FROM entries WHERE name = 'DUE'").await, 0);
        assert_eq!(world.number("SELECT count(*) AS n FROM entries").await, 130);
        assert_eq!(world.vault.sweeper().sweep().await.unwrap(), 0);
    }

    async fn retention_erases_no_event_whose_date_was_forged(world: World) {
        world.demo().await;
        let id = world.add("TOKEN", "the leaked value").await;
        world.rotate(id, "the new value").await.unwrap();
        world.keep("now").await;
        let events = world.number("SELECT count(*) AS n FROM audit_events").await;
        world.by_hand("UPDATE audit_events SET occurred_at = 1000").await;
        assert_eq!(world.vault.audit().sweep(DAY * 365).await.unwrap(), 0);
        assert_eq!(world.number(CUT).await, 0);
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_events").await, events);
        let broken = world.found_broken().await;
        assert!(broken.iter().any(|one| matches!(one, Break::Changed { .. })), "{broken:?}");
        world.put_back("now", &["audit_events"]).await;
        assert_eq!(world.found_broken().await, []);
    }

    async fn retention_goes_up_to_the_first_event_that_is_not_authentic(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        world.vault.audit().sign_head().await.unwrap();
        world.clock.advance(DAY * 40);
        world.keep("now").await;
        for change in [
            "UPDATE audit_events SET actor = 'user:mallory' WHERE seq = 4",
            "DELETE FROM audit_events WHERE seq = 4",
            "UPDATE audit_events SET prev = mac WHERE seq = 4",
        ] {
            world.by_hand("UPDATE audit_chains SET cut_seq = 0, cut_event_mac = NULL, cut_mac = NULL").await;
            world.put_back("now", &["audit_events"]).await;
            world.by_hand(change).await;
            assert_eq!(world.vault.audit().sweep(DAY * 30).await.unwrap(), 3, "{change}");
            assert_eq!(world.number(CUT).await, 3, "{change}");
            assert_eq!(world.vault.audit().sweep(DAY * 30).await.unwrap(), 0, "{change}");
            assert_ne!(world.found_broken().await, [], "{change}");
        }
        // A cut that retention did not make is not gone on from.
        world.put_back("now", &["audit_events"]).await;
        world.by_hand("UPDATE audit_chains SET cut_seq = cut_seq + 1").await;
        assert_eq!(world.vault.audit().sweep(DAY * 30).await.unwrap(), 0);
        let broken = world.found_broken().await;
        assert!(broken.iter().any(|one| matches!(one, Break::Cut { .. })), "{broken:?}");
    }
}
