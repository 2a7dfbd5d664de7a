//! `previewVaultImport`: what an import would change.

use crate::support::{World, entry, runtime, service, user};
use project_vault::domain::Category;
use project_vault::vault::{Caller, NewEntry};
use serde_json::{Value, json};
use std::time::Duration;

const PREVIEW: &str = "mutation($i: ImportVaultEntriesInput!) { previewVaultImport(input: $i) \
    { lines { line name change entry { name } message } userErrors { code field message } } }";
const LONG: &str = "sk-live-0123456789abc";

fn input(dotenv: &str, conflict: &str) -> Value {
    json!({ "i": { "projectId": "demo", "dotenv": dotenv, "onConflict": conflict } })
}

/// Line, name and change of each line.
async fn changes(world: &World, caller: &Caller, dotenv: &str, conflict: &str) -> Vec<(u64, String, String)> {
    let answer = world.ask(caller, PREVIEW, input(dotenv, conflict)).await;
    let lines = answer.done("previewVaultImport", "lines").as_array().unwrap().clone();
    let told = lines.iter().map(|line| {
        let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        assert_eq!(line["message"].is_string(), line["change"] == "REFUSED", "{line}");
        (line["line"].as_u64().unwrap(), text("name"), text("change"))
    });
    told.collect()
}

fn told(lines: &[(u64, &str, &str)]) -> Vec<(u64, String, String)> {
    lines.iter().map(|(line, name, change)| (*line, (*name).to_owned(), (*change).to_owned())).collect()
}

async fn create(world: &World, name: &str, value: &str, category: Category) -> String {
    let new = NewEntry { category, ..entry(name, value) };
    world.vault.entries().create(&user("alice"), new).await.unwrap().id.to_string()
}

