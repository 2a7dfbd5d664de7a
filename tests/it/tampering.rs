//! An attacker who writes to the database cannot make the vault release, rename, revive or re-scope
//! a secret: the tests change every column that gives a row its meaning, and the resolve that reads
//! it releases nothing and is recorded.

use crate::support::{World, agent_asks, entry, new_project, runtime, service, tool_asks, user};
use project_vault::domain::EntryId;
use project_vault::vault::{AgentQuestion, Change, NewEntry, Rotation};
use secrecy::ExposeSecret as _;

struct Scene {
    world: World,
    token: EntryId,
    other: EntryId,
    foreign: EntryId,
}

impl Scene {
    async fn new(world: World) -> Self {
        world.demo().await;
        let bob = user("bob");
        let create = async |new: NewEntry| world.vault.entries().create(&bob, new).await.unwrap().id;
        let token = create(entry("TOKEN", "the first value")).await;
        let other = create(entry("OTHER", "another entry's")).await;
        create(NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("PHASED", "the milestone's") }).await;
        let rotation = Rotation {
            id: token.to_string(),
            value: "the second value".into(),
            expires_at: Change::Keep,
            expected_revision: None,
        };
        world.vault.entries().rotate(&bob, rotation).await.unwrap();
        let gone = create(entry("GONE", "a deleted one's")).await;
        world.vault.entries().delete(&user("alice"), gone.to_string()).await.unwrap();
        let elsewhere = new_project("other", "zoe");
        world.vault.projects().register(&service("platform"), elsewhere).await.unwrap();
        let foreign = NewEntry { project: "other".to_owned(), ..entry("TOKEN", "another project's") };
        let foreign = world.vault.entries().create(&user("zoe"), foreign).await.unwrap().id;
        Self { world, token, other, foreign }
    }

    /// Puts the ids of the scene into SQL.
    fn sql(&self, text: &str) -> String {
        text.replace("$token", &self.world.id(self.token.0))
            .replace("$other", &self.world.id(self.other.0))
            .replace("$foreign", &self.world.id(self.foreign.0))
    }

    /// What `builder` is answered for every name: the values, or the code of the refusal.
    async fn resolved(&self) -> Result<Vec<String>, &'static str> {
        let question = AgentQuestion { names: None, ..agent_asks("builder", &[]) };
        match self.world.vault.agents().resolve(&runtime("acme-runtime"), tool_asks(question)).await {
            Ok(found) => Ok(found
                .secrets
                .iter()
                .map(|answer| {
                    let value = answer.value.as_ref().map_or("-", |value| value.expose_secret());
                    format!("{}={value}", answer.name)
                })
                .collect()),
            Err(error) => Err(error.code().as_str()),
        }
    }

    async fn failures(&self) -> i64 {
        let sql = "SELECT count(*) AS n FROM audit_events WHERE outcome = 'FAILED' AND reason = 'INTERNAL'";
        self.world.number(sql).await
    }

    async fn released(&self) -> i64 {
        let sql = "SELECT count(*) AS n FROM audit_events WHERE outcome = 'ALLOWED' AND action = 'SECRET_RESOLVED'";
        self.world.number(sql).await
    }
}

