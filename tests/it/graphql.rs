//! The API as gateways and hostile clients meet it.

use crate::support::{entry, runtime, service, user};
use serde_json::{Value, json};

const ENTITIES: &str =
    "query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on Project { id vault { status } }
    ... on Milestone { id vaultPhase { open } } ... on VaultEntry { id name maskedValue } } }";

both! {
    async fn each_representation_is_answered_by_itself(world: World) {
        world.demo().await;
        let id = world.vault.entries().create(&user("bob"), entry("TOKEN", "sk-live-0123456789abc")).await.unwrap().id.to_string();
        let representations = json!([
            { "__typename": "Nonsense", "id": "x" },
            { "__typename": "VaultEntry", "id": id },
            { "__typename": "VaultEntry", "id": "nonsense" },
            { "__typename": "User", "id": "alice" },
            { "id": "demo" },
            { "__typename": "Project" },
            { "__typename": "Project", "id": "demo" },
            { "__typename": "Project", "id": "nowhere" },
            { "__typename": "Project", "id": "no such id" },
            { "__typename": "Milestone", "id": "demo-launch" },
            { "__typename": "Milestone", "id": "nowhere" },
            { "__typename": "Project", "id": { "nested": true } },
            { "__typename": "Project", "id": null },
        ]);
        let answer = world.ask(&user("carol"), ENTITIES, json!({ "r": representations })).await;
        let entities = answer.at("/_entities");
        assert_eq!(entities[1], json!({ "__typename": "VaultEntry", "id": id, "name": "TOKEN", "maskedValue": "sk-****abc" }));
        assert_eq!(entities[6], json!({ "__typename": "Project", "id": "demo", "vault": { "status": "ACTIVE" } }));
        assert_eq!(entities[7], json!({ "__typename": "Project", "id": "nowhere", "vault": null }));
        assert_eq!(entities[9], json!({ "__typename": "Milestone", "id": "demo-launch", "vaultPhase": { "open": true } }));
        assert_eq!(entities[10], json!({ "__typename": "Milestone", "id": "nowhere", "vaultPhase": null }));
        assert!(entities[2].is_null(), "an entry that is not there is null without an error");
        let told: Vec<(String, String)> = answer
            .errors()
            .iter()
            .map(|error| (error["path"].to_string(), error["extensions"]["code"].as_str().unwrap().to_owned()))
            .collect();
        let mut at: Vec<String> = told.iter().map(|(path, _)| path.clone()).collect();
        at.sort();
        let mut expected: Vec<String> = [0, 3, 4, 5, 8, 11, 12].map(|index| format!("[\"_entities\",{index}]")).to_vec();
        expected.sort();
        assert_eq!(at, expected, "{:#}", answer.0);
    }

    async fn a_denied_field_of_a_list_is_one_error_each_at_its_path(world: World) {
        world.demo().await;
        let mut representations = Vec::new();
        for name in ["A", "B", "C"] {
            let id = world.vault.entries().create(&user("bob"), entry(name, "v")).await.unwrap().id.to_string();
            representations.push(json!({ "__typename": "VaultEntry", "id": id }));
        }
        let query = "query($r: [_Any!]!) { one: _entities(representations: $r) { ... on VaultEntry { name maskedValue } }
            two: _entities(representations: $r) { ... on VaultEntry { resolveCount } } }";
        let answer = world.ask(&user("dave"), query, json!({ "r": representations })).await;
        assert_eq!(*answer.at("/one/2/name"), json!("C"));
        let mut paths: Vec<String> = answer.errors().iter().map(|error| error["path"].to_string()).collect();
        paths.sort();
        let expected: Vec<String> = (0..3)
            .map(|index| format!("[\"one\",{index},\"maskedValue\"]"))
            .chain((0..3).map(|index| format!("[\"two\",{index},\"resolveCount\"]")))
            .collect();
        assert_eq!(paths, expected);
        assert!(answer.codes().iter().all(|code| *code == "FORBIDDEN"));
        let twice = "{ projectVault(projectId: \"demo\") { entry(name: \"A\") { maskedValue maskedValue ... { maskedValue } } } }";
        assert_eq!(world.ask(&user("dave"), twice, json!({})).await.errors().len(), 1, "a field is asked for once");
        let list = "{ projectVault(projectId: \"demo\") { entries { nodes { maskedValue } } } }";
        let answer = world.ask(&user("dave"), list, json!({})).await;
        let mut paths: Vec<String> = answer.errors().iter().map(|error| error["path"].to_string()).collect();
        paths.sort();
        let expected: Vec<String> =
            (0..3).map(|n| format!("[\"projectVault\",\"entries\",\"nodes\",{n},\"maskedValue\"]")).collect();
        assert_eq!(paths, expected);
    }

    async fn a_hundred_entities_cost_three_statements_and_two_batches(world: World) {
        world.demo().await;
        let lines: String = (0..100).map(|n| format!("N{n}=some value {n} to be masked\n")).collect();
        let import = project_vault::vault::Import {
            project: "demo".to_owned(),
            milestone: None,
            dotenv: lines.into(),
            category: project_vault::domain::Category::Secret,
            on_conflict: project_vault::vault::OnConflict::Fail,
        };
        let made = world.vault.entries().import(&user("bob"), import).await.unwrap().created;
        let representations: Vec<Value> =
            made.iter().map(|entry| json!({ "__typename": "VaultEntry", "id": entry.id.to_string() })).collect();
        let (statements, batches) = (world.statements(), world.batches());
        let answer = world.ask(&user("carol"), ENTITIES, json!({ "r": representations })).await;
        assert_eq!(*answer.ok("/_entities/99/maskedValue"), json!("som****ked"));
        assert!(world.statements() - statements <= 3, "{} statements", world.statements() - statements);
        assert!(world.batches() - batches <= 2, "{} batches", world.batches() - batches);
    }

    async fn a_mutations_payload_shows_what_is_there_after_it(world: World) {
        world.demo().await;
        let id = world.vault.entries().create(&user("alice"), entry("TOKEN", "v")).await.unwrap().id.to_string();
        let mutation = "mutation($e: ID!) {
            a: disableVaultEntry(id: $e) { entry { status revision project { vault { entry(name: \"TOKEN\") { status } } } } }
            b: enableVaultEntry(id: $e) { entry { status revision project { vault { entry(name: \"TOKEN\") { status } } } } }
            c: assignVaultRole(input: { projectId: \"demo\", userId: \"bob\", role: ACCOUNTABLE }) { member { role } }
            d: revokeVaultRole(input: { projectId: \"demo\", userId: \"alice\", role: ACCOUNTABLE }) { member { role } }
            e: disableVaultEntry(id: $e) { userErrors { code } entry { status } } }";
        let answer = world.ask(&user("alice"), mutation, json!({ "e": id })).await;
        assert_eq!(*answer.at("/a/entry"), json!({ "status": "DISABLED", "revision": 2, "project": { "vault": { "entry": { "status": "DISABLED" } } } }));
        assert_eq!(*answer.at("/b/entry"), json!({ "status": "ACTIVE", "revision": 3, "project": { "vault": { "entry": { "status": "ACTIVE" } } } }));
        assert_eq!(*answer.ok("/e/userErrors"), json!([{ "code": "NOT_FOUND" }]), "what was taken away stays away");
    }

    async fn a_broken_argument_of_a_later_mutation_stops_the_earlier_one(world: World) {
        world.demo().await;
        let id = world.vault.entries().create(&user("alice"), entry("TOKEN", "v")).await.unwrap().id.to_string();
        let mutation = "mutation($e: ID!, $at: DateTime) { a: deleteVaultEntry(id: $e) { userErrors { code } }
            b: updateVaultEntry(input: { id: $e, expiresAt: $at }) { userErrors { code } } }";
        for at in [json!("tomorrow"), json!(5), json!("secret-9999-looking-text")] {
            let answer = world.ask(&user("alice"), mutation, json!({ "e": id, "at": at })).await;
            assert_eq!(answer.codes(), ["BAD_USER_INPUT"], "{:#}", answer.0);
            assert!(!answer.0.to_string().contains("secret-9999"), "a message repeats a value");
        }
        assert_eq!(world.number("SELECT count(*) AS n FROM entries WHERE deleted_at IS NULL").await, 1);
    }

    async fn errors_name_the_request_and_repeat_no_value(world: World) {
        world.demo().await;
        let secret = "SENTINEL_9f8e7d6c";
        let bob = user("bob");
        for (document, code) in [
            (format!("{{ projectVault(projectId: \"{secret} {secret}\") {{ status }} }}"), "INVALID_INPUT"),
            (format!("mutation {{ createVaultEntry(input: {{ projectId: \"demo\", name: \"A\", value: \"v\", category: {secret} }}) {{ userErrors {{ code }} }} }}"), "BAD_USER_INPUT"),
            (format!("mutation {{ createVaultEntry(input: {{ projectId: \"demo\", name: \"A\", value: {{ a: \"{secret}\" }}, category: SECRET }}) {{ userErrors {{ code }} }} }}"), "BAD_USER_INPUT"),
            (format!("{{ projectVault(projectId: \"demo\") {{ entries(first: \"{secret}\") {{ totalCount }} }} }}"), "BAD_USER_INPUT"),
            (format!("{{ projectVault(projectId: \"demo\") {{ entries(after: \"{secret}\") {{ totalCount }} }} }}"), "INVALID_INPUT"),
        ] {
            let answer = world.ask(&bob, &document, json!({})).await;
            assert_eq!(answer.codes(), [code], "{document}: {:#}", answer.0);
            assert!(!answer.0.to_string().contains(secret), "{:#}", answer.0);
            assert_eq!(answer.errors()[0]["extensions"]["requestId"], json!(bob.request_id.as_str()));
        }
        let answer = world.ask(&bob, "{ nothing }", json!({})).await;
        assert_eq!(answer.codes(), ["GRAPHQL_VALIDATION_FAILED"]);
    }

    async fn resolving_is_hidden_from_everybodys_introspection_but_a_runtimes(world: World) {
        world.demo().await;
        let query = "{ __schema { queryType { fields { name } } types { name } } __type(name: \"ResolvedSecret\") { name } }";
        for (caller, sees) in [(user("alice"), false), (service("platform"), false), (runtime("acme-runtime"), true)] {
            let answer = world.ask(&caller, query, json!({})).await.ok("").to_string();
            for name in ["resolveSecrets", "ResolveSecretsInput", "ResolvedSecret"] {
                assert_eq!(answer.contains(name), sees, "{} {name}", caller.principal);
            }
            assert!(answer.contains("previewSecrets"));
            let sdl = world.ask(&caller, "{ _service { sdl } }", json!({})).await;
            assert!(sdl.ok("/_service/sdl").as_str().unwrap().contains("resolveSecrets"), "gateways need it there");
        }
    }
}