both! {
    async fn every_line_is_told_what_it_would_change(world: World) {
        world.demo().await;
        create(&world, "SAME", LONG, Category::ApiKey).await;
        create(&world, "OTHER", LONG, Category::ApiKey).await;
        let new = NewEntry {
            expires_at: Some(project_vault::domain::Clock::now(world.clock.as_ref()).plus(Duration::from_secs(60))),
            ..entry("OLD", LONG)
        };
        world.vault.entries().create(&user("alice"), new).await.unwrap();
        world.clock.advance(Duration::from_secs(120));
        let text = format!(
            "# a comment\nNEW=x\nSAME={LONG}\nOTHER=sk-live-9876543210xyz\nOLD=x\nEMPTY=\nNEW=again\nPATH=/bin\n\nLAST='two\nlines'"
        );
        let refused = [(5, "OLD", "REFUSED"), (6, "-", "REFUSED"), (7, "-", "REFUSED"), (8, "-", "REFUSED")];
        for (conflict, same, other) in [("ROTATE", "SAME_MASK", "ROTATE"), ("FAIL", "REFUSED", "REFUSED")] {
            let mut expected = vec![(2, "NEW", "CREATE"), (3, "SAME", same), (4, "OTHER", other)];
            expected.extend(refused);
            expected.push((10, "LAST", "CREATE"));
            assert_eq!(changes(&world, &user("bob"), &text, conflict).await, told(&expected), "{conflict}");
        }
        let skipped = changes(&world, &user("bob"), &format!("SAME={LONG}\nOLD=x\nNEW=x"), "SKIP").await;
        assert_eq!(skipped, told(&[(1, "SAME", "SKIP"), (2, "OLD", "SKIP"), (3, "NEW", "CREATE")]));
        let answer = world.ask(&user("bob"), PREVIEW, input(&format!("SAME={LONG}\nX="), "ROTATE")).await;
        let lines = answer.done("previewVaultImport", "lines");
        assert_eq!(lines[0], json!({ "line": 1, "name": "SAME", "change": "SAME_MASK", "entry": { "name": "SAME" }, "message": null }));
        assert_eq!(lines[1]["message"], "The value is empty; give a value, or leave the line out.");
        assert!(!answer.0.to_string().contains("0123456789"), "no value is in the answer");
    }

    async fn a_preview_is_no_way_to_guess_what_the_mask_hides(world: World) {
        world.demo().await;
        let nineteen = "0123456789012345678";
        for (name, value, category) in [
            ("SHORT", nineteen, Category::ApiKey),
            ("TWENTY", "01234567890123456789", Category::ApiKey),
            ("PASSWORD_OF_DB", LONG, Category::Password),
        ] {
            create(&world, name, value, category).await;
        }
        let expected = told(&[(1, "SHORT", "ROTATE"), (2, "TWENTY", "SAME_MASK"), (3, "PASSWORD_OF_DB", "ROTATE")]);
        // The value itself, and one that differs where the mask hides it.
        for twenty in ["01234567890123456789", "01277777777777777789"] {
            let text = format!("SHORT={nineteen}\nTWENTY={twenty}\nPASSWORD_OF_DB={LONG}");
            assert_eq!(changes(&world, &user("bob"), &text, "ROTATE").await, expected);
        }
    }

    async fn a_preview_writes_one_event_and_no_entry(world: World) {
        world.demo().await;
        let id = create(&world, "SAME", LONG, Category::ApiKey).await;
        let count = "SELECT count(*) AS n FROM entries";
        let entries = world.number(count).await;
        let text = format!("SAME={LONG}\nNEW=x\nBAD=");
        changes(&world, &user("bob"), &text, "ROTATE").await;
        assert_eq!(world.number(count).await, entries);
        let query = "query($e: ID!) { vaultEntry(id: $e) { version revision } vaultAuditEvents(filter: \
            { actions: [IMPORT_PREVIEWED] }) { nodes { actor outcome projectId entryId } } }";
        let answer = world.ask(&user("audrey"), "{ vaultAuditEvents(filter: { actions: [IMPORT_PREVIEWED] }) \
            { nodes { actor outcome projectId entryId } } }", json!({})).await;
        let event = json!([{ "actor": "user:bob", "outcome": "ALLOWED", "projectId": "demo", "entryId": null }]);
        assert_eq!(answer.ok("/vaultAuditEvents/nodes"), &event);
        let answer = world.ask(&user("alice"), query, json!({ "e": id })).await;
        assert_eq!(answer.at("/vaultEntry"), &json!({ "version": 1, "revision": 1 }));
    }

    async fn only_those_who_may_import_see_a_preview_and_denials_are_recorded(world: World) {
        world.demo().await;
        let text = input("A=x", "FAIL");
        for caller in [user("carol"), user("dave"), user("audrey"), service("platform")] {
            let answer = world.ask(&caller, PREVIEW, text.clone()).await;
            assert_eq!((answer.codes(), answer.at("/previewVaultImport")), (vec!["FORBIDDEN"], &Value::Null));
        }
        let missing = json!({ "i": { "projectId": "nowhere", "dotenv": "A=x" } });
        for caller in [user("mallory"), runtime("acme-runtime")] {
            let hidden = world.ask(&caller, PREVIEW, text.clone()).await;
            let missing = world.ask(&caller, PREVIEW, missing.clone()).await;
            assert_eq!(hidden.0["data"], missing.0["data"], "the two look the same");
            assert_eq!(hidden.user_error("previewVaultImport").0, "NOT_FOUND");
        }
        let answer = world.ask(&user("audrey"), "{ vaultAuditEvents(filter: { actions: [IMPORT_PREVIEWED] }) \
            { nodes { actor outcome } } }", json!({})).await;
        let denied = answer.ok("/vaultAuditEvents/nodes").as_array().unwrap();
        assert_eq!(denied.len(), 6, "{denied:?}");
        assert!(denied.iter().all(|event| event["outcome"] == "DENIED"));
    }

    async fn limits_and_scopes_are_those_of_an_import(world: World) {
        world.demo().await;
        let lines = |count: usize| (0..count).map(|n| format!("N{n}=v\n")).collect::<String>();
        let bob = user("bob");
        let answer = world.ask(&bob, PREVIEW, input(&lines(1_001), "FAIL")).await;
        assert_eq!(answer.user_error("previewVaultImport"), ("LIMIT_EXCEEDED", &json!(["input", "dotenv"])));
        create(&world, "A", LONG, Category::Secret).await;
        let answer = world.ask(&bob, PREVIEW, input(&lines(1_000), "FAIL")).await;
        assert_eq!(answer.user_error("previewVaultImport").0, "LIMIT_EXCEEDED", "a project has room for 1,000");
        assert_eq!(changes(&world, &bob, &lines(999), "FAIL").await.len(), 999);
        let of = |milestone: &str| json!({ "i": { "projectId": "demo", "milestoneId": milestone, "dotenv": "A=x", "onConflict": "ROTATE" } });
        let answer = world.ask(&bob, PREVIEW, of("demo-launch")).await;
        assert_eq!(answer.done("previewVaultImport", "lines/0/change"), "CREATE", "another scope");
        assert_eq!(world.ask(&bob, PREVIEW, of("nowhere")).await.user_error("previewVaultImport").0, "NOT_FOUND");
        let answer = world.ask(&bob, PREVIEW, json!({ "i": { "projectId": "a b", "dotenv": "A=x" } })).await;
        assert_eq!(answer.user_error("previewVaultImport"), ("INVALID_INPUT", &json!(["input", "projectId"])));
    }
}
