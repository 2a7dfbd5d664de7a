//! A limit on how often a runtime resolves: off unless it is set, told to the caller, counted and
//! recorded within bounds.

use crate::support::{agent_asks, ask, entry, runtime, tool_asks, user};
use project_vault::domain::Error;
use project_vault::graphql::Api;
use serde_json::json;
use std::num::NonZeroU32;
use std::time::Duration;

const RESOLVE: &str = "{ resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", names: [\"TOKEN\"], \
    purpose: TOOL_EXECUTION }) { secrets { value } } }";

both! {
    async fn a_runtime_resolves_no_more_often_than_allowed(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "the value")).await.unwrap();
        let vault = world.another_server().with_resolve_limit(NonZeroU32::new(6));
        let acme = runtime("acme-runtime");
        let resolve = async || vault.agents().resolve(&acme, tool_asks(agent_asks("builder", &["TOKEN"]))).await;
        for _ in 0..6 {
            resolve().await.unwrap();
        }
        for _ in 0..20 {
            let wait = match resolve().await.err().unwrap() {
                Error::RateLimited { retry_after } => retry_after,
                other => panic!("{other:?}"),
            };
            assert_eq!(wait, Duration::from_secs(10));
        }
        let api = Api::new(vault.clone(), true);
        let answer = ask(&api, &acme, RESOLVE, json!({})).await;
        assert_eq!(answer.codes(), ["RATE_LIMITED"]);
        assert_eq!(answer.errors()[0]["extensions"]["retryAfterSeconds"], json!(10));
        // One event at once, and one for the repetitions of the minute.
        let denied = "SELECT count(*) AS n FROM audit_events WHERE action = 'SECRET_RESOLVED' AND outcome = 'DENIED' AND reason = 'RATE_LIMITED'";
        assert_eq!(world.number(denied).await, 1);
        vault.audit().record_repeated_denials(true).await.unwrap();
        assert_eq!(world.number(denied).await, 2);
        assert_eq!(world.number(&denied.replace("count(*)", "CAST(sum(count) AS BIGINT)")).await, 21);
        let released = "SELECT count(*) AS n FROM audit_events WHERE action = 'SECRET_RESOLVED' AND outcome = 'ALLOWED'";
        assert_eq!(world.number(released).await, 6);
        // Nobody else waits, and after a while neither does the runtime.
        vault.entries().create(&user("bob"), entry("OTHER", "v")).await.unwrap();
        world.clock.advance(Duration::from_secs(10));
        resolve().await.unwrap();
        resolve().await.err().unwrap();
    }

    async fn without_a_limit_a_runtime_resolves_as_often_as_it_likes(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "the value")).await.unwrap();
        let acme = runtime("acme-runtime");
        for vault in [world.vault.clone(), world.another_server().with_resolve_limit(None)] {
            for _ in 0..80 {
                vault.agents().resolve(&acme, tool_asks(agent_asks("builder", &["TOKEN"]))).await.unwrap();
            }
        }
    }
}
