//! Receipts of releases and erasures, and the list of agents that hold a value.

use crate::support::{World, entry, runtime, service, user};
use jsonwebtoken::jwk::JwkSet;
use project_vault::crypto::{Statement, verify_statement};
use project_vault::vault::{Change, Rollback, Rotation};
use serde_json::{Value, json};

async fn says(world: &World, receipt: &str) -> (Statement, Value) {
    let keys: JwkSet = serde_json::from_value(world.vault.installation().statement_keys().await.unwrap()).unwrap();
    verify_statement(receipt, &keys).unwrap()
}

const RESOLVE: &str = "query($names: [String!]) { resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", names: $names, purpose: TOOL_EXECUTION, tool: \"t\" }) \
    { secrets { name value } receipt } }";

both! {
    async fn a_resolve_is_receipted_without_its_values(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "the value of the token")).await.unwrap();
        let answer = world.ask(&runtime("acme-runtime"), RESOLVE, json!({ "names": ["TOKEN", "NONE"] })).await;
        let receipt = answer.ok("/resolveSecrets/receipt").as_str().unwrap();
        let (kind, said) = says(&world, receipt).await;
        assert_eq!(kind, Statement::ResolveReceipt);
        let event = world.text(match world.backend {
            crate::support::Backend::Sqlite => "SELECT lower(hex(id)) AS t FROM audit_events WHERE action = 'SECRET_RESOLVED' AND outcome = 'ALLOWED'",
            crate::support::Backend::Postgres => "SELECT replace(id::text, '-', '') AS t FROM audit_events WHERE action = 'SECRET_RESOLVED' AND outcome = 'ALLOWED'",
        }).await;
        assert_eq!(said["released"].as_array().unwrap().len(), 1);
        assert_eq!(said["released"][0]["event"].as_str().unwrap().replace('-', ""), event);
        assert_eq!((&said["released"][0]["name"], &said["released"][0]["version"]), (&json!("TOKEN"), &json!(1)));
        assert_eq!((&said["sub"], &said["agent"], &said["project"], &said["tool"]), (&json!("runtime:acme-runtime"), &json!("builder"), &json!("demo"), &json!("t")));
        assert!(!said.to_string().contains("value of"));
    }

    async fn a_deletion_is_receipted_and_repeated_with_the_same_receipt(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let delete = "mutation { deleteProjectVault(projectId: \"demo\") { entriesErased versionsErased receipt } }";
        let answer = world.ask(&service("platform"), delete, json!({})).await;
        let receipt = answer.ok("/deleteProjectVault/receipt").as_str().unwrap().to_owned();
        let (kind, said) = says(&world, &receipt).await;
        assert_eq!(kind, Statement::ErasureReceipt);
        assert_eq!((&said["entries"], &said["versions"], &said["project"]), (&json!(1), &json!(1), &json!("demo")));
        assert_eq!(said["dataKeys"].as_array().unwrap().len(), 1);
        assert_eq!(said["dataKeys"][0]["fingerprint"].as_str().unwrap().len(), 64);
        let again = world.ask(&service("platform"), delete, json!({})).await;
        assert_eq!(again.ok("/deleteProjectVault"), &json!({ "entriesErased": 0, "versionsErased": 0, "receipt": receipt }));
        let never = "mutation { deleteProjectVault(projectId: \"never\") { entriesErased receipt } }";
        let never = world.ask(&service("platform"), never, json!({})).await;
        assert_eq!(never.ok("/deleteProjectVault"), &json!({ "entriesErased": 0, "receipt": null }));
        assert_eq!(world.breaks().await, []);
    }

    async fn exposures_name_who_holds_the_current_version_until_it_is_rotated(world: World) {
        world.demo().await;
        let id = world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap().id.to_string();
        world.vault.entries().create(&user("bob"), entry("UNUSED", "v")).await.unwrap();
        let acme = runtime("acme-runtime");
        world.ask(&acme, RESOLVE, json!({ "names": ["TOKEN"] })).await.ok("/resolveSecrets");
        world.clock.advance(std::time::Duration::from_secs(60));
        world.ask(&acme, RESOLVE, json!({ "names": ["TOKEN"] })).await.ok("/resolveSecrets");
        let list = "{ projectVault(projectId: \"demo\") { entries { nodes { name exposures { agent { id } since lastReceivedAt } } } } }";
        let before = world.statements();
        let answer = world.ask(&user("alice"), list, json!({})).await;
        let nodes = answer.ok("/projectVault/entries/nodes");
        assert_eq!(nodes[0], json!({ "name": "TOKEN", "exposures": [
            { "agent": { "id": "builder" }, "since": "2030-01-01T00:00:00.000Z", "lastReceivedAt": "2030-01-01T00:01:00.000Z" }
        ] }));
        assert_eq!(nodes[1], json!({ "name": "UNUSED", "exposures": [] }));
        // The page, and one more for all its exposures.
        assert!(world.statements() - before <= 4, "{} statements", world.statements() - before);
        let rotation = Rotation { id: id.clone(), value: "w".into(), expires_at: Change::Keep, expected_revision: None };
        world.vault.entries().rotate(&user("bob"), rotation).await.unwrap();
        let answer = world.ask(&user("alice"), list, json!({})).await;
        assert_eq!(answer.ok("/projectVault/entries/nodes/0/exposures"), &json!([]));
        // Who received the old value holds it still, when a rollback brings it back.
        world.vault.entries().roll_back(&user("bob"), Rollback { id, version: 1, expected_revision: None }).await.unwrap();
        let answer = world.ask(&user("alice"), list, json!({})).await;
        assert_eq!(answer.ok("/projectVault/entries/nodes/0/exposures/0/agent/id"), &json!("builder"));
        assert_eq!(world.ask(&user("bob"), list, json!({})).await.codes(), ["FORBIDDEN", "FORBIDDEN"]);
    }
}
