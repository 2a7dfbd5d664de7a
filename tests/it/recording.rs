//! Which calls record an event, and which do not (`product.md`, section 6).

use crate::support::{Backend, World, entry, new_project, runtime, service, tool_asks, user};
use project_vault::domain::{AuditAction, AuditOutcome};
use project_vault::vault::{AgentQuestion, AuditEvent, AuditQuery, Caller, NewEntry, Vault};
use serde_json::json;
use std::time::Duration;

async fn denials(world: &World) -> Vec<AuditEvent> {
    let query = AuditQuery { outcomes: Some(vec![AuditOutcome::Denied]), ..AuditQuery::default() };
    let page = crate::support::vault_events(&world.vault, &user("audrey"), None, &query).await.unwrap();
    page.items.into_iter().map(|(event, _)| event).collect()
}

/// What a change of a project, an entry or a milestone is answered.
async fn change(vault: &Vault, caller: &Caller, kind: &str, id: &str) -> String {
    let refused = match kind {
        "project" => {
            let new = NewEntry { project: id.to_owned(), ..entry("A", "v") };
            vault.entries().create(caller, new).await.err()
        }
        "entry" => vault.entries().disable(caller, id.to_owned()).await.err(),
        _ => vault.milestones().close(caller, id.to_owned()).await.err(),
    };
    let refused = refused.unwrap();
    format!("{} {refused}", refused.code())
}

