//! Which agents received an entry's value is kept as the access records are inserted, and read
//! without them.

use crate::support::{Backend, World, agent_asks, entry, runtime, service, tool_asks, user};
use project_vault::domain::EntryId;
use project_vault::vault::{Change, Exposure, Rotation};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ROWS: &str = "SELECT count(*) AS n FROM exposures";

impl World {
    async fn received(&self, times: usize) -> EntryId {
        let id = self.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap().id;
        for _ in 0..times {
            self.vault
                .agents()
                .resolve(&runtime("acme-runtime"), tool_asks(agent_asks("builder", &["TOKEN"])))
                .await
                .unwrap();
        }
        id
    }

    async fn exposures(&self, entry: EntryId) -> Vec<Exposure> {
        self.vault.audit().exposures_of(&[entry]).await.unwrap().remove(&entry).unwrap_or_default()
    }
}

both! {
    async fn exposures_are_read_without_access_records(world: World) {
        world.demo().await;
        let token = world.received(3).await;
        assert_eq!(world.number("SELECT received AS n FROM exposures").await, 3);
        let (sent, before) = world.watched(world.exposures(token)).await;
        assert!(sent.iter().all(|one| !format!("{one:?}").contains("audit_events")), "{sent:?}");
        assert_eq!(before.len(), 1);
        // They outlive the records.
        world.clock.advance(DAY * 40);
        world.vault.audit().sweep(DAY * 30).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_events WHERE action = 'SECRET_RESOLVED'").await, 0);
        assert_eq!(world.exposures(token).await, before);
    }

    async fn exposures_go_with_their_version_entry_and_project(world: World) {
        world.demo().await;
        let token = world.received(1).await;
        for n in 0..12 {
            let rotation = Rotation { id: token.to_string(), value: format!("v{n}").into(), expires_at: Change::Keep, expected_revision: None };
            world.vault.entries().rotate(&user("bob"), rotation).await.unwrap();
        }
        assert_eq!(world.number(ROWS).await, 0, "the first version is gone");
        world.vault.agents().resolve(&runtime("acme-runtime"), tool_asks(agent_asks("builder", &["TOKEN"]))).await.unwrap();
        assert_eq!(world.number(ROWS).await, 1);
        world.vault.entries().delete(&user("alice"), token.to_string()).await.unwrap();
        world.vault.entries().purge(&user("alice"), token.to_string()).await.unwrap();
        assert_eq!(world.number(ROWS).await, 0);
        world.received(1).await;
        assert_eq!(world.number(ROWS).await, 1);
        world.vault.projects().delete(&service("platform"), "demo".to_owned()).await.unwrap();
        assert_eq!(world.number(ROWS).await, 0);
    }

    async fn only_the_agents_that_received_it_last_are_named(world: World) {
        world.demo().await;
        let token = world.received(0).await;
        let numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 300)";
        let agent = if world.backend == Backend::Sqlite { "'agent-' || n" } else { "'agent-' || n::text" };
        let id = world.id(token.0);
        world.sql(&format!("INSERT INTO exposures {numbers} SELECT {id}, 1, {agent}, n, n, 1 FROM numbers")).await.unwrap();
        let found = world.exposures(token).await;
        assert_eq!(found.len(), 100);
        assert_eq!((found[0].agent.as_str(), found[99].agent.as_str()), ("agent-300", "agent-201"));
    }

    async fn what_was_received_before_the_table_was_there_is_in_it(world: World) {
        world.demo().await;
        let token = world.received(4).await;
        let before = world.exposures(token).await;
        world.by_hand(match world.backend {
            Backend::Sqlite => include_str!("../../migrations/sqlite/2026-11-27-000003_exposures/down.sql"),
            Backend::Postgres => include_str!("../../migrations/postgres/2026-11-27-000003_exposures/down.sql"),
        }).await;
        world.sql("DELETE FROM __diesel_schema_migrations WHERE version = '20261127000003'").await.unwrap();
        world.store.migrate().await.unwrap();
        assert_eq!(world.exposures(token).await, before);
        assert_eq!(world.number("SELECT received AS n FROM exposures").await, 4);
    }
}
