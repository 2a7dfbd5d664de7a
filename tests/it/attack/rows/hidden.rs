//! Events changed so that the database sorts or finds them differently than it prints them, and
//! projects put back whole: verification follows the events along the chains.

use super::resolved;
use crate::support::{Backend, World, service};
use project_vault::vault::Break;

const ENTRY_TABLES: [&str; 3] = ["entries", "versions", "ciphertexts"];

/// The demo with TOKEN, rotated, and what there was before that under the name `old`.
async fn rotated(world: &World) {
    world.demo().await;
    let id = world.add("TOKEN", "the leaked value").await;
    world.keep("old").await;
    world.rotate(id, "the new value").await.unwrap();
}

/// Whether a verification says that nothing is wrong.
async fn verifies(world: &World) -> bool {
    matches!(world.another_server().verifier().verify(&[], |_| {}).await, Ok(found) if found.breaks.is_empty())
}

both! {
    async fn a_newest_change_that_sqlite_orders_before_an_older_one_is_still_the_newest(world: World) {
        if world.backend == Backend::Postgres {
            // Its columns hold what their types say.
            return;
        }
        rotated(&world).await;
        assert!(verifies(&world).await);
        world.put_back("old", &ENTRY_TABLES).await;
        // Of an integer of 64 bits, 32 are read; they are the same as before.
        world.by_hand(
            "UPDATE audit_events SET entry_revision = entry_revision - 4294967296 WHERE action = 'ENTRY_ROTATED'"
        ).await;
        let broken = world.found_broken().await;
        assert!(matches!(broken[..], [Break::Entry { row: 1, event: Some(2), .. }]), "{broken:?}");
    }

    async fn a_change_that_sqlite_does_not_find_by_its_entry_is_still_the_newest(world: World) {
        if world.backend == Backend::Postgres {
            return;
        }
        rotated(&world).await;
        world.keep("now").await;
        // A text is never equal to the same bytes.
        let hide = "UPDATE audit_events SET entry_id = CAST(entry_id AS TEXT)";
        world.put_back("old", &ENTRY_TABLES).await;
        world.by_hand(&format!("{hide} WHERE action = 'ENTRY_ROTATED'")).await;
        assert!(!verifies(&world).await, "an old row");
        world.put_back("now", &super::TABLES).await;
        assert!(verifies(&world).await);
        world.by_hand(&format!("{hide} WHERE entry_name = 'TOKEN'; DELETE FROM entries WHERE name = 'TOKEN'")).await;
        assert!(!verifies(&world).await, "an entry that is removed");
    }

    async fn a_deleted_project_that_is_put_back_whole_shows(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        for table in ["projects", "milestones", "data_keys", "entries", "versions", "ciphertexts", "tuples"] {
            world.by_hand(&format!("CREATE TABLE whole_{table} AS SELECT * FROM {table}")).await;
        }
        world.vault.projects().delete(&service("platform"), "demo".to_owned()).await.unwrap();
        assert_eq!(world.found_broken().await, []);
        for table in ["projects", "milestones", "data_keys", "entries", "versions", "ciphertexts", "tuples"] {
            world.by_hand(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM whole_{table}")).await;
        }
        world.by_hand("DELETE FROM deleted_projects").await;
        let broken = world.found_broken().await;
        let shows = |one: &Break| matches!(one, Break::ProjectBack { project } if project.as_str() == "demo");
        assert!(broken.iter().any(shows), "{broken:?}");
        // What the message says to do, does it.
        world.vault.projects().delete(&service("platform"), "demo".to_owned()).await.unwrap();
        assert!(resolved(&world.another_server()).await.is_err());
        assert_eq!(world.found_broken().await, []);
    }
}
