//! The number of values that one data key may seal, and its replacement beyond that.

use super::{EVENTS, Ringed, demo, operator, rotate, value};
use crate::support::{entry, user};
use project_vault::domain::Category;
use project_vault::vault::{Change, EntryChanges, Import, OnConflict, Rollback};
use secrecy::SecretString;

const KEYS: &str = "SELECT count(*) AS n FROM data_keys";
const SEALED: &str = "SELECT sealed AS n FROM data_keys WHERE encrypting";
/// Entries under a data key that encrypts nothing any more.
const BEHIND: &str =
    "SELECT count(*) AS n FROM entries JOIN data_keys ON data_keys.id = data_key_id WHERE NOT encrypting";

fn import(lines: usize) -> Import {
    Import {
        project: "demo".to_owned(),
        milestone: None,
        dotenv: SecretString::from((0..lines).map(|n| format!("L{n}=imported {n}\n")).collect::<String>()),
        category: Category::Secret,
        on_conflict: OnConflict::Rotate,
    }
}

both! {
    async fn what_is_sealed_is_counted_in_its_transaction(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "a value")]).await;
        let (world, bob) = (&ringed.world, user("bob"));
        let id = world.vault.entries().create(&bob, entry("OTHER", "a")).await.unwrap().id.to_string();
        assert_eq!(world.number(SEALED).await, 2);
        rotate(&world.vault, &id, "b").await.unwrap();
        assert_eq!(world.number(SEALED).await, 3);
        let back = Rollback { id: id.clone(), version: 1, expected_revision: None };
        world.vault.entries().roll_back(&bob, back).await.unwrap();
        world.vault.entries().disable(&bob, id).await.unwrap();
        assert_eq!(world.number(SEALED).await, 3, "nothing was sealed");
        world.vault.entries().import(&bob, import(4)).await.unwrap();
        assert_eq!(world.number(SEALED).await, 7);
        world.vault.entries().import(&bob, import(4)).await.unwrap();
        assert_eq!(world.number(SEALED).await, 11, "rotated");
        assert!(world.vault.entries().create(&bob, entry("TOKEN", "taken")).await.is_err());
        assert_eq!(world.number(SEALED).await, 11);
        let status = ringed.status().await.data_keys;
        assert_eq!((status.most_sealed, status.past_bound), (11, 0));
    }

    async fn a_data_key_at_its_bound_is_replaced_and_entries_follow_as_they_change(world: World) {
        let mut ringed = Ringed::with(world, &[("A", "a value"), ("B", "b value")]).await;
        ringed.world.vault = ringed.server().with_seal_limit(3);
        let bob = user("bob");
        let world = &ringed.world;
        world.vault.entries().create(&bob, entry("C", "c value")).await.unwrap();
        assert_eq!(world.number(KEYS).await, 1, "three are allowed");
        let made = world.vault.entries().create(&bob, entry("D", "d value")).await.unwrap();
        assert_eq!((world.number(KEYS).await, world.number(SEALED).await, world.number(BEHIND).await), (2, 1, 3));
        assert_eq!(world.number(EVENTS).await, 0, "nothing was re-encrypted");
        for (name, expected) in [("A", "a value"), ("B", "b value"), ("C", "c value"), ("D", "d value")] {
            assert_eq!(value(&world.vault, name).await, expected);
        }

        // An update, a rotation and a rollback each take their entry along.
        ringed.world.vault = ringed.server().with_seal_limit(100);
        let world = &ringed.world;
        let store = world.store.clone();
        let id = async |name: &str| {
            let found = store.conn().await.unwrap().entry_named(&demo(), None, name).await.unwrap().unwrap();
            found.entry.id.to_string()
        };
        let unchanged = EntryChanges {
            id: id("A").await,
            expected_revision: Some(1),
            name: Change::Keep,
            description: Change::Set("described".to_owned()),
            category: Change::Keep,
            expires_at: Change::Keep,
            rotation_interval_days: Change::Keep,
        };
        let updated = world.vault.entries().update(&bob, unchanged).await.unwrap();
        assert_eq!((updated.revision, world.number(BEHIND).await), (2, 2));
        assert_eq!((world.number(SEALED).await, world.number(KEYS).await), (2, 2));
        rotate(&world.vault, &id("B").await, "b second").await.unwrap();
        assert_eq!((world.number(BEHIND).await, value(&world.vault, "B").await.as_str()), (1, "b second"));
        let back = Rollback { id: id("C").await, version: 1, expected_revision: None };
        assert!(world.vault.entries().roll_back(&bob, back).await.is_err(), "it is the current version");
        let back = Rollback { id: id("B").await, version: 1, expected_revision: None };
        world.vault.entries().roll_back(&bob, back).await.unwrap();
        assert_eq!(value(&world.vault, "B").await, "b value");
        let narrow = ringed.server().with_seal_limit(3);
        rotate(&narrow, &made.id.to_string(), "d second").await.unwrap();
        assert_eq!(world.number(KEYS).await, 3, "the next one reached its bound");
        for (name, expected) in [("A", "a value"), ("B", "b value"), ("C", "c value"), ("D", "d second")] {
            assert_eq!(value(&world.vault, name).await, expected);
        }

        // What is left behind is moved, and the old ones erased, by an operator.
        let status = ringed.server().with_seal_limit(3).rotation().status().await.unwrap();
        assert!(status.data_keys.older >= 1 && status.data_keys.past_bound >= 1, "{status:?}");
        ringed.server().rotation().replace_data_keys(&operator(), &demo(), &|_, _| {}).await.unwrap();
        assert_eq!((world.number(KEYS).await, world.number(BEHIND).await, world.number(EVENTS).await), (1, 0, 1));
        assert_eq!(value(&world.vault, "C").await, "c value");
    }

    async fn an_entry_with_a_forged_version_can_still_be_switched_off_but_gets_no_value_under_an_old_key(world: World) {
        let mut ringed = Ringed::with(world, &[("A", "a value")]).await;
        let (bob, id) = (user("bob"), {
            let found = ringed.world.store.conn().await.unwrap().entry_named(&demo(), None, "A").await.unwrap();
            found.unwrap().entry.id.to_string()
        });
        rotate(&ringed.world.vault, &id, "second").await.unwrap();
        ringed.world.sql("UPDATE versions SET restored_from = 7 WHERE version = 1").await.unwrap();
        ringed.world.vault = ringed.server().with_seal_limit(2);
        ringed.world.vault.entries().create(&bob, entry("B", "b")).await.unwrap();
        assert_eq!(value(&ringed.world.vault, "A").await, "second");
        assert!(rotate(&ringed.world.vault, &id, "third").await.is_err());
        ringed.world.vault.entries().disable(&bob, id).await.unwrap();
        assert_eq!(ringed.world.number(BEHIND).await, 1);
    }
}