/// A change by hand, and the one that takes it back. Each alone must stop the resolve.
const CHANGES: &[(&str, &str)] = &[
    ("UPDATE entries SET name = 'NAME' WHERE id = $token", "UPDATE entries SET name = 'TOKEN' WHERE id = $token"),
    (
        "UPDATE entries SET category = 'PASSWORD' WHERE id = $token",
        "UPDATE entries SET category = 'API_KEY' WHERE id = $token",
    ),
    (
        "UPDATE entries SET expires_at = 99999999999999 WHERE id = $token",
        "UPDATE entries SET expires_at = NULL WHERE id = $token",
    ),
    (
        "UPDATE entries SET disabled = NOT disabled WHERE id = $token",
        "UPDATE entries SET disabled = NOT disabled WHERE id = $token",
    ),
    (
        "UPDATE entries SET current_version = 1 WHERE id = $token",
        "UPDATE entries SET current_version = 2 WHERE id = $token",
    ),
    (
        "UPDATE entries SET revision = revision + 1 WHERE id = $token",
        "UPDATE entries SET revision = revision - 1 WHERE id = $token",
    ),
    (
        "UPDATE entries SET milestone_id = NULL WHERE name = 'PHASED'",
        "UPDATE entries SET milestone_id = 'demo-launch' WHERE name = 'PHASED'",
    ),
    (
        "UPDATE versions SET ciphertext_version = 1 WHERE entry_id = $token AND version = 2",
        "UPDATE versions SET ciphertext_version = 2 WHERE entry_id = $token AND version = 2",
    ),
    (
        "UPDATE versions SET restored_from = 1 WHERE entry_id = $token AND version = 2",
        "UPDATE versions SET restored_from = NULL WHERE entry_id = $token AND version = 2",
    ),
    (
        "UPDATE versions SET not_after = 5 WHERE entry_id = $token AND version = 2",
        "UPDATE versions SET not_after = NULL WHERE entry_id = $token AND version = 2",
    ),
    (
        "UPDATE entries SET deleted_at = NULL WHERE name = 'GONE'",
        "UPDATE entries SET deleted_at = 1893456000000 WHERE name = 'GONE'",
    ),
    (
        "UPDATE entries SET project_id = 'demo', data_key_id = (SELECT id FROM data_keys WHERE project_id = 'demo'), name = 'MOVED' WHERE id = $foreign",
        "UPDATE entries SET project_id = 'other', data_key_id = (SELECT id FROM data_keys WHERE project_id = 'other'), name = 'TOKEN' WHERE id = $foreign",
    ),
];

/// What is copied from one row over another's: from which, into which, on what.
const SWAPS: &[(&str, &str)] = &[
    (
        "a ciphertext of another entry",
        "UPDATE ciphertexts SET value = (SELECT value FROM ciphertexts WHERE entry_id = $other) WHERE entry_id = $token AND version = 2",
    ),
    (
        "a ciphertext of another project",
        "UPDATE ciphertexts SET value = (SELECT value FROM ciphertexts WHERE entry_id = $foreign) WHERE entry_id = $token AND version = 2",
    ),
    (
        "a ciphertext of another version",
        "UPDATE ciphertexts SET value = (SELECT value FROM ciphertexts WHERE entry_id = $token AND version = 1) WHERE entry_id = $token AND version = 2",
    ),
    ("a hint for a value", "UPDATE ciphertexts SET value = hint WHERE entry_id = $token AND version = 2"),
    (
        "a MAC of another entry",
        "UPDATE entries SET mac = (SELECT mac FROM entries WHERE id = $other) WHERE id = $token",
    ),
    (
        "a MAC of another version",
        "UPDATE versions SET mac = (SELECT mac FROM versions WHERE entry_id = $token AND version = 1) WHERE entry_id = $token AND version = 2",
    ),
    (
        "a data key of another project",
        "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE project_id = 'other') WHERE project_id = 'demo'",
    ),
    (
        "a value cut short",
        "UPDATE ciphertexts SET value = substr(value, 1, 20) WHERE entry_id = $token AND version = 2",
    ),
];

