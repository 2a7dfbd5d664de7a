//! Refusals that fill the disk, and audit queries that cost too much.

use crate::support::{Backend, World, agent_asks, entry, new_project, runtime, service, tool_asks, user};
use futures::StreamExt as _;
use project_vault::domain::{AuditOutcome, EntryId, Error, Purpose};
use project_vault::vault::{AuditEvent, AuditQuery, Caller, ResolveRequest, RoleChange};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How many distinct denials of one principal are recorded at once, and of all together.
const OF_PRINCIPAL: usize = 60;
const OF_PROCESS: i64 = 1_200;
const MINUTE: Duration = Duration::from_secs(60);

impl World {
    async fn event_rows(&self) -> i64 {
        self.number("SELECT count(*) AS n FROM audit_events").await
    }

    async fn decoys(&self) -> i64 {
        self.number("SELECT count(*) AS n FROM audit_decoys").await
    }

    async fn denials(&self) -> Vec<AuditEvent> {
        let query =
            AuditQuery { outcomes: Some(vec![AuditOutcome::Denied]), first: Some(100), ..AuditQuery::default() };
        let page = crate::support::vault_events(&self.vault, &user("audrey"), None, &query).await.unwrap();
        page.items.into_iter().map(|(event, _)| event).collect()
    }

    /// Has a caller refused a resolve for an agent.
    async fn refuse(&self, caller: &Caller, agent: &str) -> Error {
        let asked = tool_asks(agent_asks(agent, &["TOKEN"]));
        let request = ResolveRequest { session: Some("s".repeat(200)), tool: Some("t".repeat(200)), ..asked };
        self.vault.agents().resolve(caller, request).await.err().expect("refused")
    }

    /// The codes of what changes of these entries are answered.
    async fn disable_all(&self, caller: &Caller, ids: &[String]) -> Vec<&'static str> {
        let mut codes = Vec::new();
        for id in ids {
            codes.push(self.vault.entries().disable(caller, id.clone()).await.err().expect("refused").code().as_str());
        }
        codes
    }

    /// Adds events of a project as if they had been recorded, one a second, the newest now; each an
    /// allowed preview.
    async fn add_events(&self, project: &str, count: i64) {
        let now = 1_900_000_000_000_i64;
        let (series, id, mac) = match self.backend {
            Backend::Sqlite => (
                format!(
                    "(WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {count}) SELECT i FROM s) AS s"
                ),
                "randomblob(16)",
                "x'00'",
            ),
            Backend::Postgres => {
                (format!("generate_series(1, {count}) AS s (i)"), "gen_random_uuid()", "'\\x00'::bytea")
            }
        };
        let seq = self.number("SELECT max(seq) AS n FROM audit_events").await;
        self.sql(&format!(
            "INSERT INTO audit_events (id, occurred_at, project_id, action, outcome, count, actor, request_id, chain_id, seq, prev, mac)
             SELECT {id}, {now} - s.i * 1000, '{project}', 'SECRETS_PREVIEWED', 'ALLOWED', 1, 'user:bob', 'r',
                 (SELECT chain_id FROM audit_events ORDER BY seq DESC LIMIT 1), {seq} + s.i, {mac}, {mac} FROM {series}"
        ))
        .await
        .unwrap();
        if self.backend == Backend::Postgres {
            self.sql("ANALYZE audit_events").await.unwrap();
        }
    }
}

fn count(codes: &[&str], code: &str) -> usize {
    codes.iter().filter(|one| **one == code).count()
}

