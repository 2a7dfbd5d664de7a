//! Entries: what may be stored, how it is masked, changed and brought back (`product.md`, section
//! 3).

use crate::support::{Answer, World, agent_asks, entry, runtime, tool_asks, user};
use project_vault::domain::Clock as _;
use project_vault::vault::{Change, NewEntry, Rotation};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

const CREATE: &str = "mutation($i: CreateVaultEntryInput!) { createVaultEntry(input: $i) { userErrors { code field message }
    entry { id name status version revision maskedValue expiresAt scope milestone { id } certificate { subject fingerprint notAfter } } } }";
const UPDATE: &str = "mutation($i: UpdateVaultEntryInput!) { updateVaultEntry(input: $i) { userErrors { code field }
    entry { id name status revision description category expiresAt rotationIntervalDays maskedValue } } }";
const ROTATE: &str = "mutation($i: RotateVaultEntryInput!) { rotateVaultEntry(input: $i) { userErrors { code field }
    entry { id status version revision maskedValue expiresAt } } }";
const ROLLBACK: &str =
    "mutation($i: RollbackVaultEntryInput!) { rollbackVaultEntry(input: $i) { userErrors { code field }
    entry { version status maskedValue expiresAt versions { nodes { version restoredFrom maskedValue } } } } }";
const IMPORT: &str =
    "mutation($i: ImportVaultEntriesInput!) { importVaultEntries(input: $i) { userErrors { code field message }
    created { name maskedValue } rotated { name version } skipped } }";

fn on_entry(mutation: &str) -> String {
    format!("mutation($e: ID!) {{ {mutation}(id: $e) {{ userErrors {{ code field }} entry {{ status revision }} }} }}")
}

fn input(more: Value) -> Value {
    let mut input =
        json!({ "projectId": "demo", "name": "TOKEN", "value": "sk-live-0123456789abc", "category": "API_KEY" });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "i": input })
}

async fn create(world: &World, more: Value) -> Answer {
    world.ask(&user("bob"), CREATE, input(more)).await
}

async fn made(world: &World, more: Value) -> Value {
    create(world, more).await.done("createVaultEntry", "entry").clone()
}

async fn change(world: &World, document: &str, input: Value) -> Answer {
    world.ask(&user("bob"), document, json!({ "i": input })).await
}

async fn as_alice(world: &World, mutation: &str, id: &Value) -> Answer {
    world.ask(&user("alice"), &on_entry(mutation), json!({ "e": id })).await
}