both! {
    async fn a_denial_is_an_event_at_once_and_its_repetitions_one_more(world: World) {
        world.demo().await;
        let carol = user("carol");
        for _ in 0..5 {
            world.vault.entries().create(&carol, entry("TOKEN", "v")).await.err().expect("refused");
        }
        let told = denials(&world).await;
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].action, told[0].actor.as_str(), told[0].reason.as_deref(), told[0].count),
            (AuditAction::EntryCreated, "user:carol", Some("FORBIDDEN"), 1)
        );
        world.vault.audit().record_repeated_denials(false).await.unwrap();
        assert_eq!(denials(&world).await.len(), 1, "the minute has not ended");
        world.clock.advance(Duration::from_secs(60));
        world.vault.audit().record_repeated_denials(false).await.unwrap();
        let told = denials(&world).await;
        assert_eq!(told.iter().map(|event| event.count).collect::<Vec<_>>(), [4, 1]);
        world.vault.entries().create(&carol, entry("TOKEN", "v")).await.err().expect("refused");
        assert_eq!(denials(&world).await.len(), 3, "a new minute begins with an event");
        world.vault.entries().create(&user("dave"), entry("TOKEN", "v")).await.err().expect("refused");
        assert_eq!(denials(&world).await.len(), 4, "another actor is another denial");
    }

    async fn a_denial_is_recorded_although_nobody_waits_for_it_any_more(world: World) {
        world.demo().await;
        let carol = user("carol");
        // On SQLite nothing can be recorded meanwhile.
        let busy = world.store.begin().await.unwrap();
        let refused = world.vault.entries().create(&carol, entry("TOKEN", "v"));
        let waited = tokio::time::timeout(Duration::from_millis(500), refused).await;
        assert_eq!(waited.is_err(), world.backend == Backend::Sqlite);
        busy.rollback().await.unwrap();
        for _ in 0..100 {
            if !denials(&world).await.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        world.vault.entries().create(&carol, entry("TOKEN", "v")).await.err().expect("refused");
        assert_eq!(denials(&world).await.len(), 1, "the second one is its repetition");
    }

    async fn a_repetition_after_its_minute_begins_a_new_one_also_before_the_job_has_run(world: World) {
        world.demo().await;
        let refuse = async || world.vault.entries().create(&user("carol"), entry("TOKEN", "v")).await.err().expect("refused");
        for _ in 0..3 {
            refuse().await;
        }
        world.clock.advance(Duration::from_secs(60));
        for _ in 0..4 {
            refuse().await;
        }
        let counts = async || denials(&world).await.iter().map(|event| event.count).collect::<Vec<_>>();
        assert_eq!(counts().await, [1, 2, 1], "one at once, two more within its minute, one at once in the next");
        world.clock.advance(Duration::from_secs(60));
        world.vault.audit().record_repeated_denials(false).await.unwrap();
        assert_eq!(counts().await, [3, 1, 2, 1]);
    }

    async fn who_cannot_see_an_existing_project_is_recorded_and_a_missing_one_is_not(world: World) {
        world.demo().await;
        let made = world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let mallory = user("mallory");
        let before = denials(&world).await.len();
        let missing = NewEntry { project: "nowhere".to_owned(), ..entry("A", "v") };
        let of_missing = world.vault.entries().create(&mallory, missing).await.err().unwrap();
        assert_eq!(denials(&world).await.len(), before);
        let of_hidden = world.vault.entries().create(&mallory, entry("A", "v")).await.err().unwrap();
        assert_eq!((of_hidden.code(), of_hidden.to_string()), (of_missing.code(), of_missing.to_string()));
        let of_entry = world.vault.entries().disable(&mallory, made.id.to_string()).await.err().unwrap();
        let of_none = world.vault.entries().disable(&mallory, project_vault::domain::EntryId::new().to_string()).await;
        assert_eq!(of_entry.to_string(), of_none.err().unwrap().to_string());
        let told = denials(&world).await;
        assert_eq!(told.len(), before + 2);
        assert!(told.iter().all(|event| event.project.as_deref() == Some("demo")));
    }

    async fn the_same_work_is_done_for_what_is_missing_and_what_is_hidden(world: World) {
        world.demo().await;
        let made = world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap().id.to_string();
        let mallory = user("mallory");
        let none = project_vault::domain::EntryId::new().to_string();
        let documents = [
            "query($id: ID!) { vaultEntry(id: $id) { name maskedValue } }",
            "query($id: ID!) { _entities(representations: [{ __typename: \"VaultEntry\", id: $id }]) { ... on VaultEntry { name maskedValue } } }",
        ];
        for document in documents {
            let mut work = Vec::new();
            for id in [&made, &none] {
                let (statements, batches) = (world.statements(), world.batches());
                let answer = world.ask(&mallory, document, json!({ "id": id })).await;
                let answer = answer.ok("").to_string();
                work.push((answer, world.statements() - statements, world.batches() - batches));
            }
            assert_eq!(work[0], work[1], "{document}");
        }
        let documents = [
            "query($id: ID!) { projectVault(projectId: $id) { status entries { totalCount } } }",
            "query($id: ID!) { _entities(representations: [{ __typename: \"Project\", id: $id }]) { ... on Project { vault { status } } } }",
        ];
        for document in documents {
            let mut work = Vec::new();
            for id in ["demo", "nowhere"] {
                let (statements, batches) = (world.statements(), world.batches());
                let answer = world.ask(&mallory, document, json!({ "id": id })).await;
                let answer = answer.ok("").to_string();
                work.push((answer, world.statements() - statements, world.batches() - batches));
            }
            assert_eq!(work[0], work[1], "{document}");
        }
    }

    async fn a_batch_of_guesses_asks_as_much_for_what_is_missing_as_for_what_is_hidden(world: World) {
        world.demo().await;
        for n in 0..60 {
            let project = new_project(&format!("p{n}"), "dave");
            world.vault.projects().register(&service("platform"), project).await.unwrap();
        }
        let mallory = user("mallory");
        let document = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Project { id vault { status } } } }";
        let mut work = Vec::new();
        // Hidden ones, missing ones, and both: 60 questions are two batches.
        for ids in [(0..60), (1_000..1_060), (30..90)] {
            let representations: Vec<_> =
                ids.map(|n| json!({ "__typename": "Project", "id": format!("p{n}") })).collect();
            let (statements, batches) = (world.statements(), world.batches());
            let answer = world.ask(&mallory, document, json!({ "r": representations })).await;
            assert!(answer.ok("/_entities").as_array().unwrap().iter().all(|project| project["vault"].is_null()));
            work.push((world.statements() - statements, world.batches() - batches));
        }
        assert_eq!(work, [(1, 2); 3]);
    }

    async fn a_change_costs_the_same_whether_its_object_is_missing_or_hidden(world: World) {
        world.demo().await;
        let made = world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap().id.to_string();
        let none = project_vault::domain::EntryId::new().to_string();
        let mallory = user("mallory");
        // The second time it is a repetition.
        for time in ["first", "second"] {
            for (kind, hidden, missing) in
                [("project", "demo", "nowhere"), ("entry", &made, &none), ("milestone", "demo-launch", "nowhere")]
            {
                let mut work = Vec::new();
                for id in [hidden, missing] {
                    let (statements, batches) = (world.statements(), world.batches());
                    let answer = change(&world.vault, &mallory, kind, id).await;
                    work.push((answer, world.statements() - statements, world.batches() - batches));
                }
                assert_eq!(work[0], work[1], "{kind}, the {time} time");
                assert!(work[0].0.starts_with("NOT_FOUND"), "{kind}: {}", work[0].0);
            }
        }
        let told = denials(&world).await;
        assert!(told.iter().all(|event| event.project.as_deref() == Some("demo")), "what does not exist leaves no event");
        assert_eq!(told.len(), 3);
    }

    async fn a_refusal_that_cannot_be_recorded_is_the_same_for_what_is_missing_and_what_is_hidden(world: World) {
        world.demo().await;
        // The database answers, and cannot be written to.
        let held = match world.backend {
            Backend::Sqlite => Some(world.store.begin().await.unwrap()),
            Backend::Postgres => {
                let name = world.url().rsplit('/').next().unwrap();
                world.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await.unwrap();
                None
            }
        };
        let (vault, mallory) = (world.another_server(), user("mallory"));
        let asked = [("project", "demo"), ("project", "nowhere"), ("milestone", "demo-launch"), ("milestone", "nowhere")];
        let told = futures::future::join_all(asked.map(|(kind, id)| change(&vault, &mallory, kind, id))).await;
        assert!(told.iter().all(|answer| answer == &told[0] && answer.starts_with("UNAVAILABLE")), "{told:?}");
        drop(held);
    }

    async fn refused_input_conflicts_and_limits_are_no_events(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let before = world.number("SELECT count(*) AS n FROM audit_events").await;
        for new in [entry("TOKEN", "v"), entry("PATH", "v"), entry("A", ""), entry("A", &"x".repeat(70_000))] {
            world.vault.entries().create(&user("bob"), new).await.err().expect("refused");
        }
        let many = AgentQuestion {
            project: "demo".to_owned(),
            agent: "builder".to_owned(),
            milestone: None,
            names: Some(vec!["A".to_owned(); 501]),
            provided: vec![],
        };
        world.vault.agents().resolve(&runtime("acme-runtime"), tool_asks(many)).await.err().expect("refused");
        assert_eq!(world.number("SELECT count(*) AS n FROM audit_events").await, before);
    }

    async fn an_accountable_person_reads_their_projects_events_only(world: World) {
        world.demo().await;
        let other = new_project("other", "zoe");
        world.vault.projects().register(&service("platform"), other).await.unwrap();
        let query = "query($p: ID!, $f: VaultAuditFilter, $after: String) { projectVault(projectId: $p) {
            auditEvents(first: 2, filter: $f, after: $after) { nodes { projectId action actor count requestId } pageInfo { hasNextPage endCursor } } } }";
        let own = world.ask(&user("zoe"), query, json!({ "p": "other" })).await;
        let nodes = own.ok("/projectVault/auditEvents/nodes").clone();
        assert_eq!(nodes.as_array().unwrap().len(), 1);
        assert_eq!((&nodes[0]["action"], &nodes[0]["actor"]), (&json!("PROJECT_REGISTERED"), &json!("service:platform")));
        let audrey = user("audrey");
        let mut seen = 0;
        let mut after = json!(null);
        loop {
            let page = world.ask(&audrey, query, json!({ "p": "demo", "after": after })).await;
            seen += page.ok("/projectVault/auditEvents/nodes").as_array().unwrap().len();
            after = page.at("/projectVault/auditEvents/pageInfo/endCursor").clone();
            if page.at("/projectVault/auditEvents/pageInfo/hasNextPage") == &json!(false) {
                break;
            }
        }
        let all = world.number("SELECT count(*) AS n FROM audit_events WHERE project_id = 'demo'").await;
        assert_eq!(i64::try_from(seen).unwrap(), all);
        let filter = json!({ "actions": ["ROLE_ASSIGNED"], "outcomes": ["ALLOWED"], "since": "2030-01-01T00:00:00Z" });
        let roles = world.ask(&audrey, query, json!({ "p": "demo", "f": filter })).await;
        assert!(roles.ok("/projectVault/auditEvents/nodes").as_array().unwrap().iter().all(|node| node["action"] == "ROLE_ASSIGNED"));
        for filter in [json!({ "actions": [] }), json!({ "entryId": "nonsense" }), json!({ "until": "2030-01-01T00:00:00Z" })] {
            let none = world.ask(&audrey, query, json!({ "p": "demo", "f": filter })).await;
            assert_eq!(*none.ok("/projectVault/auditEvents/nodes"), json!([]), "{filter}");
        }
    }
}
