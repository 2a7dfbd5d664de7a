//! What an agent receives: `product.md`, section 4.

use crate::support::{World, agent_asks, entry, names, runtime, service, tool_asks, user};
use SecretOutcome::{Expired, NotFound, ProvidedByWorkspace, Resolved as Found};
use project_vault::domain::Clock as _;
use project_vault::domain::{
    AgentId, Category, Error, MilestoneId, Narrowing, Phase, Principal, ProjectId, ProjectStatus, RequestId, RuntimeId,
    SecretOutcome, Timestamp,
};
use project_vault::store::records::Values;
use project_vault::vault::{
    AgentChange, AgentQuestion, AuditQuery, Caller, Change, EntryChanges, NewEntry, NewMilestone, Resolved,
};
use secrecy::ExposeSecret as _;
use std::collections::BTreeSet;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// Everything that `deployer` may use on the milestone.
fn on_milestone(names: Option<&[&str]>, provided: &[&str]) -> AgentQuestion {
    AgentQuestion {
        project: "demo".to_owned(),
        agent: "deployer".to_owned(),
        milestone: Some("demo-launch".to_owned()),
        names: names.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        provided: provided.iter().map(|name| (*name).to_owned()).collect(),
    }
}

async fn resolve(world: &World, caller: &Caller, question: AgentQuestion) -> Result<Vec<Resolved>, Error> {
    Ok(world.vault.agents().resolve(caller, tool_asks(question)).await?.secrets)
}

fn values(resolved: &[Resolved]) -> Vec<(&str, Option<&str>)> {
    resolved
        .iter()
        .map(|answer| (answer.name.as_str(), answer.value.as_ref().map(|value| value.expose_secret())))
        .collect()
}

async fn code(world: &World, caller: &Caller, question: AgentQuestion) -> &'static str {
    resolve(world, caller, question).await.err().map_or("OK", |error| error.code().as_str())
}

fn of_milestone(name: &str, value: &str) -> NewEntry {
    NewEntry { milestone: Some("demo-launch".to_owned()), ..entry(name, value) }
}

async fn set_phase(world: &World, phase: Phase) {
    let milestone = NewMilestone { id: "demo-launch".to_owned(), project: "demo".to_owned(), phase };
    world.vault.milestones().put(&service("platform"), milestone).await.unwrap();
}

async fn create(world: &World, new: NewEntry) -> String {
    world.vault.entries().create(&user("bob"), new).await.unwrap().id.to_string()
}

async fn expire(world: &World, id: &str) {
    let changes = EntryChanges {
        id: id.to_owned(),
        name: Change::Keep,
        description: Change::Keep,
        category: Change::Keep,
        expires_at: Change::Set(Timestamp::from_millis(0)),
        rotation_interval_days: Change::Keep,
        expected_revision: None,
    };
    world.vault.entries().update(&user("bob"), changes).await.unwrap();
}

fn narrowed(to: Narrowing) -> Caller {
    Caller {
        principal: Principal::Runtime(RuntimeId::parse("globex-runtime").unwrap(), to),
        request_id: RequestId::new(),
    }
}