both! {
    async fn an_entry_is_created_masked(world: World) {
        world.demo().await;
        let entry = made(&world, json!({ "milestoneId": "demo-launch" })).await;
        assert_eq!(entry["maskedValue"], "sk-****abc");
        assert_eq!(
            (&entry["status"], &entry["version"], &entry["revision"], &entry["scope"], &entry["milestone"]["id"]),
            (&json!("ACTIVE"), &json!(1), &json!(1), &json!("MILESTONE"), &json!("demo-launch"))
        );
    }

    async fn what_breaks_a_rule_is_told_with_its_field_and_nothing_is_written(world: World) {
        world.demo().await;
        let big = "x".repeat(64 * 1024 + 1);
        let long = "x".repeat(2_001);
        for (more, code, field) in [
            (json!({ "name": "" }), "INVALID_INPUT", json!(["input", "name"])),
            (json!({ "name": "1A" }), "INVALID_INPUT", json!(["input", "name"])),
            (json!({ "name": "ld_preload" }), "INVALID_INPUT", json!(["input", "name"])),
            (json!({ "value": "" }), "INVALID_INPUT", json!(["input", "value"])),
            (json!({ "value": "a\u{0}b" }), "INVALID_INPUT", json!(["input", "value"])),
            (json!({ "value": big }), "LIMIT_EXCEEDED", json!(["input", "value"])),
            (json!({ "category": "CERTIFICATE" }), "INVALID_INPUT", json!(["input", "value"])),
            (json!({ "description": long }), "LIMIT_EXCEEDED", json!(["input", "description"])),
            (json!({ "expiresAt": "2029-12-31T23:59:59Z" }), "INVALID_INPUT", json!(["input", "expiresAt"])),
            (json!({ "expiresAt": "2030-01-01T00:00:00Z" }), "INVALID_INPUT", json!(["input", "expiresAt"])),
            (json!({ "rotationIntervalDays": 0 }), "INVALID_INPUT", json!(["input", "rotationIntervalDays"])),
            (json!({ "rotationIntervalDays": 3651 }), "INVALID_INPUT", json!(["input", "rotationIntervalDays"])),
            (json!({ "milestoneId": "nowhere" }), "NOT_FOUND", json!(null)),
            (json!({ "milestoneId": "no such id" }), "NOT_FOUND", json!(null)),
            (json!({ "projectId": "no such id" }), "INVALID_INPUT", json!(["input", "projectId"])),
        ] {
            let answer = create(&world, more.clone()).await;
            assert_eq!(answer.user_error("createVaultEntry"), (code, &field), "{more}");
        }
        let rows = world.number("SELECT count(*) AS n FROM entries").await;
        let events = world.number("SELECT count(*) AS n FROM audit_events WHERE action = 'ENTRY_CREATED'").await;
        assert_eq!((rows, events), (0, 0), "input that is refused is no event");
    }

    async fn a_name_is_taken_once_a_scope(world: World) {
        world.demo().await;
        let first = made(&world, json!({})).await;
        assert_eq!(create(&world, json!({})).await.user_error("createVaultEntry").0, "CONFLICT");
        made(&world, json!({ "name": "token" })).await;
        made(&world, json!({ "milestoneId": "demo-launch" })).await;
        let other = create(&world, json!({ "milestoneId": "demo-launch" })).await;
        assert_eq!(other.user_error("createVaultEntry").0, "CONFLICT");
        as_alice(&world, "deleteVaultEntry", &first["id"]).await.done("deleteVaultEntry", "entry");
        made(&world, json!({})).await;
        assert_eq!(as_alice(&world, "restoreVaultEntry", &first["id"]).await.user_error("restoreVaultEntry").0, "CONFLICT");
    }

    async fn of_ten_creations_of_one_name_at_once_one_wins(world: World) {
        world.demo().await;
        let answers = futures::future::join_all((0..10).map(|_| create(&world, json!({})))).await;
        let won = answers.iter().filter(|answer| !answer.at("/createVaultEntry/entry").is_null()).count();
        let lost = answers.iter().filter(|answer| answer.at("/createVaultEntry/userErrors/0/code") == "CONFLICT").count();
        assert_eq!((won, lost), (1, 9));
    }

    async fn of_ten_changes_of_one_revision_at_once_one_wins(world: World) {
        world.demo().await;
        let id = made(&world, json!({})).await["id"].clone();
        let rotate = |n: usize| change(&world, ROTATE, json!({ "id": id, "value": format!("v{n}"), "expectedRevision": 1 }));
        let answers = futures::future::join_all((0..10).map(rotate)).await;
        let won = answers.iter().filter(|answer| answer.at("/rotateVaultEntry/entry/version") == 2).count();
        let lost = answers.iter().filter(|answer| answer.at("/rotateVaultEntry/userErrors/0/code") == "CONFLICT").count();
        assert_eq!((won, lost), (1, 9));
    }

    async fn an_update_changes_what_it_names_and_no_more(world: World) {
        world.demo().await;
        let id = made(&world, json!({ "description": "d", "rotationIntervalDays": 7 })).await["id"].clone();
        let same = change(&world, UPDATE, json!({ "id": id, "description": "d", "name": "TOKEN" })).await;
        assert_eq!(same.done("updateVaultEntry", "entry")["revision"], 1, "what changes nothing leaves the revision alone");
        let events = world.number("SELECT count(*) AS n FROM audit_events WHERE action = 'ENTRY_UPDATED'").await;
        assert_eq!(events, 0);
        let cleared = change(&world, UPDATE, json!({ "id": id, "description": null, "rotationIntervalDays": null })).await;
        let entry = cleared.done("updateVaultEntry", "entry");
        assert_eq!((&entry["description"], &entry["rotationIntervalDays"], &entry["name"]), (&json!(null), &json!(null), &json!("TOKEN")));
        let renamed = change(&world, UPDATE, json!({ "id": id, "name": "RENAMED", "category": "PASSWORD", "expectedRevision": 2 })).await;
        let entry = renamed.done("updateVaultEntry", "entry");
        assert_eq!((&entry["name"], &entry["maskedValue"], &entry["revision"]), (&json!("RENAMED"), &json!("****"), &json!(3)));
        let expired = change(&world, UPDATE, json!({ "id": id, "expiresAt": "2001-01-01T00:00:00Z" })).await;
        let entry = expired.done("updateVaultEntry", "entry");
        assert_eq!((&entry["status"], &entry["expiresAt"]), (&json!("EXPIRED"), &json!("2030-01-01T00:00:00.000Z")));
        for (input, code, field) in [
            (json!({ "name": null }), "INVALID_INPUT", json!(["input", "name"])),
            (json!({ "category": null }), "INVALID_INPUT", json!(["input", "category"])),
            (json!({ "category": "CERTIFICATE" }), "INVALID_INPUT", json!(["input", "category"])),
            (json!({ "expectedRevision": 1, "description": "x" }), "CONFLICT", json!(null)),
        ] {
            let mut input = input;
            input["id"] = id.clone();
            assert_eq!(change(&world, UPDATE, input.clone()).await.user_error("updateVaultEntry"), (code, &field), "{input}");
        }
        for id in ["nonsense", "018f0000-0000-7000-8000-000000000000"] {
            let answer = change(&world, UPDATE, json!({ "id": id, "description": "x" })).await;
            assert_eq!(answer.user_error("updateVaultEntry").0, "NOT_FOUND");
        }
    }

    async fn rotating_an_expired_entry_needs_an_expiry(world: World) {
        world.demo().await;
        let id = made(&world, json!({ "expiresAt": "2030-01-02T00:00:00Z" })).await["id"].clone();
        world.clock.advance(2 * DAY);
        let kept = change(&world, ROTATE, json!({ "id": id, "value": "v" })).await;
        assert_eq!(kept.user_error("rotateVaultEntry"), ("INVALID_INPUT", &json!(["input", "expiresAt"])));
        let past = change(&world, ROTATE, json!({ "id": id, "value": "v", "expiresAt": "2030-01-02T00:00:00Z" })).await;
        assert_eq!(past.user_error("rotateVaultEntry"), ("INVALID_INPUT", &json!(["input", "expiresAt"])));
        let never = change(&world, ROTATE, json!({ "id": id, "value": "v", "expiresAt": null })).await;
        let entry = never.done("rotateVaultEntry", "entry");
        assert_eq!((&entry["status"], &entry["expiresAt"], &entry["version"]), (&json!("ACTIVE"), &json!(null), &json!(2)));
    }

    async fn the_last_ten_versions_are_kept_and_any_of_them_comes_back(world: World) {
        world.demo().await;
        let id = made(&world, json!({ "value": "value-number-000001-aaa" })).await["id"].clone();
        for n in 2..=11 {
            let rotated = change(&world, ROTATE, json!({ "id": id, "value": format!("{n:03}-value-number-{n:03}") })).await;
            rotated.done("rotateVaultEntry", "entry");
        }
        let gone = change(&world, ROLLBACK, json!({ "id": id, "version": 1 })).await;
        assert_eq!(gone.user_error("rollbackVaultEntry").0, "NOT_FOUND");
        let current = change(&world, ROLLBACK, json!({ "id": id, "version": 11 })).await;
        assert_eq!(current.user_error("rollbackVaultEntry"), ("INVALID_INPUT", &json!(["input", "version"])));
        let back = change(&world, ROLLBACK, json!({ "id": id, "version": 2 })).await;
        let entry = back.done("rollbackVaultEntry", "entry");
        assert_eq!((&entry["version"], &entry["maskedValue"]), (&json!(12), &json!("002****002")));
        let versions = entry["versions"]["nodes"].as_array().unwrap();
        assert_eq!(versions.len(), 10);
        assert_eq!(versions[0], json!({ "version": 12, "restoredFrom": 2, "maskedValue": "002****002" }));
        assert_eq!(versions[9]["version"], 3);
        // Version 2 is gone by now, but what version 12 refers to is not.
        let acme = runtime("acme-runtime");
        let asked = tool_asks(agent_asks("builder", &["TOKEN"]));
        let found = world.vault.agents().resolve(&acme, asked).await.unwrap().secrets;
        let value = found[0].value.as_ref().map(secrecy::ExposeSecret::expose_secret);
        assert_eq!(value, Some("002-value-number-002"));
        let kept = world.number("SELECT count(*) AS n FROM ciphertexts").await;
        assert_eq!(kept, 10, "versions 3 to 11, and what 12 refers to");
    }

    async fn an_entry_is_switched_deleted_restored_and_purged(world: World) {
        world.demo().await;
        let id = made(&world, json!({})).await["id"].clone();
        let step = async |mutation: &str| as_alice(&world, mutation, &id).await.done(mutation, "entry").clone();
        assert_eq!(step("disableVaultEntry").await, json!({ "status": "DISABLED", "revision": 2 }));
        assert_eq!(step("disableVaultEntry").await, json!({ "status": "DISABLED", "revision": 2 }));
        let rotated = change(&world, ROTATE, json!({ "id": id, "value": "v" })).await;
        assert_eq!(rotated.done("rotateVaultEntry", "entry")["status"], "DISABLED");
        assert_eq!(step("enableVaultEntry").await, json!({ "status": "ACTIVE", "revision": 4 }));
        assert_eq!(as_alice(&world, "restoreVaultEntry", &id).await.user_error("restoreVaultEntry").0, "CONFLICT");
        assert_eq!(step("deleteVaultEntry").await, json!({ "status": "DELETED", "revision": 5 }));
        assert_eq!(step("deleteVaultEntry").await, json!({ "status": "DELETED", "revision": 5 }));
        assert_eq!(as_alice(&world, "disableVaultEntry", &id).await.user_error("disableVaultEntry").0, "CONFLICT");
        assert_eq!(step("restoreVaultEntry").await, json!({ "status": "ACTIVE", "revision": 6 }));
        let purge = "mutation($e: ID!) { purgeVaultEntry(id: $e) { id userErrors { code field } } }";
        let early = world.ask(&user("alice"), purge, json!({ "e": id })).await;
        assert_eq!(early.user_error("purgeVaultEntry").0, "CONFLICT");
        step("deleteVaultEntry").await;
        let purged = world.ask(&user("alice"), purge, json!({ "e": id })).await;
        assert_eq!(*purged.done("purgeVaultEntry", "id"), id);
        for table in ["entries", "versions", "ciphertexts", "entry_usage"] {
            assert_eq!(world.number(&format!("SELECT count(*) AS n FROM {table}")).await, 0, "{table}");
        }
    }

    async fn a_deleted_entry_is_swept_when_its_retention_ends(world: World) {
        world.demo().await;
        let id = made(&world, json!({})).await["id"].clone();
        made(&world, json!({ "name": "KEPT" })).await;
        as_alice(&world, "deleteVaultEntry", &id).await.done("deleteVaultEntry", "entry");
        world.clock.advance(30 * DAY);
        assert_eq!(world.vault.sweeper().sweep().await.unwrap(), 0);
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(world.vault.sweeper().sweep().await.unwrap(), 1);
        assert_eq!(world.number("SELECT count(*) AS n FROM entries").await, 1);
        let sql = "SELECT count(*) AS n FROM audit_events WHERE action = 'ENTRY_PURGED' AND actor = 'system:sweeper'";
        assert_eq!(world.number(sql).await, 1);
    }

    async fn a_certificate_ends_with_its_not_after_and_shows_nothing_of_itself(world: World) {
        world.demo().await;
        let pem = include_str!("../vectors/certificate.pem");
        let entry = made(&world, json!({ "name": "CERT", "category": "CERTIFICATE", "value": pem })).await;
        assert_eq!((&entry["maskedValue"], &entry["expiresAt"]), (&json!("****"), &entry["certificate"]["notAfter"]));
        assert!(entry["certificate"]["subject"].as_str().unwrap().contains("example.test"), "{entry}");
        for (name, spelled) in [
            ("MARKED", format!("\u{feff}{pem}")),
            ("WINDOWS", pem.replace('\n', "\r\n")),
            ("BAGGED", format!("Bag Attributes\n    localKeyID: 01\nsubject=CN = x\n{pem}\n \n")),
            ("OLD_LABEL", pem.replace(" CERTIFICATE-", " X509 CERTIFICATE-")),
            ("TRUSTED", pem.replace(" CERTIFICATE-", " TRUSTED CERTIFICATE-")),
        ] {
            let spelled = made(&world, json!({ "name": name, "category": "CERTIFICATE", "value": spelled })).await;
            assert_eq!(spelled["certificate"], entry["certificate"], "{name}");
        }
        let later = json!({ "name": "LATER", "category": "CERTIFICATE", "value": pem, "expiresAt": "2999-01-01T00:00:00Z" });
        let bounded = made(&world, later).await;
        assert_eq!(bounded["expiresAt"], entry["expiresAt"]);
        let sooner = json!({ "name": "SOONER", "category": "CERTIFICATE", "value": pem, "expiresAt": "2031-01-01T00:00:00Z" });
        assert_eq!(made(&world, sooner).await["expiresAt"], "2031-01-01T00:00:00.000Z");
        let rotated = change(&world, ROTATE, json!({ "id": entry["id"], "value": pem, "expiresAt": null })).await;
        assert_eq!(rotated.done("rotateVaultEntry", "entry")["expiresAt"], entry["expiresAt"]);
        world.clock.advance(DAY * 365 * 100);
        let ended = create(&world, json!({ "name": "ENDED", "category": "CERTIFICATE", "value": pem })).await;
        assert_eq!(ended.user_error("createVaultEntry"), ("INVALID_INPUT", &json!(["input", "value"])));
    }

    async fn a_project_has_at_most_1000_entries(world: World) {
        world.demo().await;
        let lines: String = (0..1_000).map(|n| format!("N{n}=v\n")).collect();
        let input = json!({ "projectId": "demo", "dotenv": lines });
        let imported = change(&world, IMPORT, input).await;
        assert_eq!(imported.done("importVaultEntries", "created").as_array().unwrap().len(), 1_000);
        assert_eq!(create(&world, json!({})).await.user_error("createVaultEntry").0, "LIMIT_EXCEEDED");
        let id = world.ask(&user("alice"), "{ projectVault(projectId: \"demo\") { entry(name: \"N7\") { id } } }", json!({})).await;
        let id = id.ok("/projectVault/entry/id").clone();
        as_alice(&world, "deleteVaultEntry", &id).await.done("deleteVaultEntry", "entry");
        made(&world, json!({})).await;
        let restored = as_alice(&world, "restoreVaultEntry", &id).await;
        assert_eq!(restored.user_error("restoreVaultEntry").0, "LIMIT_EXCEEDED");
    }

    async fn an_import_is_all_or_nothing(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TAKEN", "old")).await.unwrap();
        let import = |text: &str, on: &str| {
            change(&world, IMPORT, json!({ "projectId": "demo", "dotenv": text, "onConflict": on }))
        };
        let bad = import("A=1\nB=\n", "FAIL").await;
        assert_eq!(bad.user_error("importVaultEntries"), ("INVALID_INPUT", &json!(["input", "dotenv"])));
        assert!(bad.at("/importVaultEntries/userErrors/0/message").as_str().unwrap().contains("Line 2"));
        assert_eq!(import("A=1\nTAKEN=2\n", "FAIL").await.user_error("importVaultEntries").0, "CONFLICT");
        assert_eq!(import("A=1\nA=2\n", "FAIL").await.user_error("importVaultEntries").0, "INVALID_INPUT");
        assert_eq!(world.number("SELECT count(*) AS n FROM entries").await, 1, "nothing was written");
        let skipped = import("A=1\nTAKEN=2\n", "SKIP").await;
        assert_eq!(*skipped.done("importVaultEntries", "skipped"), json!(["TAKEN"]));
        assert_eq!(skipped.at("/importVaultEntries/created").as_array().unwrap().len(), 1);
        let rotated = import("export B='$HOME'\nTAKEN=\"old\"\n", "ROTATE").await;
        assert_eq!(*rotated.done("importVaultEntries", "rotated"), json!([{ "name": "TAKEN", "version": 2 }]));
    }

    async fn an_old_value_rolled_back_to_stays_expired(world: World) {
        world.demo().await;
        let ends = world.clock.now().plus(DAY);
        let id = world.vault.entries().create(&user("bob"), NewEntry { expires_at: Some(ends), ..entry("TOKEN", "v") }).await;
        let id = id.unwrap().id.to_string();
        let rotation = Rotation { id: id.clone(), value: "w".into(), expires_at: Change::Keep, expected_revision: None };
        world.vault.entries().rotate(&user("bob"), rotation).await.unwrap();
        world.clock.advance(DAY);
        let back = change(&world, ROLLBACK, json!({ "id": id, "version": 1 })).await;
        assert_eq!(back.done("rollbackVaultEntry", "entry")["status"], "EXPIRED");
    }

    async fn an_entry_whose_counters_are_gone_is_there_and_counted_from_zero(world: World) {
        world.demo().await;
        let id = made(&world, json!({})).await["id"].clone();
        world.sql("DELETE FROM entry_usage").await.unwrap();
        let query = "query($e: ID!) { vaultEntry(id: $e) { name resolveCount lastResolvedAt }
            projectVault(projectId: \"demo\") { entries { totalCount nodes { name resolveCount } } } }";
        let shown = world.ask(&user("alice"), query, json!({ "e": id })).await;
        assert_eq!(*shown.ok("/vaultEntry"), json!({ "name": "TOKEN", "resolveCount": 0, "lastResolvedAt": null }));
        let nodes = shown.at("/projectVault/entries/nodes");
        assert_eq!(*nodes, json!([{ "name": "TOKEN", "resolveCount": 0 }]));
        let renamed = change(&world, UPDATE, json!({ "id": id, "name": "RENAMED" })).await;
        assert_eq!(renamed.done("updateVaultEntry", "entry")["name"], "RENAMED");
        for count in 1..=2 {
            let asked = tool_asks(agent_asks("builder", &["RENAMED"]));
            world.vault.agents().resolve(&runtime("acme-runtime"), asked).await.unwrap();
            let shown = world.ask(&user("alice"), query, json!({ "e": id })).await;
            assert_eq!(*shown.ok("/vaultEntry/resolveCount"), json!(count));
            assert!(shown.at("/vaultEntry/lastResolvedAt").is_string());
        }
    }

    async fn a_deleted_entry_does_not_exist_for_who_may_only_write(world: World) {
        world.demo().await;
        let id = made(&world, json!({})).await["id"].clone();
        let as_alice = as_alice(&world, "deleteVaultEntry", &id).await;
        as_alice.done("deleteVaultEntry", "entry");
        for (mutation, document, input) in [
            ("updateVaultEntry", UPDATE, json!({ "id": id, "description": "x" })),
            ("rotateVaultEntry", ROTATE, json!({ "id": id, "value": "w" })),
            ("rollbackVaultEntry", ROLLBACK, json!({ "id": id, "version": 1 })),
        ] {
            assert_eq!(change(&world, document, input).await.user_error(mutation).0, "NOT_FOUND", "{mutation}");
        }
        for mutation in ["disableVaultEntry", "enableVaultEntry"] {
            let refused = world.ask(&user("bob"), &on_entry(mutation), json!({ "e": id })).await;
            assert_eq!(refused.user_error(mutation).0, "NOT_FOUND", "{mutation}");
        }
    }
}
