//! Faults and hostile input: what cannot be recorded does not happen, and nothing a caller sends is
//! an internal error.

mod changes;
mod failover;
mod full;
mod killed;
mod load;
mod network;
mod pooler;
mod servers;
mod together;

use crate::support::{Backend, World, agent_asks, entry, runtime, tool_asks, user};
use base64::Engine as _;
use project_vault::crypto::Keyring;
use project_vault::domain::{Error, SecretOutcome};
use project_vault::vault::{AgentQuestion, Import, OnConflict, Vault};
use serde_json::json;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

impl World {
    async fn refuse_events(&self) {
        let statements: &[&str] = match self.backend {
            Backend::Sqlite => {
                &["CREATE TRIGGER refuse BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'no room'); END"]
            }
            Backend::Postgres => &[
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room'; END $$",
                "CREATE TRIGGER refuse BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse()",
            ],
        };
        for statement in statements {
            self.sql(statement).await.unwrap();
        }
    }
}

both! {
    async fn what_cannot_be_recorded_does_not_happen(world: World) {
        world.demo().await;
        let made = world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        world.refuse_events().await;
        let asked = tool_asks(agent_asks("builder", &["TOKEN"]));
        assert!(world.vault.agents().resolve(&runtime("acme-runtime"), asked).await.is_err(), "nothing is released");
        assert!(world.vault.entries().create(&user("bob"), entry("OTHER", "v")).await.is_err());
        assert!(world.vault.entries().disable(&user("bob"), made.id.to_string()).await.is_err());
        assert!(world.vault.projects().delete(&crate::support::service("platform"), "demo".to_owned()).await.is_err());
        let refused = world.vault.entries().create(&user("carol"), entry("OTHER", "v")).await.err().unwrap();
        assert_ne!(refused.code().as_str(), "FORBIDDEN", "a denial that cannot be recorded says so");
        assert_eq!(world.number("SELECT count(*) AS n FROM entries WHERE disabled = (1 = 0)").await, 1);
        assert_eq!(world.number("SELECT count(*) AS n FROM entry_usage WHERE resolve_count > 0").await, 0);
    }

    async fn no_input_is_an_internal_error(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let acme = runtime("acme-runtime");
        let odd: Vec<String> =
            ["A\u{0}", "", "PATH", "é", "x y", "'; DROP TABLE entries; --"].map(ToOwned::to_owned).to_vec();
        let question = AgentQuestion { names: Some(odd.clone()), provided: odd.clone(), ..agent_asks("builder", &[]) };
        let found = world.vault.agents().resolve(&acme, tool_asks(question)).await.unwrap().secrets;
        // An entry from before a name was reserved may still bear it, so that it can be provided.
        assert!(found.iter().all(|answer| answer.name == "PATH" || answer.outcome == SecretOutcome::NotFound));
        let many = vec!["A".to_owned(); 33_000];
        let question = AgentQuestion { names: Some(many), ..agent_asks("builder", &[]) };
        let refused = world.vault.agents().resolve(&acme, tool_asks(question.clone())).await.err().unwrap();
        assert_eq!(refused.code().as_str(), "LIMIT_EXCEEDED");
        assert_eq!(world.vault.agents().preview(&user("bob"), question).await.err().unwrap().code().as_str(), "LIMIT_EXCEEDED");
        let import = Import {
            project: "demo".to_owned(),
            milestone: None,
            dotenv: (0..33_000).map(|n| format!("N{n}=v\n")).collect::<String>().into(),
            category: project_vault::domain::Category::Secret,
            on_conflict: OnConflict::Skip,
        };
        assert_eq!(world.vault.entries().import(&user("bob"), import).await.err().unwrap().code().as_str(), "LIMIT_EXCEEDED");

        let page = "query($f: VaultEntryFilter, $after: String) { projectVault(projectId: \"demo\") { entries(first: 1, filter: $f, after: $after) { totalCount pageInfo { endCursor } } } }";
        for part in ["\u{0}", "é", &"x".repeat(60_000), "%", " "] {
            let answer = world.ask(&user("dave"), page, json!({ "f": { "nameContains": part } })).await;
            assert_eq!(*answer.ok("/projectVault/entries/totalCount"), json!(0), "{part:.9}");
        }
        let twice = json!({ "f": { "categories": vec!["API_KEY"; 40_000] } });
        assert_eq!(*world.ask(&user("dave"), page, twice).await.ok("/projectVault/entries/totalCount"), json!(1));
        let cursor = world.ask(&user("dave"), page, json!({})).await;
        let cursor = cursor.ok("/projectVault/entries/pageInfo/endCursor").as_str().unwrap().to_owned();
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let forged = String::from_utf8(engine.decode(cursor).unwrap()).unwrap().replace("TOKEN", "A\\u0000");
        let answer = world.ask(&user("dave"), page, json!({ "after": engine.encode(forged) })).await;
        assert_eq!(answer.codes(), ["INVALID_INPUT"]);
        for id in ["\u{0}", "a b", "é", ""] {
            let answer = world.ask(&user("dave"), "query($p: ID!) { projectVault(projectId: $p) { status } }", json!({ "p": id })).await;
            assert_eq!(answer.codes(), ["INVALID_INPUT"], "{id:?}");
            assert_eq!(answer.errors()[0]["extensions"]["field"], json!(["projectId"]));
        }
    }

    async fn a_mutation_with_an_integer_of_more_than_32_bits_changes_nothing(world: World) {
        world.demo().await;
        let id = world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap().id.to_string();
        let after = "rotateVaultEntry(input: { id: $id, value: \"w\", expectedRevision: ";
        let literal = format!("mutation($id: ID!) {{ a: disableVaultEntry(id: $id) {{ entry {{ status }} }} b: {after}99999999999 }}) {{ entry {{ id }} }} }}");
        let variable = format!("mutation($id: ID!, $r: Int = 1) {{ a: disableVaultEntry(id: $id) {{ entry {{ status }} }} b: {after}$r }}) {{ entry {{ id }} }} }}");
        let input = "mutation($id: ID!, $input: RotateVaultEntryInput!) { a: disableVaultEntry(id: $id) { entry { status } } b: rotateVaultEntry(input: $input) { entry { id } } }";
        let default = variable.replace("= 1", "= -2147483649");
        for (document, variables) in [
            (literal.as_str(), json!({ "id": id })),
            (&variable, json!({ "id": id, "r": 2_147_483_648_u32 })),
            (&default, json!({ "id": id })),
            (input, json!({ "id": id, "input": { "id": id, "value": "w", "expectedRevision": 1_u64 << 40 } })),
        ] {
            let answer = world.ask(&user("bob"), document, variables).await;
            assert_eq!(answer.codes(), ["GRAPHQL_VALIDATION_FAILED"], "{document}");
            assert_eq!(world.number("SELECT count(*) AS n FROM entries WHERE disabled = (1 = 1)").await, 0, "{document}");
        }
        // The largest that fits reaches the field.
        let answer = world.ask(&user("bob"), &variable, json!({ "id": id, "r": i32::MAX })).await;
        assert_eq!(answer.codes(), [] as [&str; 0]);
        assert_eq!(world.number("SELECT count(*) AS n FROM entries WHERE disabled = (1 = 1)").await, 1);
    }

    async fn a_keyring_without_a_key_in_use_is_named(world: World) {
        world.demo().await;
        world.vault.installation().check_keyring().await.unwrap();
        let other = || Keyring::generate();
        let vault = Vault::new(world.store.clone(), world.authorizer.clone(), Arc::new(other), world.clock.clone(), Duration::ZERO);
        let error = vault.installation().check_keyring().await.unwrap_err();
        let key = world.text("SELECT master_key AS t FROM data_keys").await;
        let told = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(matches!(error, Error::Internal(_)) && told.contains(&key), "{told}");
        let asked = tool_asks(agent_asks("builder", &["TOKEN"]));
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        assert!(vault.agents().resolve(&runtime("acme-runtime"), asked).await.is_err());
    }

    async fn what_was_taken_away_while_a_change_waited_is_not_used(world: World) {
        world.demo().await;
        let (alice, bob) = (user("alice"), user("bob"));
        let role = |user: &str, role| project_vault::vault::RoleChange { project: "demo".to_owned(), user: user.to_owned(), role };
        use project_vault::domain::Role::{Accountable, Informed};
        world.vault.members().assign_role(&alice, role("bob", Accountable)).await.unwrap();
        // Ten of bob's changes wait in the partition behind the one that takes his role.
        let revoke = world.vault.members().revoke_role(&alice, role("bob", Accountable));
        let friends: Vec<String> = (0..10).map(|n| format!("friend-{n}")).collect();
        let late = futures::future::join_all(friends.iter().map(|friend| world.vault.members().assign_role(&bob, role(friend, Informed))));
        let (revoked, late) = futures::join!(revoke, late);
        revoked.unwrap();
        let after = world.vault.members().assign_role(&bob, role("friend-after", Informed)).await.err().unwrap();
        assert_eq!(after.code().as_str(), "FORBIDDEN");
        let done = i64::try_from(late.iter().filter(|result| result.is_ok()).count()).unwrap();
        let sql = "SELECT count(*) AS n FROM audit_events WHERE action = 'ROLE_ASSIGNED' AND outcome = 'ALLOWED' AND subject LIKE 'user:friend-%'";
        assert_eq!(world.number(sql).await, done);
        // Rows in the order in which their transactions held the partition.
        let order = match world.backend {
            // SQLite's writers follow each other, so they append to one chain.
            Backend::Sqlite => "seq",
            Backend::Postgres => "xmin::text::bigint",
        };
        let last = format!(
            "SELECT count(*) AS n FROM audit_events WHERE action = 'ROLE_ASSIGNED' AND outcome = 'ALLOWED' \
             AND actor = 'user:bob' AND {order} > (SELECT {order} FROM audit_events WHERE action = 'ROLE_REVOKED')"
        );
        assert_eq!(world.number(&last).await, 0, "nothing of bob's was done after his role was gone");
    }
}
