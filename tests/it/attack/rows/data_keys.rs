//! Data keys: their states changed by hand, and those that were replaced put back with everything
//! that was under them.

use super::resolved;
use crate::support::{Backend, World, entry, user};
use project_vault::crypto::{EntryFacts, Keyring, VersionFacts, WrappedKey};
use project_vault::permission::Operator;
use project_vault::store::records::{DataKeyRow, EntryRow};
use project_vault::vault::{Break, ForgedKey, KeyringLoader};
use secrecy::ExposeSecret as _;
use std::sync::Arc;

const UNDER_KEY: [&str; 4] = ["data_keys", "entries", "versions", "ciphertexts"];

/// The demo with TOKEN, whose data key was replaced, and what there was before that under the name
/// `old`.
async fn replaced(world: &World) {
    world.demo().await;
    world.add("TOKEN", "a value").await;
    world.keep("old").await;
    let operator = Operator::at_the_shell();
    let done = world.vault.rotation().replace_data_keys(&operator, &World::project(), &|_, _| {}).await.unwrap();
    assert_eq!((done.entries, done.erased), (1, 1));
}

fn hex(world: &World, bytes: &[u8]) -> String {
    let hex = data_encoding::HEXLOWER.encode(bytes);
    match world.backend {
        Backend::Sqlite => format!("x'{hex}'"),
        Backend::Postgres => format!("'\\x{hex}'::bytea"),
    }
}

