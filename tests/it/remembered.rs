//! Rows and decisions that a server keeps in memory are used only while nothing has changed,
//! whoever changes it.

use crate::support::{World, agent_asks, entry, runtime, service, tool_asks, user};
use project_vault::domain::{Error, ProjectStatus, SecretOutcome};
use project_vault::permission::Operator;
use project_vault::vault::{AgentChange, Change, Rotation};
use secrecy::ExposeSecret as _;

/// The outcome and the value of the one secret, or the code of the error.
async fn received(world: &World) -> Result<(SecretOutcome, Option<String>), String> {
    let request = tool_asks(agent_asks("builder", &["API_KEY"]));
    let resolved = world.vault.agents().resolve(&runtime("acme-runtime"), request).await;
    let code = |error: Error| error.code().as_str().to_owned();
    let secret = resolved.map_err(code)?.secrets.pop().unwrap();
    Ok((secret.outcome, secret.value.map(|value| value.expose_secret().to_owned())))
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
}
