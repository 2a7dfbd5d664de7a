//! Rows and decisions that a server keeps in memory are used only while nothing has changed,
//! whoever changes it.

use crate::support::{World, agent_asks, entry, runtime, service, tool_asks, user};
use project_vault::domain::{Error, Narrowing, Principal, ProjectStatus, RuntimeId, SecretOutcome};
use project_vault::permission::Operator;
use project_vault::vault::{AgentChange, AgentQuestion, Caller, Change, ResolveRequest, Rotation};
use secrecy::ExposeSecret as _;

/// The outcome and the value of the one secret, or the code of the error.
async fn received(world: &World) -> Result<(SecretOutcome, Option<String>), String> {
    let request = tool_asks(agent_asks("builder", &["API_KEY"]));
    let resolved = world.vault.agents().resolve(&runtime("acme-runtime"), request).await;
    let code = |error: Error| error.code().as_str().to_owned();
    let secret = resolved.map_err(code)?.secrets.pop().unwrap();
    Ok((secret.outcome, secret.value.map(|value| value.expose_secret().to_owned())))
}

/// The value of one secret, `None` if there is none, or the code of the error.
async fn value_of(world: &World, name: &str) -> Result<Option<String>, String> {
    let request = tool_asks(agent_asks("builder", &[name]));
    let resolved = world.vault.agents().resolve(&runtime("acme-runtime"), request).await;
    let secret = resolved.map_err(|error| error.code().as_str().to_owned())?.secrets.pop().unwrap();
    Ok(secret.value.map(|value| value.expose_secret().to_owned()))
}

/// Resolves until everything that can be kept is kept.
async fn warm(world: &World) {
    for _ in 0..3 {
        assert_eq!(received(world).await, Ok((SecretOutcome::Resolved, Some("first".to_owned()))));
    }
}

fn rotation(id: &str, value: &str) -> Rotation {
    Rotation { id: id.to_owned(), value: value.into(), expires_at: Change::Keep, expected_revision: None }
}