both! {
    async fn a_replacement_raises_revisions_names_the_key_and_lists_the_old_one(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        let old = world.text("SELECT subject AS t FROM audit_events WHERE action = 'ENTRY_CREATED'").await;
        let operator = Operator::at_the_shell();
        world.vault.rotation().replace_data_keys(&operator, &World::project(), &|_, _| {}).await.unwrap();
        assert_eq!(world.number("SELECT CAST(revision AS BIGINT) AS n FROM entries").await, 2);
        let new = "SELECT subject AS t FROM audit_events WHERE action = 'KEYS_ROTATED' AND entry_revision = 2";
        let new = world.text(new).await;
        assert!(old.starts_with("data-key:") && new.starts_with("data-key:") && old != new, "{old} {new}");
        assert_eq!(world.number("SELECT count(*) AS n FROM replaced_data_keys").await, 1);
        assert_eq!(resolved(&world.another_server()).await, Ok(vec!["TOKEN=a value".to_owned()]));
        assert_eq!(world.found_broken().await, []);
        world.vault.projects().delete(&crate::support::service("platform"), "demo".to_owned()).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM replaced_data_keys").await, 0, "erased with the project");
    }

    async fn a_change_that_takes_an_entry_along_names_the_new_key_and_one_that_changes_nothing_leaves_it(world: World) {
        let mut world = world;
        world.demo().await;
        let id = world.add("TOKEN", "a value").await;
        world.vault = world.another_server().with_seal_limit(1);
        world.add("OTHER", "another").await;
        assert_eq!(world.number("SELECT count(*) AS n FROM data_keys").await, 2);
        let (rows, events) = ("SELECT CAST(revision AS BIGINT) AS n FROM entries WHERE name = 'TOKEN'", "SELECT count(*) AS n FROM audit_events");
        let before = (world.number(rows).await, world.number(events).await);
        world.vault.entries().enable(&user("bob"), id.to_string()).await.unwrap();
        assert_eq!((world.number(rows).await, world.number(events).await), before);
        world.vault.entries().disable(&user("bob"), id.to_string()).await.unwrap();
        assert_eq!(world.number(rows).await, before.0 + 1);
        world.vault.entries().enable(&user("bob"), id.to_string()).await.unwrap();
        assert_eq!(resolved(&world.another_server()).await.unwrap().len(), 2);
        assert_eq!(world.found_broken().await, []);
    }

    async fn rows_under_a_replaced_data_key_are_refused_when_they_are_put_back(world: World) {
        replaced(&world).await;
        world.keep("now").await;
        world.put_back("old", &UNDER_KEY).await;
        assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"), "its data key is listed as replaced");
        let broken = world.found_broken().await;
        assert!(broken.iter().any(|one| matches!(one, Break::DataKey(ForgedKey::PutBack(_)))), "{broken:?}");
        // Without the list, the newest change names another revision and another key.
        world.by_hand("DELETE FROM replaced_data_keys").await;
        assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"));
        let broken = world.found_broken().await;
        assert!(broken.iter().any(|one| matches!(one, Break::Entry { row: 1, event: Some(2), .. })), "{broken:?}");
        // Nor are they put under a new key, nor is a value sealed under the old one.
        let id = world.add("OTHER", "v").await;
        assert_eq!(world.rotate(id, "w").await.map_err(|error| error.code()), Ok(()), "its own change is newer");
        let operator = Operator::at_the_shell();
        let done = world.another_server().rotation().replace_data_keys(&operator, &World::project(), &|_, _| {}).await.unwrap();
        assert_eq!(done.left.len(), 1);
    }

    async fn without_the_event_of_the_replacement_a_server_that_knows_better_refuses_and_verification_shows_it(world: World) {
        replaced(&world).await;
        assert!(resolved(&world.vault).await.is_ok());
        world.vault.audit().sign_head().await.unwrap();
        world.put_back("old", &UNDER_KEY).await;
        world.by_hand("DELETE FROM replaced_data_keys; DELETE FROM audit_events WHERE action = 'KEYS_ROTATED'").await;
        assert_eq!(resolved(&world.vault).await, Err("INTERNAL"));
        let broken = world.found_broken().await;
        let shows = |one: &Break| matches!(one, Break::Removed { .. } | Break::Truncated { .. });
        assert!(broken.iter().any(shows), "{broken:?}");
    }

    async fn a_leaked_old_data_key_forges_nothing(world: World) {
        let mut world = world;
        let text = Keyring::generate().unwrap().to_text();
        let ring = Keyring::parse(text.expose_secret()).unwrap();
        let source: KeyringLoader = Arc::new(move || Keyring::parse(text.expose_secret()));
        world.set_up_with(source).await;
        world.demo().await;
        let id = world.add("TOKEN", "a value").await;
        // It leaks: everything under it can be made anew.
        let mut conn = world.store.conn().await.unwrap();
        let DataKeyRow { id: old_id, master_key, wrapped, .. } = conn.encrypting_key(&World::project()).await.unwrap();
        drop(conn);
        let leaked = ring.unwrap(&World::project(), old_id, &WrappedKey { master_key, bytes: wrapped }).unwrap();
        world.keep("old").await;
        let operator = Operator::at_the_shell();
        world.vault.rotation().replace_data_keys(&operator, &World::project(), &|_, _| {}).await.unwrap();

        // The entry as it is now, but under the leaked key, with a value of the attacker's
        // choosing.
        let row: EntryRow = world.store.conn().await.unwrap().entry_row(id).await.unwrap().unwrap();
        let project = World::project();
        let facts = EntryFacts {
            project: &project,
            entry: id,
            milestone: None,
            name: &row.name,
            category: row.category,
            expires_at: row.expires_at,
            disabled: false,
            deleted_at: None,
            current_version: row.current_version,
            revision: row.revision,
            data_key: old_id,
        };
        let version = VersionFacts {
            project: &project,
            entry: id,
            version: 1,
            ciphertext_version: 1,
            restored_from: None,
            not_after: None,
            data_key: old_id,
        };
        let place = project_vault::crypto::CiphertextContext { project: &project, entry: id, version: 1, data_key: old_id };
        let value = leaked.seal_value(&place, &"the attacker's".into()).unwrap();
        let key = world.id(old_id.0);
        let forge = format!(
            "UPDATE entries SET data_key_id = {key}, mac = {}; UPDATE versions SET mac = {}; \
             UPDATE ciphertexts SET data_key_id = {key}, value = {}; INSERT INTO data_keys SELECT * FROM old_data_keys",
            hex(&world, &leaked.entry_mac(&facts)),
            hex(&world, &leaked.version_mac(&version)),
            hex(&world, &value),
        );
        // There is one encrypting key for each project: the index is in the way, as the attacker's
        // copy says the same.
        world.by_hand("UPDATE data_keys SET encrypting = (1 = 0)").await;
        world.by_hand(&forge).await;
        for hidden in ["", "DELETE FROM replaced_data_keys"] {
            world.by_hand(hidden).await;
            assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"), "{hidden}");
            assert_ne!(world.found_broken().await, [], "{hidden}");
        }
    }

    async fn the_state_of_a_data_key_is_authenticated(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        let changes = [
            "UPDATE data_keys SET mac = NULL",
            "UPDATE data_keys SET outgoing = NOT outgoing",
            "UPDATE data_keys SET encrypting = NOT encrypting",
            "UPDATE data_keys SET master_key = 'k-0badcafe'",
            "UPDATE data_keys SET mac = (SELECT mac FROM entries LIMIT 1)",
        ];
        world.each_change(&changes, async |change| {
            assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"), "{change}");
            let refused = world.another_server().entries().create(&user("bob"), entry("OTHER", "v")).await;
            assert!(refused.is_err(), "{change}");
            let broken = world.found_broken().await;
            assert!(broken.iter().any(|one| matches!(one, Break::DataKey(ForgedKey::Changed(_)))), "{change}: {broken:?}");
            // Master keys are rotated around it.
            let rotated = world.another_server().rotation().rewrap(&Operator::at_the_shell(), &|_, _| {}).await.unwrap();
            assert!(rotated.left == 0 || rotated.problems.iter().any(|one| one.contains("by hand")), "{change}: {rotated:?}");
            assert_eq!(world.number("SELECT count(*) AS n FROM data_keys WHERE mac IS NULL").await, i64::from(change.ends_with("NULL")));
        }).await;
        assert!(resolved(&world.another_server()).await.is_ok());
    }

    async fn the_list_of_replaced_data_keys_is_authenticated(world: World) {
        replaced(&world).await;
        let changes = ["UPDATE replaced_data_keys SET replaced_at = 1", "UPDATE replaced_data_keys SET mac = (SELECT mac FROM data_keys)"];
        world.each_change(&changes, async |change| {
            let broken = world.found_broken().await;
            assert!(matches!(broken[..], [Break::ReplacedKey { .. }]), "{change}: {broken:?}");
        }).await;
    }

    async fn a_finished_replacement_of_all_data_keys_that_is_put_back_stops_no_other(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        let operator = Operator::at_the_shell();
        world.vault.rotation().replace_all_data_keys(&operator, &|_, _| {}).await.unwrap();
        // A row of its own, with a MAC that was right while the replacement was under way.
        world.vault.installation().set_setting("data-key rotation", "all").await.unwrap();
        let done = world.vault.rotation().replace_all_data_keys(&operator, &|_, _| {}).await.unwrap();
        assert_eq!((done.projects, done.entries, done.erased), (1, 1, 1), "it begins anew where nothing is under way");
        assert_eq!(world.found_broken().await, []);
    }
}
