//! A PostgreSQL whose messages are in another language: outages are recognised by what kind they
//! are, and not by their texts.

use crate::support::{Backend, World, agent_asks, entry, in_time, runtime, tool_asks, user};
use std::time::Duration;

/// Somebody who holds the rows of projects, so that changes wait, until the transaction ends.
const HOLD: &str = "DO $$ BEGIN PERFORM 1 FROM projects FOR UPDATE; PERFORM pg_sleep(4); END $$";
/// What ends the server's connections that wait for it.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity \
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// Waits until the rows are held.
async fn rows_are_held(world: &World) {
    let sleeping =
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while world.number(sleeping).await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn set(world: &World, setting: &str) {
    let name = world.text("SELECT current_database()::text AS t").await;
    world.sql(&format!("ALTER DATABASE {name} SET {setting}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_are_recognised_where_postgresql_speaks_german() {
    in_time(Backend::Postgres, async |world| {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        set(&world, "lc_messages = 'de_DE.UTF-8'").await;
        let told = world.sql("SELECT no_such_column").await.unwrap_err().to_string();
        assert!(told.contains("existiert nicht"), "the messages are in another language: {told}");

        let vault = world.another_server();
        vault.agents().resolve(&runtime("acme-runtime"), tool_asks(agent_asks("builder", &["TOKEN"]))).await.unwrap();
        // A connection that is cut off while a statement waits.
        let (held, answer, ()) = tokio::join!(
            world.sql(HOLD),
            async {
                rows_are_held(&world).await;
                vault.entries().create(&user("bob"), entry("CUT_OFF", "v")).await
            },
            async {
                while world.number(TERMINATE).await == 0 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        );
        held.unwrap();
        assert_eq!(answer.err().unwrap().code().as_str(), "UNAVAILABLE", "cut off");
        // A statement that waits too long.
        let (held, answer) = tokio::join!(world.sql(HOLD), async {
            rows_are_held(&world).await;
            // Only for connections from now on.
            set(&world, "statement_timeout = '500ms'").await;
            let vault = world.another_server();
            vault.entries().create(&user("bob"), entry("TOO_LATE", "v")).await
        });
        held.unwrap();
        assert_eq!(answer.err().unwrap().code().as_str(), "UNAVAILABLE", "too late");
        set(&world, "statement_timeout = '10s'").await;
        // A database that takes no changes, as a standby.
        set(&world, "default_transaction_read_only = on").await;
        let vault = world.another_server();
        let refused = vault.entries().create(&user("bob"), entry("OTHER", "v")).await.err().unwrap();
        assert_eq!(refused.code().as_str(), "UNAVAILABLE", "read-only");
    })
    .await;
}
