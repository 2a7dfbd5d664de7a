//! Data keys of projects: replaced, with everything re-encrypted, and the old ones gone.

use super::{EVENTS, Ringed, demo, operator, rotate, value};
use crate::support::{World, agent_asks, entry, new_project, runtime, service, tool_asks, user};
use project_vault::vault::Rollback;
use serde_json::json;

const KEYS: &str = "SELECT count(*) AS n FROM data_keys";

fn wrapped_hex(world: &World) -> String {
    let column = match world.backend {
        crate::support::Backend::Sqlite => "hex(wrapped)",
        crate::support::Backend::Postgres => "encode(wrapped, 'hex')",
    };
    format!("SELECT lower({column}) AS t FROM data_keys WHERE project_id = 'demo'")
}

fn holds(bytes: &[u8], hex: &str) -> bool {
    let raw = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    has(&raw) || has(hex.as_bytes()) || has(hex.to_uppercase().as_bytes())
}

both! {
    async fn a_project_gets_a_new_data_key_and_everything_is_under_it(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "first value")]).await;
        let (world, bob) = (&ringed.world, user("bob"));
        let vault = &world.vault;
        let page = "{ projectVault(projectId: \"demo\") { entries { edges { node { id name version revision maskedValue updatedAt
                    versions { nodes { version maskedValue restoredFrom } } } } } } }";
        let made = vault.entries().create(&bob, entry("OTHER", "sk-live-0123456789abc")).await.unwrap();
        let made = made.id.to_string();
        for number in 2..=4 {
            rotate(vault, &made, &format!("sk-live-{number}-0123456789abc")).await.unwrap();
        }
        let back = Rollback { id: made.clone(), version: 2, expected_revision: None };
        vault.entries().roll_back(&bob, back).await.unwrap();
        let deleted = vault.entries().create(&bob, entry("GONE", "of a deleted entry")).await.unwrap();
        vault.entries().delete(&user("alice"), deleted.id.to_string()).await.unwrap();
        let before = world.ask(&bob, page, json!({})).await;
        let old = world.text(&wrapped_hex(world)).await;
        assert!(holds(&world.stored_bytes().await, &old), "the search finds what is there");

        let replaced = ringed.server().rotation().replace_data_keys(&operator(), &demo(), &|_, _| {}).await.unwrap();
        assert_eq!((replaced.projects, replaced.entries, replaced.erased, replaced.left.len()), (1, 3, 1, 0));
        assert_eq!((world.number(KEYS).await, world.number(EVENTS).await), (1, 1));
        assert!(!holds(&world.stored_bytes().await, &old), "the old data key is gone from the database's files");
        let after = world.ask(&bob, page, json!({})).await;
        let (mut was, mut is) = (before.0, after.0);
        let edges = "/data/projectVault/entries/edges";
        let pairs = was.pointer_mut(edges).unwrap().as_array_mut().unwrap().iter_mut();
        for (was, is) in pairs.zip(is.pointer_mut(edges).unwrap().as_array_mut().unwrap()) {
            let [was, is] = [was, is].map(|edge| edge["node"]["revision"].take().as_i64().unwrap());
            assert_eq!(is, was + 1, "the rows under the old key are old ones");
        }
        assert_eq!(was, is, "nothing else changed");
        assert_eq!(value(vault, "TOKEN").await, "first value");
        assert_eq!(value(vault, "OTHER").await, "sk-live-2-0123456789abc");
        let back = Rollback { id: made.clone(), version: 1, expected_revision: None };
        vault.entries().roll_back(&bob, back).await.unwrap();
        assert_eq!(value(vault, "OTHER").await, "sk-live-0123456789abc");
        vault.entries().restore(&user("alice"), deleted.id.to_string()).await.unwrap();
        assert_eq!(value(vault, "GONE").await, "of a deleted entry");
        // Five ciphertexts moved: one of TOKEN, four of OTHER, one of GONE; the rollback seals
        // nothing.
        assert_eq!(world.number("SELECT sealed AS n FROM data_keys").await, 6);
    }

    async fn an_interrupted_replacement_is_gone_on_with(world: World) {
        let ringed = Ringed::with(world, &[]).await;
        let (world, bob) = (&ringed.world, user("bob"));
        for number in 0..12 {
            world.vault.entries().create(&bob, entry(&format!("N{number}"), "a value")).await.unwrap();
        }
        // Dropped in the midst of its work.
        let server = ringed.server();
        let by = operator();
        let (told, mut some_done) = tokio::sync::mpsc::unbounded_channel();
        let progress = move |done, _| {
            let _ = told.send(done);
        };
        let project = demo();
        tokio::select! {
            biased;
            () = async { while some_done.recv().await.is_some_and(|done| done < 4) {} } => {}
            _ = server.rotation().replace_data_keys(&by, &project, &progress) => panic!("it was faster"),
        }
        let under_new = "SELECT count(*) AS n FROM entries JOIN data_keys ON data_keys.id = data_key_id WHERE encrypting";
        let done = world.number(under_new).await;
        assert!((1..12).contains(&done), "{done}");
        assert_eq!((world.number(KEYS).await, world.number(EVENTS).await), (2, 0));
        for number in 0..12 {
            assert_eq!(value(&world.vault, &format!("N{number}")).await, "a value");
        }
        let status = ringed.status().await;
        assert_eq!(status.data_keys.outgoing, 1);
        let replaced = ringed.server().rotation().replace_data_keys(&operator(), &demo(), &|_, _| {}).await.unwrap();
        assert_eq!(i64::try_from(replaced.entries).unwrap() + done, 12, "nothing is done twice");
        assert_eq!((world.number(KEYS).await, world.number(EVENTS).await), (1, 1));
    }

    async fn every_project_gets_a_new_data_key_once_even_if_it_takes_two_runs(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "a value")]).await;
        let world = &ringed.world;
        for id in ["a", "z"] {
            let new = new_project(id, "alice");
            world.vault.projects().register(&service("platform"), new).await.unwrap();
        }
        let keys = async || world.text("SELECT CAST(count(DISTINCT wrapped) AS TEXT) AS t FROM data_keys").await;
        assert_eq!(keys().await, "3");
        let server = ringed.server();
        let by = operator();
        let (told, mut one_done) = tokio::sync::mpsc::unbounded_channel();
        let progress = move |done, _| {
            let _ = told.send(done);
        };
        tokio::select! {
            biased;
            () = async { while one_done.recv().await.is_some_and(|done| done < 1) {} } => {}
            _ = server.rotation().replace_all_data_keys(&by, &progress) => panic!("it was faster"),
        }
        let events = world.number(EVENTS).await;
        assert!((1..3).contains(&events), "{events}");
        let replaced = ringed.server().rotation().replace_all_data_keys(&operator(), &|_, _| {}).await.unwrap();
        assert_eq!(i64::try_from(replaced.projects).unwrap() + events, 3, "what was done is not done again");
        assert_eq!((world.number(EVENTS).await, world.number(KEYS).await), (3, 3));
        let replaced = ringed.server().rotation().replace_all_data_keys(&operator(), &|_, _| {}).await.unwrap();
        assert_eq!((replaced.projects, replaced.erased), (3, 3), "another run replaces all again");
        assert_eq!(value(&world.vault, "TOKEN").await, "a value");
    }

    async fn a_forged_entry_is_left_under_its_old_key_and_named(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "a value"), ("FORGED", "another")]).await;
        let world = &ringed.world;
        world.sql("UPDATE entries SET name = 'RENAMED' WHERE name = 'FORGED'").await.unwrap();
        for _ in 0..2 {
            let replaced = ringed.server().rotation().replace_data_keys(&operator(), &demo(), &|_, _| {}).await.unwrap();
            assert_eq!((replaced.projects, replaced.entries, replaced.left.len()), (0, 1, 1));
        }
        assert_eq!(world.number(EVENTS).await, 0, "it is not done");
        let asked = tool_asks(agent_asks("builder", &["RENAMED"]));
        assert!(world.vault.agents().resolve(&runtime("acme-runtime"), asked).await.is_err());
        assert_eq!(value(&world.vault, "TOKEN").await, "a value");
        world.sql("UPDATE entries SET name = 'FORGED' WHERE name = 'RENAMED'").await.unwrap();
        let replaced = ringed.server().rotation().replace_data_keys(&operator(), &demo(), &|_, _| {}).await.unwrap();
        assert_eq!((replaced.projects, replaced.entries, replaced.left.len()), (1, 2, 0));
        assert_eq!((world.number(KEYS).await, world.number(EVENTS).await), (1, 1));
        assert_eq!(value(&world.vault, "FORGED").await, "another");
    }

    async fn a_project_that_is_not_there_has_no_data_keys(world: World) {
        let ringed = Ringed::with(world, &[]).await;
        let nowhere = project_vault::domain::ProjectId::parse("nowhere").unwrap();
        let refused = ringed.server().rotation().replace_data_keys(&operator(), &nowhere, &|_, _| {}).await.err().unwrap();
        assert_eq!(refused.code().as_str(), "NOT_FOUND");
    }
}