both! {
    async fn what_another_server_changes_shows_at_once(world: World) {
        world.demo().await;
        let id = world.vault.entries().create(&user("bob"), entry("API_KEY", "first")).await.unwrap().id.to_string();
        warm(&world).await;
        let other = world.another_server();
        other.entries().rotate(&user("bob"), rotation(&id, "second")).await.unwrap();
        assert_eq!(received(&world).await, Ok((SecretOutcome::Resolved, Some("second".to_owned()))));
        other.entries().disable(&user("bob"), id.clone()).await.unwrap();
        assert_eq!(received(&world).await, Ok((SecretOutcome::NotFound, None)));
        other.entries().enable(&user("bob"), id.clone()).await.unwrap();
        other.rotation().replace_data_keys(&Operator::at_the_shell(), &World::project(), &|_, _| {}).await.unwrap();
        assert_eq!(received(&world).await, Ok((SecretOutcome::Resolved, Some("second".to_owned()))));
        let platform = service("platform");
        other.projects().set_status(&platform, "demo".to_owned(), ProjectStatus::Paused).await.unwrap();
        assert_eq!(received(&world).await, Err("FORBIDDEN".to_owned()));
        other.projects().set_status(&platform, "demo".to_owned(), ProjectStatus::Active).await.unwrap();
        assert!(received(&world).await.is_ok());
        let builder = AgentChange { project: "demo".to_owned(), agent: "builder".to_owned(), milestone: None };
        other.members().unassign_agent(&user("alice"), builder).await.unwrap();
        assert_eq!(received(&world).await, Err("FORBIDDEN".to_owned()));
    }

    async fn what_the_server_itself_changes_shows_at_once(world: World) {
        world.demo().await;
        let id = world.vault.entries().create(&user("bob"), entry("API_KEY", "first")).await.unwrap().id.to_string();
        warm(&world).await;
        world.vault.entries().rotate(&user("bob"), rotation(&id, "second")).await.unwrap();
        assert_eq!(received(&world).await, Ok((SecretOutcome::Resolved, Some("second".to_owned()))));
        world.vault.entries().delete(&user("alice"), id).await.unwrap();
        assert_eq!(received(&world).await, Ok((SecretOutcome::NotFound, None)));
    }

    async fn a_row_that_is_changed_by_hand_is_found_though_it_was_kept(world: World) {
        world.demo().await;
        let entries = world.vault.entries();
        entries.create(&user("bob"), entry("API_KEY", "first")).await.unwrap();
        warm(&world).await;
        world.sql("UPDATE entries SET name = 'OTHER'").await.unwrap();
        world.sql("UPDATE entries SET name = 'API_KEY', disabled = NOT disabled").await.unwrap();
        assert_eq!(received(&world).await, Err("INTERNAL".to_owned()));
    }

    async fn an_old_row_does_not_come_back_with_the_old_count(world: World) {
        world.demo().await;
        let id = world.vault.entries().create(&user("bob"), entry("API_KEY", "first")).await.unwrap().id.to_string();
        warm(&world).await;
        let counts = world.url().starts_with("sqlite:");
        let count = if counts { world.number("SELECT count AS n FROM changes").await } else { 0 };
        world.vault.entries().rotate(&user("bob"), rotation(&id, "second")).await.unwrap();
        if counts {
            world.sql(&format!("UPDATE changes SET count = {count}")).await.unwrap();
        }
        assert_eq!(received(&world).await, Ok((SecretOutcome::Resolved, Some("second".to_owned()))));
    }

    async fn whatever_decides_a_resolve_changes_the_generation(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("API_KEY", "first")).await.unwrap();
        let project = World::project();
        let generation = async || world.store.generation(&project).await.unwrap().unwrap();
        for change in [
            "UPDATE projects SET status = status",
            "UPDATE projects SET environment_names = environment_names",
            "UPDATE projects SET approved_names = approved_names",
            "UPDATE projects SET registered_at = registered_at",
            "UPDATE projects SET revision = revision",
            "UPDATE projects SET mac = mac",
            "UPDATE projects SET listing = listing",
            "UPDATE milestones SET closed = closed",
            "UPDATE entries SET name = name",
            "UPDATE versions SET mac = mac",
            "UPDATE ciphertexts SET value = value",
            "UPDATE data_keys SET wrapped = wrapped",
            "INSERT INTO replaced_data_keys (id, project_id, replaced_at, mac) SELECT id, project_id, 0, mac FROM data_keys",
            "UPDATE replaced_data_keys SET mac = mac",
            "DELETE FROM replaced_data_keys",
            "UPDATE audit_events SET mac = mac WHERE entry_revision IS NOT NULL",
            "DELETE FROM audit_events WHERE entry_revision IS NOT NULL",
            "DELETE FROM entry_usage",
            "DELETE FROM versions",
            "DELETE FROM ciphertexts",
            "DELETE FROM entries",
            "DELETE FROM milestones WHERE id IN (SELECT id FROM milestones LIMIT 1)",
        ] {
            let before = generation().await;
            world.sql(change).await.unwrap();
            let decides = !change.contains("entry_usage");
            assert_eq!(generation().await != before, decides, "{change}");
        }
    }

    async fn a_page_that_was_kept_shows_every_change_at_once(world: World) {
        world.demo().await;
        let minute = std::time::Duration::from_secs(60);
        let mut new = entry("API_KEY", "a value long enough to be masked one");
        new.expires_at = Some(project_vault::domain::Clock::now(&*world.clock).plus(minute));
        let id = world.vault.entries().create(&user("bob"), new).await.unwrap().id.to_string();
        let page = async || {
            let query = "{ projectVault(projectId: \"demo\") { entries { nodes { name status maskedValue resolveCount } } } }";
            let answer = world.ask(&user("bob"), query, serde_json::json!({})).await;
            let nodes = answer.ok("/projectVault/entries/nodes").as_array().unwrap().clone();
            let told = |node: &serde_json::Value| {
                let text = |name: &str| node[name].as_str().unwrap().to_owned();
                format!("{} {} {} {}", text("name"), text("status"), text("maskedValue"), node["resolveCount"])
            };
            nodes.iter().map(told).collect::<Vec<_>>()
        };
        let other = world.another_server();
        for _ in 0..3 {
            assert_eq!(page().await, ["API_KEY ACTIVE a v****one 0"]);
        }
        assert!(received(&world).await.is_ok());
        assert_eq!(page().await, ["API_KEY ACTIVE a v****one 1"], "a use is no change");
        other.entries().rotate(&user("bob"), rotation(&id, "a value long enough to be masked two")).await.unwrap();
        assert_eq!(page().await, ["API_KEY ACTIVE a v****two 1"]);
        other.entries().create(&user("bob"), entry("ANOTHER", "short")).await.unwrap();
        assert_eq!(page().await, ["ANOTHER ACTIVE **** 0", "API_KEY ACTIVE a v****two 1"]);
        world.clock.advance(minute);
        assert_eq!(page().await, ["ANOTHER ACTIVE **** 0", "API_KEY EXPIRED a v****two 1"]);
        world.sql("UPDATE entries SET name = 'BY_HAND' WHERE name = 'API_KEY'").await.unwrap();
        assert_eq!(page().await, ["ANOTHER ACTIVE **** 0", "BY_HAND EXPIRED a v****two 1"]);
    }

    async fn an_expired_entry_is_not_released_from_memory(world: World) {
        world.demo().await;
        let mut new = entry("API_KEY", "first");
        let minute = std::time::Duration::from_secs(60);
        new.expires_at = Some(project_vault::domain::Clock::now(&*world.clock).plus(minute));
        world.vault.entries().create(&user("bob"), new).await.unwrap();
        warm(&world).await;
        world.clock.advance(minute);
        assert_eq!(received(&world).await, Ok((SecretOutcome::Expired, None)));
    }

    async fn other_names_of_the_same_scope_are_answered_from_memory_too(world: World) {
        world.demo().await;
        for (name, value) in [("API_KEY", "first"), ("OTHER", "second"), ("THIRD", "third")] {
            world.vault.entries().create(&user("bob"), entry(name, value)).await.unwrap();
        }
        for (name, value) in [("API_KEY", "first"), ("OTHER", "second"), ("THIRD", "third"), ("API_KEY", "first")] {
            assert_eq!(value_of(&world, name).await, Ok(Some(value.to_owned())), "{name}");
        }
        assert_eq!(value_of(&world, "MISSING").await, Ok(None));
    }

    async fn a_large_scope_is_kept_name_by_name(world: World) {
        world.demo().await;
        for number in 0..40 {
            let new = entry(&format!("KEY_{number}"), &format!("value {number}"));
            world.vault.entries().create(&user("bob"), new).await.unwrap();
        }
        for number in [0, 1, 2, 39, 0, 1] {
            let value = Ok(Some(format!("value {number}")));
            assert_eq!(value_of(&world, &format!("KEY_{number}")).await, value);
        }
        world.sql("UPDATE entries SET name = 'KEY_X' WHERE name = 'KEY_1'").await.unwrap();
        assert_eq!(value_of(&world, "KEY_1").await, Err("INTERNAL".to_owned()), "its own row is forged");
        assert_eq!(value_of(&world, "KEY_0").await, Ok(Some("value 0".to_owned())), "another's is");
    }

    async fn a_forged_neighbour_keeps_no_name_from_being_answered(world: World) {
        world.demo().await;
        for (name, value) in [("API_KEY", "first"), ("OTHER", "second"), ("THIRD", "third")] {
            world.vault.entries().create(&user("bob"), entry(name, value)).await.unwrap();
        }
        world.sql("UPDATE versions SET mac = 'x' WHERE entry_id IN (SELECT id FROM entries WHERE name = 'OTHER')").await.unwrap();
        for _ in 0..3 {
            assert_eq!(value_of(&world, "API_KEY").await, Ok(Some("first".to_owned())));
            assert_eq!(value_of(&world, "THIRD").await, Ok(Some("third".to_owned())));
        }
        let failures = async || world.number("SELECT count(*) AS n FROM audit_events WHERE outcome = 'FAILED' AND reason = 'INTERNAL'").await;
        assert_eq!(failures().await, 0);
        assert_eq!(value_of(&world, "OTHER").await, Err("INTERNAL".to_owned()));
        assert_eq!(failures().await, 1);
    }

    async fn a_narrowed_token_gets_no_more_than_its_names_from_memory(world: World) {
        world.demo().await;
        for (name, value) in [("API_KEY", "first"), ("OTHER", "second")] {
            world.vault.entries().create(&user("bob"), entry(name, value)).await.unwrap();
        }
        let all = || ResolveRequest { question: AgentQuestion { names: None, ..agent_asks("builder", &[]) }, ..tool_asks(agent_asks("builder", &[])) };
        assert_eq!(world.vault.agents().resolve(&runtime("acme-runtime"), all()).await.unwrap().secrets.len(), 2);
        let names = Some(["OTHER".to_owned()].into());
        let narrowing = Narrowing { names, ..Narrowing::default() };
        let caller = Caller { principal: Principal::Runtime(RuntimeId::parse("acme-runtime").unwrap(), narrowing), ..runtime("acme-runtime") };
        let found = world.vault.agents().resolve(&caller, all()).await.unwrap().secrets;
        assert_eq!(found.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>(), ["OTHER"]);
    }

    async fn callers_that_ask_together_each_get_their_own_answer(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("API_KEY", "first")).await.unwrap();
        let ask = |number: usize| {
            let (vault, allowed) = (world.vault.clone(), !number.is_multiple_of(3));
            async move {
                let caller = runtime(if allowed { "acme-runtime" } else { "globex-runtime" });
                let names = [if number.is_multiple_of(2) { "API_KEY" } else { "MISSING" }];
                let answer = vault.agents().resolve(&caller, tool_asks(agent_asks("builder", &names))).await;
                let outcome = answer.map(|found| found.secrets[0].outcome).ok();
                let found = if number.is_multiple_of(2) { SecretOutcome::Resolved } else { SecretOutcome::NotFound };
                assert_eq!(outcome, allowed.then_some(found), "caller {number}");
            }
        };
        futures::future::join_all((0..60).map(ask)).await;
    }
}