both! {
    async fn thousands_of_distinct_refusals_leave_few_events_and_little_on_the_disk(world: World) {
        world.demo().await;
        let (evil, events) = (runtime("evil-runtime"), world.event_rows().await);
        let bytes = world.stored_bytes().await.len();
        // The authorizer is asked each time, which OpenFGA is slower at.
        let refusals = match world.backend {
            Backend::Sqlite => 8_000,
            Backend::Postgres => 1_000,
        };
        let codes: Vec<&str> = futures::stream::iter(0..refusals)
            .map(|n| {
                let (world, evil) = (&world, &evil);
                async move { world.refuse(evil, &format!("agent-{n}")).await.code().as_str() }
            })
            .buffer_unordered(8)
            .collect()
            .await;
        assert_eq!((count(&codes, "FORBIDDEN"), count(&codes, "RATE_LIMITED")), (OF_PRINCIPAL, refusals - OF_PRINCIPAL));
        world.clock.advance(MINUTE);
        world.vault.audit().record_repeated_denials(false).await.unwrap();
        let left = usize::try_from(world.event_rows().await - events).unwrap();
        assert_eq!(left, OF_PRINCIPAL + 1, "one by one, and the rest");
        let bytes = world.stored_bytes().await.len() - bytes;
        println!("{refusals} refusals left {left} events, {bytes} bytes");
        assert!(bytes < 4 << 20, "{bytes}");
        let rest = world.denials().await.remove(0);
        assert_eq!(rest.reason.as_deref(), Some("RATE_LIMITED"));
        assert_eq!(usize::try_from(rest.count).unwrap(), refusals - OF_PRINCIPAL);
        assert_eq!((rest.actor.as_str(), rest.project.as_deref()), ("runtime:evil-runtime", Some("demo")));
        assert_eq!((rest.agent, rest.session, rest.tool, rest.purpose), (None, None, None, None::<Purpose>));
        assert_eq!(world.refuse(&evil, "agent-0").await.code().as_str(), "FORBIDDEN", "a minute later it is recorded again");
    }

    async fn a_refused_caller_chooses_no_text_of_an_event_but_ids(world: World) {
        world.demo().await;
        world.refuse(&runtime("evil-runtime"), "builder").await;
        let told = world.denials().await.remove(0);
        assert_eq!((told.agent.as_deref(), told.session, told.tool), (Some("builder"), None, None));
    }

    async fn hidden_and_missing_things_reach_the_rate_by_the_same_number_of_attempts(world: World) {
        world.demo().await;
        let (mut hidden, mut missing) = (Vec::new(), Vec::new());
        for n in 0..OF_PRINCIPAL + 10 {
            let made = world.vault.entries().create(&user("bob"), entry(&format!("TOKEN_{n}"), "v")).await.unwrap();
            hidden.push(made.id.to_string());
            missing.push(EntryId::new().to_string());
        }
        let events = world.event_rows().await;
        let of_hidden = world.disable_all(&user("mallory"), &hidden).await;
        assert_eq!(world.event_rows().await - events, i64::try_from(OF_PRINCIPAL).unwrap());
        let of_missing = world.disable_all(&user("mallet"), &missing).await;
        assert_eq!(of_hidden, of_missing);
        assert_eq!((count(&of_hidden, "NOT_FOUND"), count(&of_hidden, "RATE_LIMITED")), (OF_PRINCIPAL, 10));
        assert_eq!(world.event_rows().await - events, i64::try_from(OF_PRINCIPAL).unwrap(), "what is missing leaves no event");
        assert_eq!(world.decoys().await, i64::try_from(OF_PRINCIPAL).unwrap());
        world.vault.audit().record_repeated_denials(false).await.unwrap();
        assert_eq!(world.decoys().await, 0, "decoys do not stay");
    }

    async fn who_is_rate_limited_still_does_what_they_may_and_limits_nobody_else(world: World) {
        world.demo().await;
        let bob = user("bob");
        let assign = async |n: usize| {
            let change = RoleChange {
                project: format!("p-{n}"),
                user: "bob".to_owned(),
                role: project_vault::domain::Role::Accountable,
            };
            world.vault.members().assign_role(&bob, change).await.expect_err("refused").code().as_str()
        };
        for n in 0..OF_PRINCIPAL {
            assert_eq!(assign(n).await, "NOT_FOUND");
        }
        assert_eq!(assign(OF_PRINCIPAL).await, "RATE_LIMITED");
        assert_eq!(assign(0).await, "NOT_FOUND", "a repetition of what is recorded costs nothing");
        world.vault.entries().create(&bob, entry("TOKEN", "v")).await.unwrap();
        // The same subject as another kind of principal is another principal.
        assert_eq!(world.refuse(&runtime("bob"), "builder").await.code().as_str(), "FORBIDDEN");
        assert_eq!(world.refuse(&service("bob"), "builder").await.code().as_str(), "FORBIDDEN");
        world.clock.advance(Duration::from_secs(10));
        assert_eq!(assign(OF_PRINCIPAL).await, "NOT_FOUND", "one more after ten seconds");
        assert_eq!(assign(OF_PRINCIPAL + 1).await, "RATE_LIMITED");
    }

    async fn many_principals_fill_no_more_than_the_process_allows(world: World) {
        world.demo().await;
        let events = world.event_rows().await;
        let callers = OF_PROCESS + 300;
        let codes: Vec<&str> = futures::stream::iter(0..callers)
            .map(|n| {
                let world = &world;
                async move { world.refuse(&user(&format!("u-{n}")), "builder").await.code().as_str() }
            })
            .buffer_unordered(8)
            .collect()
            .await;
        assert_eq!(count(&codes, "RATE_LIMITED"), 300);
        world.clock.advance(MINUTE);
        world.vault.audit().record_repeated_denials(false).await.unwrap();
        assert_eq!(world.event_rows().await - events, OF_PROCESS + 1);
        let rest = world.denials().await.remove(0);
        assert_eq!((rest.actor.as_str(), rest.count), ("system:rate-limiter", 300));
    }

    async fn the_api_says_how_long_to_wait(world: World) {
        world.demo().await;
        let (mallory, evil) = (user("mallory"), runtime("evil-runtime"));
        for n in 0..OF_PRINCIPAL {
            world.refuse(&evil, &format!("agent-{n}")).await;
            world.refuse(&mallory, &format!("agent-{n}")).await;
        }
        let input = json!({ "projectId": "demo", "agentId": "builder", "purpose": "TOOL_EXECUTION" });
        let resolve = "query($i: ResolveSecretsInput!) { resolveSecrets(input: $i) { requestId } }";
        let preview = "query($i: PreviewSecretsInput!) { previewSecrets(input: $i) { blockedBy } }";
        let disable = "mutation($i: ID!) { disableVaultEntry(id: $i) { userErrors { code } } }";
        let asked = json!({ "projectId": "demo", "agentId": "builder" });
        for (caller, document, input) in
            [(&evil, resolve, input), (&mallory, preview, asked), (&mallory, disable, json!(EntryId::new().to_string()))]
        {
            let answer = world.ask(caller, document, json!({ "i": input })).await;
            assert_eq!(answer.codes(), ["RATE_LIMITED"], "{:#}", answer.0);
            let wait = answer.errors()[0]["extensions"]["retryAfterSeconds"].as_u64().unwrap();
            assert_eq!(wait, 10);
        }
    }

    async fn questions_for_names_that_are_not_there_are_counted_beyond_a_rate(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let failed = "SELECT count(*) AS n FROM audit_events WHERE outcome = 'FAILED'";
        let acme = runtime("acme-runtime");
        let asks = 100_i64;
        for n in 0..asks {
            let asked = tool_asks(agent_asks("builder", &["TOKEN", &format!("GUESS_{n}"), "GUESS"]));
            world.vault.agents().resolve(&acme, asked).await.unwrap();
        }
        let alone = i64::try_from(OF_PRINCIPAL).unwrap();
        assert_eq!(world.number(failed).await, alone);
        let released = "SELECT count(*) AS n FROM audit_events WHERE outcome = 'ALLOWED' AND action = 'SECRET_RESOLVED'";
        assert_eq!(world.number(released).await, asks, "what was released is recorded one by one, always");
        world.clock.advance(MINUTE);
        world.vault.audit().record_repeated_denials(false).await.unwrap();
        assert_eq!(world.number(failed).await, alone + 1);
        let names = "SELECT CAST(sum(count) AS BIGINT) AS n FROM audit_events WHERE outcome = 'FAILED' AND reason = 'NOT_FOUND'";
        assert_eq!(world.number(names).await, asks * 2, "every name is counted");
    }

    async fn a_rare_event_is_looked_for_in_so_many_events_a_page(world: World) {
        world.demo().await;
        // Of the newest 25,000 events none matches; behind them are the ones of the demo.
        world.add_events("demo", 25_000).await;
        let query = "query($after: String) { projectVault(projectId: \"demo\") { auditEvents(after: $after,
            filter: { actions: [PROJECT_REGISTERED] }) { nodes { action } pageInfo { hasNextPage endCursor } } } }";
        let alice = user("alice");
        let (mut after, mut pages) = (Value::Null, Vec::new());
        loop {
            let answer = world.ask(&alice, query, json!({ "after": after })).await;
            let page = answer.ok("/projectVault/auditEvents").clone();
            pages.push(page["nodes"].as_array().unwrap().len());
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == json!(false) {
                break;
            }
        }
        assert_eq!(pages, [0, 0, 1]);
    }

    async fn what_a_filtered_page_costs_does_not_grow_with_the_log(world: World) {
        world.demo().await;
        for project in ["small", "large"] {
            let new = new_project(project, "alice");
            world.vault.projects().register(&service("platform"), new).await.unwrap();
        }
        world.add_events("small", 11_000).await;
        world.add_events("large", 200_000).await;
        let aliases = |count| {
            let one = |n| format!("a{n}: auditEvents(filter: {{ actions: [KEYS_ROTATED] }}) {{ nodes {{ id }} }} ");
            let fields = (0..count).map(one).collect::<String>();
            format!("query($p: ID!) {{ projectVault(projectId: $p) {{ {fields} }} }}")
        };
        let alice = user("alice");
        let api = world.api();
        let ask = async |project: &str, document: &str| {
            let began = Instant::now();
            let answer = crate::support::ask(&api, &alice, document, json!({ "p": project })).await;
            (answer, began.elapsed())
        };
        let refused = ask("large", &aliases(30)).await.0;
        assert_eq!(refused.codes(), ["LIMIT_EXCEEDED"]);
        let five = aliases(5);
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            for (project, times) in [("small", &mut small), ("large", &mut large)] {
                let statements = world.statements();
                let (answer, time) = ask(project, &five).await;
                answer.ok("/projectVault/a4/nodes");
                assert!(world.statements() - statements <= 11, "two for each page, and one for the project");
                times.push(time);
            }
        }
        small.sort();
        large.sort();
        println!("five filtered pages: {:?} of 11,000 events, {:?} of 200,000", small[3], large[3]);
        // As many are looked at; the log is 18 times as long.
        assert!(large[3] < small[3] * 5, "{:?} and {:?}", small[3], large[3]);
    }

    async fn an_entry_of_another_project_has_no_events_here(world: World) {
        world.demo().await;
        let made = world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let other = new_project("other", "zoe");
        world.vault.projects().register(&service("platform"), other).await.unwrap();
        let query = "query($p: ID!, $f: VaultAuditFilter) { projectVault(projectId: $p) { auditEvents(filter: $f) {
            nodes { action } pageInfo { hasNextPage endCursor } } } }";
        let filter = json!({ "entryId": made.id.to_string() });
        let none = json!({ "nodes": [], "pageInfo": { "hasNextPage": false, "endCursor": null } });
        let zoe = world.ask(&user("zoe"), query, json!({ "p": "other", "f": filter })).await;
        assert_eq!(zoe.ok("/projectVault/auditEvents"), &none);
        let alice = world.ask(&user("alice"), query, json!({ "p": "demo", "f": filter })).await;
        assert_eq!(alice.ok("/projectVault/auditEvents/nodes"), &json!([{ "action": "ENTRY_CREATED" }]));
    }
}