both! {
    async fn a_row_changed_by_hand_stops_the_resolve_and_is_recorded(world: World) {
        let scene = Scene::new(world).await;
        let whole = scene.resolved().await;
        assert_eq!(whole, Ok(vec!["OTHER=another entry's".to_owned(), "TOKEN=the second value".to_owned()]));
        for (change, back) in CHANGES {
            let (failures, released) = (scene.failures().await, scene.released().await);
            assert_eq!(scene.world.sql(&scene.sql(change)).await, Ok(1), "{change}");
            assert_eq!(scene.resolved().await, Err("INTERNAL"), "{change}");
            assert_eq!(scene.failures().await, failures + 1, "{change}");
            assert_eq!(scene.released().await, released, "{change}");
            scene.world.sql(&scene.sql(back)).await.unwrap();
            assert_eq!(scene.resolved().await, whole, "{back}");
        }
    }

    async fn what_is_copied_from_another_row_stops_the_resolve(world: World) {
        let scene = Scene::new(world).await;
        for (what, swap) in SWAPS {
            let columns = ["entries.mac", "versions.mac", "ciphertexts.value", "data_keys.wrapped"];
            for column in columns {
                let (table, column) = column.split_once('.').unwrap();
                let sql = format!("CREATE TABLE kept_{table}_{column} AS SELECT * FROM {table}");
                scene.world.sql(&sql).await.unwrap();
            }
            let released = scene.released().await;
            assert!(scene.world.sql(&scene.sql(swap)).await.unwrap() >= 1, "{what}");
            assert_eq!(scene.resolved().await, Err("INTERNAL"), "{what}");
            assert_eq!(scene.released().await, released, "{what}");
            for (table, column, key) in [
                ("entries", "mac", "kept.id = entries.id"),
                ("versions", "mac", "kept.entry_id = versions.entry_id AND kept.version = versions.version"),
                ("ciphertexts", "value", "kept.entry_id = ciphertexts.entry_id AND kept.version = ciphertexts.version"),
                ("data_keys", "wrapped", "kept.id = data_keys.id"),
            ] {
                let sql = format!("UPDATE {table} SET {column} = (SELECT {column} FROM kept_{table}_{column} AS kept WHERE {key})");
                scene.world.sql(&sql).await.unwrap();
                scene.world.sql(&format!("DROP TABLE kept_{table}_{column}")).await.unwrap();
            }
            assert!(scene.resolved().await.is_ok(), "{what} was not taken back");
        }
    }

    async fn a_row_changed_by_hand_is_not_signed_anew_by_a_change(world: World) {
        let scene = Scene::new(world).await;
        let disable = "UPDATE entries SET name = 'FORGED' WHERE id = $token";
        scene.world.sql(&scene.sql(disable)).await.unwrap();
        let rotation = Rotation {
            id: scene.token.to_string(),
            value: "v".into(),
            expires_at: Change::Keep,
            expected_revision: None,
        };
        let refused = scene.world.vault.entries().rotate(&user("bob"), rotation).await.err().map(|error| error.code().as_str());
        assert_eq!(refused, Some("INTERNAL"));
        let refused = scene.world.vault.entries().disable(&user("bob"), scene.token.to_string()).await.err();
        assert_eq!(refused.map(|error| error.code().as_str()), Some("INTERNAL"));
    }

    async fn a_hint_of_another_entry_is_not_shown(world: World) {
        let scene = Scene::new(world).await;
        let swap = "UPDATE ciphertexts SET hint = (SELECT hint FROM ciphertexts WHERE entry_id = $other) WHERE entry_id = $token";
        scene.world.sql(&scene.sql(swap)).await.unwrap();
        let query = "{ projectVault(projectId: \"demo\") { entry(name: \"TOKEN\") { name maskedValue } } }";
        let answer = scene.world.ask(&user("carol"), query, serde_json::json!({})).await;
        assert_eq!(answer.codes(), ["INTERNAL"]);
        assert_eq!(*answer.at("/projectVault/entry/name"), serde_json::json!("TOKEN"), "the rest of the response stands");
        assert!(answer.at("/projectVault/entry/maskedValue").is_null());
    }

    async fn nothing_of_a_value_is_in_the_database(world: World) {
        let scene = Scene::new(world).await;
        let stored = scene.world.stored_bytes().await;
        let holds = |part: &[u8]| stored.windows(part.len()).any(|window| window == part);
        assert!(holds(b"demo-launch"), "the database was not read");
        for part in ["the first value", "the second", "second value", "another entry", "milestone's"] {
            let hex = part.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
            assert!(!holds(part.as_bytes()) && !holds(hex.as_bytes()), "{part:?} is in the database");
        }
    }
}