both! {
    async fn precedence_is_workspace_then_milestone_then_project(world: World) {
        world.demo().await;
        create(&world, entry("BOTH", "project's")).await;
        create(&world, of_milestone("BOTH", "milestone's")).await;
        create(&world, entry("ONLY_PROJECT", "p")).await;
        create(&world, of_milestone("ONLY_MILESTONE", "m")).await;
        create(&world, entry("BYOK", "unused")).await;
        let old = create(&world, entry("OLD", "o")).await;
        expire(&world, &old).await;
        let off = create(&world, entry("OFF", "x")).await;
        world.vault.entries().disable(&user("bob"), off).await.unwrap();
        let gone = create(&world, entry("GONE", "x")).await;
        world.vault.entries().delete(&user("alice"), gone).await.unwrap();

        let runtime = runtime("globex-runtime");
        let all = resolve(&world, &runtime, on_milestone(None, &["BYOK", "UNKNOWN", "OFF", "not a name"])).await.unwrap();
        assert_eq!(
            names(&all),
            [
                ("BOTH", Found),
                ("BYOK", ProvidedByWorkspace),
                ("OLD", Expired),
                ("ONLY_MILESTONE", Found),
                ("ONLY_PROJECT", Found),
            ]
        );
        assert_eq!(
            values(&all),
            [
                ("BOTH", Some("milestone's")),
                ("BYOK", None),
                ("OLD", None),
                ("ONLY_MILESTONE", Some("m")),
                ("ONLY_PROJECT", Some("p")),
            ]
        );
        let asked = ["OFF", "ONLY_PROJECT", "GONE", "NOWHERE", "OLD", "ONLY_PROJECT", "not a name"];
        let some = resolve(&world, &runtime, on_milestone(Some(&asked), &[])).await.unwrap();
        assert_eq!(
            names(&some),
            [
                ("OFF", NotFound),
                ("ONLY_PROJECT", Found),
                ("GONE", NotFound),
                ("NOWHERE", NotFound),
                ("OLD", Expired),
                ("not a name", NotFound),
            ]
        );
        let none = resolve(&world, &runtime, on_milestone(Some(&[]), &[])).await.unwrap();
        assert!(none.is_empty());
        let without = AgentQuestion { milestone: None, ..on_milestone(Some(&["BOTH"]), &[]) };
        assert_eq!(values(&resolve(&world, &runtime, without).await.unwrap()), [("BOTH", Some("project's"))]);
    }

    async fn a_milestones_entries_exist_during_its_phase_only(world: World) {
        world.demo().await;
        create(&world, entry("TOKEN", "project's")).await;
        create(&world, of_milestone("TOKEN", "milestone's")).await;
        create(&world, of_milestone("PHASED", "m")).await;
        let runtime = runtime("globex-runtime");
        let now = world.clock.now();
        let at = |offset: i64| Some(Timestamp::from_millis(now.millis() + offset));
        for (opens_at, closes_at, open) in [
            (None, None, true),
            (at(0), at(1), true),
            (at(-5), None, true),
            (at(1), None, false),
            (None, at(0), false),
            (at(-5), at(-1), false),
        ] {
            set_phase(&world, Phase { opens_at, closes_at }).await;
            let found = resolve(&world, &runtime, on_milestone(Some(&["TOKEN", "PHASED"]), &[])).await.unwrap();
            let expected = if open {
                [("TOKEN", Some("milestone's")), ("PHASED", Some("m"))]
            } else {
                [("TOKEN", Some("project's")), ("PHASED", None)]
            };
            assert_eq!(values(&found), expected, "{opens_at:?} {closes_at:?}");
        }
        set_phase(&world, Phase { opens_at: at(1_000), closes_at: None }).await;
        world.vault.milestones().close(&user("alice"), "demo-launch".to_owned()).await.unwrap();
        world.clock.advance(HOUR);
        let found = resolve(&world, &runtime, on_milestone(Some(&["PHASED"]), &[])).await.unwrap();
        assert_eq!(names(&found), [("PHASED", NotFound)]);
    }

    async fn an_entry_expires_by_the_servers_clock(world: World) {
        world.demo().await;
        let ends = world.clock.now().plus(HOUR);
        create(&world, NewEntry { expires_at: Some(ends), ..entry("TOKEN", "v") }).await;
        let runtime = runtime("acme-runtime");
        let ask = || resolve(&world, &runtime, agent_asks("builder", &["TOKEN"]));
        assert_eq!(names(&ask().await.unwrap()), [("TOKEN", Found)]);
        world.clock.advance(HOUR);
        assert_eq!(names(&ask().await.unwrap()), [("TOKEN", Expired)]);
    }

    async fn every_way_not_to_be_allowed_is_the_same_refusal(world: World) {
        world.demo().await;
        create(&world, entry("TOKEN", "v")).await;
        let platform = service("platform");
        let ask = |agent: &str| agent_asks(agent, &["TOKEN"]);
        let acme = runtime("acme-runtime");
        assert_eq!(code(&world, &acme, ask("builder")).await, "OK");
        let elsewhere = |project: &str| AgentQuestion { project: project.to_owned(), ..ask("builder") };
        let on = |milestone: &str| AgentQuestion { milestone: Some(milestone.to_owned()), ..ask("builder") };
        for (caller, question) in [
            (user("alice"), ask("builder")),
            (platform.clone(), ask("builder")),
            (runtime("globex-runtime"), ask("builder")),
            (acme.clone(), ask("deployer")),
            (acme.clone(), ask("nobody")),
            (runtime("nobody-s-runtime"), ask("builder")),
            (acme.clone(), elsewhere("no-such-project")),
            (acme.clone(), on("demo-launch")),
            (acme.clone(), on("no-such-milestone")),
        ] {
            let error = resolve(&world, &caller, question.clone()).await.err().expect("refused");
            assert_eq!(error.code().as_str(), "FORBIDDEN", "{} {question:?}", caller.principal);
            assert_eq!(
                error.to_string(),
                "This agent may not receive this project's secrets through this caller, or there is no such thing."
            );
        }
        for status in [ProjectStatus::Planning, ProjectStatus::Paused, ProjectStatus::Completed, ProjectStatus::Cancelled] {
            world.vault.projects().set_status(&platform, "demo".to_owned(), status).await.unwrap();
            assert_eq!(code(&world, &acme, ask("builder")).await, "FORBIDDEN", "{status}");
        }
        world.vault.projects().set_status(&platform, "demo".to_owned(), ProjectStatus::Active).await.unwrap();
        assert_eq!(code(&world, &acme, ask("builder")).await, "OK");
    }

    async fn a_milestone_of_another_project_opens_nothing(world: World) {
        world.demo().await;
        let platform = service("platform");
        let other = project_vault::vault::NewProject {
            project: "other".to_owned(),
            participants: vec!["globex".to_owned()],
            accountable: vec!["zoe".to_owned()],
            status: ProjectStatus::Active,
        };
        world.vault.projects().register(&platform, other).await.unwrap();
        let release = NewMilestone { id: "release".to_owned(), project: "other".to_owned(), phase: Phase::default() };
        world.vault.milestones().put(&platform, release).await.unwrap();
        let change = AgentChange {
            project: "other".to_owned(),
            agent: "deployer".to_owned(),
            milestone: Some("release".to_owned()),
        };
        world.vault.members().assign_agent(&user("zoe"), change).await.unwrap();
        let question = AgentQuestion { milestone: Some("release".to_owned()), ..on_milestone(None, &[]) };
        assert_eq!(code(&world, &runtime("globex-runtime"), question).await, "FORBIDDEN");
    }

    async fn what_was_taken_away_stays_away(world: World) {
        world.demo().await;
        let id = create(&world, entry("TOKEN", "v")).await;
        let (alice, platform) = (user("alice"), service("platform"));
        let acme = runtime("acme-runtime");
        let ask = || agent_asks("builder", &["TOKEN"]);
        let vault = &world.vault;
        let assign =
            || AgentChange { project: "demo".to_owned(), agent: "builder".to_owned(), milestone: None };

        vault.entries().disable(&alice, id.clone()).await.unwrap();
        assert_eq!(names(&resolve(&world, &acme, ask()).await.unwrap()), [("TOKEN", NotFound)]);
        vault.entries().enable(&alice, id.clone()).await.unwrap();
        assert_eq!(names(&resolve(&world, &acme, ask()).await.unwrap()), [("TOKEN", Found)]);
        vault.entries().delete(&alice, id.clone()).await.unwrap();
        assert_eq!(names(&resolve(&world, &acme, ask()).await.unwrap()), [("TOKEN", NotFound)]);
        vault.entries().restore(&alice, id).await.unwrap();

        vault.members().unassign_agent(&alice, assign()).await.unwrap();
        assert_eq!(code(&world, &acme, ask()).await, "FORBIDDEN");
        vault.members().assign_agent(&alice, assign()).await.unwrap();
        assert_eq!(code(&world, &acme, ask()).await, "OK");
        vault.members().unregister_runtime(&platform, "acme-runtime".to_owned()).await.unwrap();
        assert_eq!(code(&world, &acme, ask()).await, "FORBIDDEN");
        vault.members().register_runtime(&platform, "acme-runtime".to_owned(), "acme".to_owned()).await.unwrap();
        vault.members().register_agent(&platform, "builder".to_owned(), "globex".to_owned()).await.unwrap();
        assert_eq!(code(&world, &acme, ask()).await, "FORBIDDEN");
        assert_eq!(code(&world, &runtime("globex-runtime"), ask()).await, "OK", "a moved agent keeps its assignments");
        vault.projects().remove_participant(&platform, "demo".to_owned(), "globex".to_owned()).await.unwrap();
        assert_eq!(code(&world, &runtime("globex-runtime"), ask()).await, "FORBIDDEN");
        vault.projects().add_participant(&platform, "demo".to_owned(), "globex".to_owned()).await.unwrap();
        assert_eq!(
            code(&world, &runtime("globex-runtime"), ask()).await,
            "FORBIDDEN",
            "an organization that left took its agents' assignments with it"
        );
        vault.members().assign_agent(&alice, assign()).await.unwrap();
        assert_eq!(code(&world, &runtime("globex-runtime"), ask()).await, "OK");
        vault.members().unregister_agent(&platform, "builder".to_owned()).await.unwrap();
        assert_eq!(code(&world, &runtime("globex-runtime"), ask()).await, "FORBIDDEN");
    }

    async fn a_narrowed_token_opens_nothing_else(world: World) {
        world.demo().await;
        create(&world, entry("TOKEN", "v")).await;
        create(&world, entry("OTHER", "v")).await;
        create(&world, of_milestone("PHASED", "m")).await;
        let project = || ProjectId::parse("demo").unwrap();
        let set = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
        let no = Narrowing::default;
        for (to, question, expected) in [
            (Narrowing { project: Some(project()), ..no() }, on_milestone(None, &[]), "OK"),
            (Narrowing { project: ProjectId::parse("x").ok(), ..no() }, on_milestone(None, &[]), "FORBIDDEN"),
            (Narrowing { agent: AgentId::parse("deployer").ok(), ..no() }, on_milestone(None, &[]), "OK"),
            (Narrowing { agent: AgentId::parse("builder").ok(), ..no() }, on_milestone(None, &[]), "FORBIDDEN"),
            (Narrowing { milestone: MilestoneId::parse("demo-launch").ok(), ..no() }, on_milestone(None, &[]), "OK"),
            (
                Narrowing { milestone: MilestoneId::parse("demo-launch").ok(), ..no() },
                AgentQuestion { milestone: None, ..on_milestone(None, &[]) },
                "FORBIDDEN",
            ),
            (Narrowing { names: set(&["TOKEN"]), ..no() }, on_milestone(Some(&["TOKEN"]), &[]), "OK"),
            (Narrowing { names: set(&["TOKEN"]), ..no() }, on_milestone(Some(&["TOKEN", "OTHER"]), &[]), "FORBIDDEN"),
            (Narrowing { names: set(&[]), ..no() }, on_milestone(None, &[]), "OK"),
        ] {
            assert_eq!(code(&world, &narrowed(to.clone()), question.clone()).await, expected, "{to:?} {question:?}");
            let preview = world.vault.agents().preview(&narrowed(to.clone()), question).await;
            assert_eq!(preview.err().map_or("OK", |error| error.code().as_str()), expected, "previewing with {to:?}");
        }
        let only = narrowed(Narrowing { names: set(&["TOKEN", "PHASED", "NOWHERE"]), ..no() });
        let found = resolve(&world, &only, on_milestone(None, &[])).await.unwrap();
        assert_eq!(names(&found), [("PHASED", Found), ("TOKEN", Found)]);
        let many: Vec<String> = (0..600).map(|n| format!("A_{n}")).chain(["TOKEN".to_owned()]).collect();
        let many = narrowed(Narrowing { names: Some(many.into_iter().collect()), ..no() });
        let found = resolve(&world, &many, on_milestone(None, &[])).await.unwrap();
        assert_eq!(names(&found), [("TOKEN", Found)], "however many names are claimed");
        let nothing = narrowed(Narrowing { names: set(&[]), ..no() });
        assert!(resolve(&world, &nothing, on_milestone(None, &[])).await.unwrap().is_empty());
    }

    async fn bounds_are_judged_after_the_permission_and_release_nothing(world: World) {
        world.demo().await;
        let many: Vec<String> = (0..501).map(|n| format!("N{n}")).collect();
        let acme = runtime("acme-runtime");
        let ask = |names: Vec<String>| AgentQuestion { names: Some(names), ..agent_asks("builder", &[]) };
        assert_eq!(code(&world, &acme, ask(many.clone())).await, "LIMIT_EXCEEDED");
        assert_eq!(code(&world, &acme, ask(many[..500].to_vec())).await, "OK");
        let provided: Vec<String> = (0..10_001).map(|n| format!("N{n}")).collect();
        let question = AgentQuestion { provided: provided.clone(), ..agent_asks("builder", &[]) };
        assert_eq!(code(&world, &acme, question.clone()).await, "LIMIT_EXCEEDED");
        assert_eq!(code(&world, &runtime("globex-runtime"), question).await, "FORBIDDEN");
        let question = AgentQuestion { provided: provided[..10_000].to_vec(), ..agent_asks("builder", &[]) };
        assert_eq!(code(&world, &acme, question).await, "OK");
        for label in ["", "ü", "a\u{7f}", &"x".repeat(201)] {
            let mut request = tool_asks(agent_asks("builder", &[]));
            request.session = Some(label.to_owned());
            let error = world.vault.agents().resolve(&acme, request).await.err().expect("refused");
            assert_eq!(error.code().as_str(), "INVALID_INPUT", "{label:?}");
        }
        let big = "x".repeat(64 * 1024);
        for n in 0..65 {
            create(&world, NewEntry { category: Category::Other, ..entry(&format!("BIG_{n}"), &big) }).await;
        }
        let all = AgentQuestion { names: None, ..agent_asks("builder", &[]) };
        assert_eq!(code(&world, &acme, all).await, "LIMIT_EXCEEDED");
        let most: Vec<String> = (0..64).map(|n| format!("BIG_{n}")).collect();
        assert_eq!(code(&world, &acme, ask(most)).await, "OK");
        let released = world.number("SELECT count(*) AS n FROM audit_events WHERE outcome = 'ALLOWED' AND action = 'SECRET_RESOLVED'").await;
        assert_eq!(released, 64);
    }

    async fn each_released_value_has_its_record_and_probing_shows(world: World) {
        world.demo().await;
        let id = create(&world, entry("TOKEN", "v")).await;
        let old = create(&world, entry("OLD", "v")).await;
        expire(&world, &old).await;
        let acme = runtime("acme-runtime");
        let mut request = tool_asks(agent_asks("builder", &["TOKEN", "A", "B", "OLD"]));
        request.session = Some("session 1".to_owned());
        request.tool = Some("git push".to_owned());
        world.vault.agents().resolve(&acme, request).await.unwrap();
        assert_eq!(code(&world, &runtime("globex-runtime"), agent_asks("builder", &["TOKEN"])).await, "FORBIDDEN");
        let page = crate::support::vault_events(&world.vault, &user("audrey"), Some("demo".to_owned()), &AuditQuery::default())
            .await
            .unwrap();
        let told: Vec<String> = page
            .items
            .iter()
            .map(|(event, _)| event)
            .filter(|event| event.action.as_str() == "SECRET_RESOLVED")
            .map(|event| {
                format!(
                    "{} {} {} x{} {:?} v{:?} {:?} {:?} for {:?}",
                    event.actor,
                    event.outcome,
                    event.reason.as_deref().unwrap_or("-"),
                    event.count,
                    event.entry.map(|entry| entry.to_string() == id),
                    event.entry_version,
                    event.session,
                    event.tool,
                    event.agent,
                )
            })
            .collect();
        let expected = [
            "runtime:globex-runtime DENIED FORBIDDEN x1 None vNone None None for Some(\"builder\")",
            "runtime:acme-runtime FAILED EXPIRED x1 None vNone Some(\"session 1\") Some(\"git push\") for Some(\"builder\")",
            "runtime:acme-runtime FAILED NOT_FOUND x2 None vNone Some(\"session 1\") Some(\"git push\") for Some(\"builder\")",
            "runtime:acme-runtime ALLOWED - x1 Some(true) vSome(1) Some(\"session 1\") Some(\"git push\") for Some(\"builder\")",
        ];
        assert_eq!(told, expected);
        let id = project_vault::domain::EntryId::parse(&id).unwrap();
        let usage = world.vault.entries().usage_of(&[id]).await.unwrap()[&id];
        assert_eq!((usage.count, usage.last), (1, Some(world.clock.now())));
    }

    async fn a_resolve_costs_three_statements_and_one_batch_for_1_secret_or_500(world: World) {
        world.demo().await;
        let lines: String = (0..500).map(|n| format!("NAME_{n}=value {n}\n")).collect();
        let import = project_vault::vault::Import {
            project: "demo".to_owned(),
            milestone: None,
            dotenv: lines.into(),
            category: Category::Secret,
            on_conflict: project_vault::vault::OnConflict::Fail,
        };
        world.vault.entries().import(&user("bob"), import).await.unwrap();
        let all: Vec<String> = (0..500).map(|n| format!("NAME_{n}")).collect();
        for names in [vec!["NAME_7".to_owned()], all] {
            let (statements, batches) = (world.statements(), world.batches());
            let of_authorizer = world.statements_of_authorizer();
            let question = AgentQuestion { names: Some(names.clone()), ..on_milestone(None, &[]) };
            let found = resolve(&world, &runtime("globex-runtime"), question).await.unwrap();
            assert_eq!(found.iter().filter(|answer| answer.outcome == Found).count(), names.len());
            assert!(world.statements() - statements <= 3, "{} statements", world.statements() - statements);
            assert_eq!(world.batches() - batches, 1);
            assert!(world.statements_of_authorizer() - of_authorizer <= 3);
        }
    }

    async fn a_preview_answers_the_same_and_says_what_stands_in_the_way(world: World) {
        world.demo().await;
        create(&world, entry("TOKEN", "v")).await;
        let preview = |caller: Caller, question: AgentQuestion| {
            let vault = world.vault.clone();
            async move { vault.agents().preview(&caller, question).await }
        };
        use project_vault::vault::Block::{AgentNotAssigned, AgentNotOnMilestone, ProjectNotActive};
        let bob = || user("bob");
        let ask = |agent: &str| AgentQuestion { names: None, ..agent_asks(agent, &[]) };
        let on = |milestone: &str| AgentQuestion { milestone: Some(milestone.to_owned()), ..ask("builder") };
        let shown = preview(bob(), ask("builder")).await.unwrap();
        assert_eq!(shown.blocked_by, []);
        assert_eq!(shown.secrets.len(), 1);
        assert_eq!(shown.secrets[0].outcome, Found);
        assert!(shown.secrets[0].entry.is_some());
        let seen = preview(runtime("acme-runtime"), ask("builder")).await.unwrap();
        assert!(seen.secrets[0].entry.is_none(), "a runtime sees names and outcomes only");
        assert_eq!(preview(bob(), ask("nobody")).await.unwrap().blocked_by, [AgentNotAssigned]);
        assert_eq!(preview(bob(), on("demo-launch")).await.unwrap().blocked_by, [AgentNotOnMilestone]);
        assert_eq!(preview(bob(), on("nowhere")).await.unwrap().blocked_by, [AgentNotOnMilestone]);
        world.vault.projects().set_status(&service("platform"), "demo".to_owned(), ProjectStatus::Paused).await.unwrap();
        assert_eq!(preview(bob(), ask("builder")).await.unwrap().blocked_by, [ProjectNotActive]);
        for (caller, question) in [
            (user("carol"), ask("builder")),
            (user("mallory"), ask("builder")),
            (service("platform"), ask("builder")),
            (runtime("acme-runtime"), ask("builder")),
            (bob(), AgentQuestion { project: "nowhere".to_owned(), ..ask("builder") }),
        ] {
            let error = preview(caller.clone(), question).await.err().expect("refused");
            assert_eq!(error.code().as_str(), "FORBIDDEN", "{}", caller.principal);
        }
        let previews = world.number("SELECT count(*) AS n FROM audit_events WHERE action = 'SECRETS_PREVIEWED' AND outcome = 'ALLOWED'").await;
        assert_eq!(previews, 6);
    }

    async fn only_values_that_may_be_released_are_read(world: World) {
        world.demo().await;
        for name in ["LIVE", "OLD", "OFF"] {
            create(&world, entry(name, "v")).await;
        }
        create(&world, of_milestone("PHASED", "m")).await;
        world.sql("UPDATE entries SET expires_at = 1893456000000 WHERE name = 'OLD'").await.unwrap();
        world.sql("UPDATE entries SET disabled = (1 = 1) WHERE name = 'OFF'").await.unwrap();
        let mut conn = world.store.conn().await.unwrap();
        let mut read = async |wanted: Values| {
            let found = conn.candidates(&World::project(), Some(&World::milestone()), None, wanted).await.unwrap();
            assert!(found.entries.len() == 4 && found.entries.iter().all(|row| row.size > 1));
            let with_value = found.entries.iter().filter(|row| row.value.is_some()).map(|row| row.entry.name.clone());
            with_value.collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>()
        };
        let now = world.clock.now();
        assert_eq!(read(Values::ExpiringAfter(now)).await, ["LIVE", "PHASED"]);
        let years = Duration::from_secs(60 * 60 * 24 * 365 * 100);
        assert_eq!(read(Values::ExpiringAfter(now.minus(years))).await, ["LIVE", "OLD", "PHASED"]);
        assert!(read(Values::None).await.is_empty(), "a preview reads none");
    }
}
