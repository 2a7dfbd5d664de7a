//! Projects, milestones, agents and roles: creating, changing and deleting them.

use crate::support::{World, agent_asks, entry, runtime, service, tool_asks, user};
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use project_vault::authz::{Tuple, TupleChange, TupleFilter};
use project_vault::domain::{
    AgentId, Clock as _, ManualClock, OrganizationId, Phase, ProjectId, ProjectStatus, Role, Timestamp, UserId,
};
use project_vault::vault::{AgentChange, AgentQuestion, AuditQuery, NewEntry, NewMilestone, NewProject, RoleChange};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn project(id: &str) -> NewProject {
    NewProject {
        project: id.to_owned(),
        participants: vec!["acme".to_owned(), "acme".to_owned()],
        accountable: vec!["zoe".to_owned()],
        status: ProjectStatus::Active,
    }
}

fn role(user: &str, role: Role) -> RoleChange {
    RoleChange { project: "demo".to_owned(), user: user.to_owned(), role }
}

fn agent(agent: &str, milestone: Option<&str>) -> AgentChange {
    AgentChange { project: "demo".to_owned(), agent: agent.to_owned(), milestone: milestone.map(ToOwned::to_owned) }
}

fn milestone(id: &str, project: &str, phase: Phase) -> NewMilestone {
    NewMilestone { id: id.to_owned(), project: project.to_owned(), phase }
}

fn code<T>(result: Result<T, project_vault::domain::Error>) -> &'static str {
    result.err().map_or("OK", |error| error.code().as_str())
}

impl World {
    async fn tuples(&self, filter: TupleFilter) -> Vec<Tuple> {
        self.authorizer.read(&mut self.store.conn().await.unwrap(), &filter).await.unwrap()
    }

    async fn events(&self) -> i64 {
        self.number("SELECT count(*) AS n FROM audit_events").await
    }
}

both! {
    async fn a_project_is_registered_once_and_its_id_never_again(world: World) {
        world.demo().await;
        let (vault, platform) = (&world.vault, service("platform"));
        assert_eq!(code(vault.projects().register(&platform, project("demo")).await), "CONFLICT");
        for broken in [
            NewProject { participants: vec![], ..project("new") },
            NewProject { accountable: vec![], ..project("new") },
            NewProject { accountable: vec!["a b".to_owned()], ..project("new") },
            project("new project"),
            project(&"*".repeat(81)),
        ] {
            assert_eq!(code(vault.projects().register(&platform, broken).await), "INVALID_INPUT");
        }
        assert_eq!(code(vault.projects().register(&platform, project("*")).await), "OK");
        assert_eq!(code(vault.projects().delete(&platform, "*".to_owned()).await), "OK");
        assert_eq!(code(vault.projects().register(&platform, project("*")).await), "CONFLICT");
    }

    async fn deleting_a_project_erases_everything_of_it_and_nothing_else(world: World) {
        world.demo().await;
        let (vault, platform, bob) = (&world.vault, service("platform"), user("bob"));
        vault.projects().register(&platform, project("other")).await.unwrap();
        let note = "a note that nobody else would write";
        let noted = NewEntry { description: Some(note.to_owned()), ..entry("TOKEN", "v") };
        vault.entries().create(&bob, noted).await.unwrap();
        let phased = NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("PHASED", "v") };
        vault.entries().create(&bob, phased).await.unwrap();
        let gone = vault.entries().create(&bob, entry("GONE", "v")).await.unwrap();
        vault.entries().delete(&user("alice"), gone.id.to_string()).await.unwrap();
        vault.entries().create(&user("zoe"), NewEntry { project: "other".to_owned(), ..entry("KEPT", "v") }).await.unwrap();
        assert!(contains(&world.stored_bytes().await, note));

        let erased = vault.projects().delete(&platform, "demo".to_owned()).await.unwrap();
        assert_eq!((erased.entries, erased.versions), (3, 3));
        for (table, left) in [("entries", 1), ("versions", 1), ("ciphertexts", 1), ("milestones", 0), ("data_keys", 1), ("projects", 1), ("outbox", 0)] {
            assert_eq!(world.number(&format!("SELECT count(*) AS n FROM {table}")).await, left, "{table}");
        }
        assert!(!contains(&world.stored_bytes().await, note), "the note is still stored");
        assert_eq!(world.tuples(TupleFilter::of_project(&World::project())).await, []);
        assert_eq!(world.tuples(TupleFilter::of_object("milestone:demo-launch")).await, []);
        assert_ne!(world.tuples(TupleFilter::of_project(&ProjectId::parse("other").unwrap())).await, []);
        let again = vault.projects().delete(&platform, "demo".to_owned()).await.unwrap();
        assert_eq!((again.entries, again.versions), (0, 0));

        let query = "{ projectVault(projectId: \"demo\") { status } }";
        assert!(world.ask(&user("alice"), query, json!({})).await.ok("/projectVault").is_null());
        let asked = tool_asks(agent_asks("builder", &["TOKEN"]));
        assert_eq!(code(vault.agents().resolve(&runtime("acme-runtime"), asked).await), "FORBIDDEN");
        assert_eq!(code(vault.entries().create(&bob, entry("NEW", "v")).await), "NOT_FOUND");
        let events = crate::support::vault_events(vault, &user("audrey"), Some("demo".to_owned()), &AuditQuery::default()).await;
        assert!(events.unwrap().items.len() > 5, "events survive their project");
    }

    async fn tuples_left_behind_open_nothing_of_a_deleted_project(world: World) {
        world.demo().await;
        let platform = service("platform");
        world.vault.projects().delete(&platform, "demo".to_owned()).await.unwrap();
        let alice = UserId::parse("alice").unwrap();
        let left = TupleChange { write: vec![Tuple::role(&World::project(), Role::Accountable, &alice)], delete: vec![] };
        let mut tx = world.store.begin().await.unwrap();
        world.authorizer.apply(&mut tx, &left).await.unwrap();
        tx.commit().await.unwrap();
        let query = "{ projectVault(projectId: \"demo\") { status } }";
        assert!(world.ask(&user("alice"), query, json!({})).await.ok("/projectVault").is_null());
        assert_eq!(code(world.vault.entries().create(&user("alice"), entry("NEW", "v")).await), "NOT_FOUND");
        assert_eq!(code(world.vault.members().assign_role(&user("alice"), role("bob", Role::Informed)).await), "NOT_FOUND");
    }

    async fn the_last_accountable_person_stays(world: World) {
        world.demo().await;
        let (vault, alice) = (&world.vault, user("alice"));
        let team = Tuple::new("team:owners#member", "accountable", "project:demo");
        let mut tx = world.store.begin().await.unwrap();
        world.authorizer.apply(&mut tx, &TupleChange { write: vec![team], delete: vec![] }).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(code(vault.members().revoke_role(&alice, role("alice", Role::Accountable)).await), "CONFLICT", "teams do not count");
        vault.members().assign_role(&alice, role("bob", Role::Accountable)).await.unwrap();
        let bob = user("bob");
        let both = futures::join!(
            vault.members().revoke_role(&alice, role("bob", Role::Accountable)),
            vault.members().revoke_role(&bob, role("alice", Role::Accountable)),
        );
        let mut codes = [code(both.0), code(both.1)];
        codes.sort_unstable();
        // The one that comes second is the last one, or may no longer.
        assert!(codes == ["CONFLICT", "OK"] || codes == ["FORBIDDEN", "OK"] || codes == ["NOT_FOUND", "OK"], "{codes:?}");
        let people: Vec<Tuple> = world.tuples(TupleFilter::role(&World::project(), Role::Accountable)).await;
        assert_eq!(people.iter().filter(|tuple| tuple.subject().starts_with("user:")).count(), 1);
    }

    async fn doing_again_what_is_done_changes_nothing(world: World) {
        world.demo().await;
        let (vault, alice, platform) = (&world.vault, user("alice"), service("platform"));
        let at = |millis| Some(Timestamp::from_millis(world.clock.now().millis() + millis));
        let phase = Phase { opens_at: at(-5), closes_at: at(5) };
        vault.milestones().put(&platform, milestone("m", "demo", phase)).await.unwrap();
        vault.milestones().close(&alice, "demo-launch".to_owned()).await.unwrap();
        let before = world.events().await;
        vault.members().assign_role(&alice, role("bob", Role::Responsible)).await.unwrap();
        vault.members().revoke_role(&alice, role("nobody", Role::Informed)).await.unwrap();
        vault.members().assign_agent(&alice, agent("builder", None)).await.unwrap();
        vault.members().assign_agent(&alice, agent("deployer", Some("demo-launch"))).await.unwrap();
        vault.members().unassign_agent(&alice, agent("nobody", None)).await.unwrap();
        vault.members().unassign_agent(&alice, agent("builder", Some("m"))).await.unwrap();
        vault.milestones().close(&alice, "demo-launch".to_owned()).await.unwrap();
        vault.milestones().put(&platform, milestone("m", "demo", phase)).await.unwrap();
        vault.milestones().delete(&platform, "nowhere".to_owned()).await.unwrap();
        vault.projects().add_participant(&platform, "demo".to_owned(), "acme".to_owned()).await.unwrap();
        vault.projects().remove_participant(&platform, "demo".to_owned(), "initech".to_owned()).await.unwrap();
        vault.projects().set_status(&platform, "demo".to_owned(), ProjectStatus::Active).await.unwrap();
        vault.members().register_agent(&platform, "builder".to_owned(), "acme".to_owned()).await.unwrap();
        vault.members().register_runtime(&platform, "acme-runtime".to_owned(), "acme".to_owned()).await.unwrap();
        vault.members().unregister_agent(&platform, "nobody".to_owned()).await.unwrap();
        vault.members().unregister_runtime(&platform, "nobody".to_owned()).await.unwrap();
        vault.projects().delete(&platform, "nowhere".to_owned()).await.unwrap();
        let registrar = project_vault::domain::ServiceId::parse("platform").unwrap();
        vault.members().set_registrar(&registrar, true).await.unwrap();
        assert_eq!(world.events().await, before);
    }

    async fn an_agent_is_assigned_where_its_organization_takes_part(world: World) {
        world.demo().await;
        let (vault, alice, platform) = (&world.vault, user("alice"), service("platform"));
        vault.members().register_agent(&platform, "outsider".to_owned(), "initech".to_owned()).await.unwrap();
        let unknown = vault.members().assign_agent(&alice, agent("nobody", None)).await.unwrap_err();
        let outside = vault.members().assign_agent(&alice, agent("outsider", None)).await.unwrap_err();
        assert_eq!((unknown.code().as_str(), unknown.to_string()), ("NOT_FOUND", outside.to_string()));
        assert_eq!(code(vault.members().assign_agent(&alice, agent("builder", Some("nowhere"))).await), "NOT_FOUND");
        let on = vault.members().assign_agent(&alice, agent("builder", Some("demo-launch"))).await.unwrap();
        assert_eq!(on.milestones, [World::milestone()]);
        let off = vault.members().unassign_agent(&alice, agent("builder", Some("demo-launch"))).await.unwrap();
        assert_eq!(off.milestones, []);
        vault.members().assign_agent(&alice, agent("builder", Some("demo-launch"))).await.unwrap();
        vault.members().unassign_agent(&alice, agent("builder", None)).await.unwrap();
        let builder = AgentId::parse("builder").unwrap();
        assert_eq!(world.tuples(TupleFilter::projects_of_agent(&builder)).await, []);
        assert_eq!(world.tuples(TupleFilter::milestones_of_agent(&builder)).await, []);
        vault.members().unregister_agent(&platform, "deployer".to_owned()).await.unwrap();
        let deployer = AgentId::parse("deployer").unwrap();
        for filter in [
            TupleFilter::projects_of_agent(&deployer),
            TupleFilter::milestones_of_agent(&deployer),
            TupleFilter::organizations_of_agent(&deployer),
        ] {
            assert_eq!(world.tuples(filter).await, []);
        }
        vault.members().register_agent(&platform, "outsider".to_owned(), "acme".to_owned()).await.unwrap();
        let outsider = AgentId::parse("outsider").unwrap();
        let acme = OrganizationId::parse("acme").unwrap();
        let moved = world.tuples(TupleFilter::organizations_of_agent(&outsider)).await;
        assert_eq!(moved, [Tuple::agent_of(&acme, &outsider)], "an agent has one organization");
        assert_eq!(code(vault.members().assign_agent(&alice, agent("outsider", None)).await), "OK");
    }

    async fn a_milestone_belongs_to_one_project_and_goes_with_its_entries(world: World) {
        world.demo().await;
        let (vault, platform) = (&world.vault, service("platform"));
        vault.projects().register(&platform, project("other")).await.unwrap();
        let at = |millis| Some(Timestamp::from_millis(millis));
        let open = Phase::default();
        assert_eq!(code(vault.milestones().put(&platform, milestone("demo-launch", "other", open)).await), "CONFLICT");
        assert_eq!(code(vault.milestones().put(&platform, milestone("m", "nowhere", open)).await), "NOT_FOUND");
        for (opens_at, closes_at) in [(at(5), at(5)), (at(6), at(5))] {
            let backwards = milestone("m", "demo", Phase { opens_at, closes_at });
            assert_eq!(code(vault.milestones().put(&platform, backwards).await), "INVALID_INPUT");
        }
        let phased = NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("PHASED", "v") };
        vault.entries().create(&user("bob"), phased).await.unwrap();
        vault.entries().create(&user("bob"), entry("KEPT", "v")).await.unwrap();
        let (_, entries) = vault.milestones().delete(&platform, "demo-launch".to_owned()).await.unwrap();
        assert_eq!((entries, world.number("SELECT count(*) AS n FROM entries").await), (1, 1));
        assert_eq!(world.tuples(TupleFilter::of_object("milestone:demo-launch")).await, []);
        // The id is free again, and nobody who was on the old one is on the new one.
        vault.milestones().put(&platform, milestone("demo-launch", "other", open)).await.unwrap();
        let own = world.tuples(TupleFilter::of_object("milestone:demo-launch")).await;
        assert_eq!(own, [Tuple::milestone_of(&World::milestone(), &ProjectId::parse("other").unwrap())]);
    }

    async fn ids_of_other_systems_are_opaque(world: World) {
        world.demo().await;
        let (vault, alice) = (&world.vault, user("alice"));
        for id in ["*", "auth0|5f7c", "spiffe://acme.example/people#x", "a%2Ab", "team:owners#member"] {
            vault.members().assign_role(&alice, role(id, Role::Informed)).await.unwrap();
            let query = "{ projectVault(projectId: \"demo\") { viewer { role } } }";
            let seen = world.ask(&user(id), query, json!({})).await;
            assert_eq!(*seen.ok("/projectVault/viewer/role"), json!("INFORMED"), "{id}");
            let stranger = world.ask(&user("anybody"), query, json!({})).await;
            assert!(stranger.ok("/projectVault").is_null(), "{id} opened the project to everybody");
            vault.members().revoke_role(&alice, role(id, Role::Informed)).await.unwrap();
        }
        let members = world.ask(&alice, "{ projectVault(projectId: \"demo\") { members { user { id } role } } }", json!({})).await;
        assert_eq!(members.ok("/projectVault/members").as_array().unwrap().len(), 4);
    }

    async fn a_milestone_that_was_closed_is_open_on_no_server_whatever_its_clock(world: World) {
        world.demo().await;
        let slow = Arc::new(ManualClock::new(world.clock.now()));
        let behind = world.server_at(slow);
        let phased = NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("PHASED", "v") };
        world.vault.entries().create(&user("bob"), phased).await.unwrap();
        let released = async || {
            let question = AgentQuestion { milestone: Some("demo-launch".to_owned()), ..agent_asks("deployer", &["PHASED"]) };
            let found = behind.agents().resolve(&runtime("globex-runtime"), tool_asks(question)).await.unwrap().secrets;
            found[0].value.is_some()
        };
        // Its phase ends while one server's clock has not come that far yet.
        let ends = world.clock.now().plus(Duration::from_secs(60));
        let phase = Phase { opens_at: None, closes_at: Some(ends) };
        world.vault.milestones().put(&service("platform"), milestone("demo-launch", "demo", phase)).await.unwrap();
        world.clock.advance(Duration::from_secs(120));
        assert!(released().await, "nobody closed it");
        let before = world.events().await;
        let closed = world.vault.milestones().close(&user("alice"), "demo-launch".to_owned()).await.unwrap();
        assert_eq!((closed.open, closed.phase), (false, phase));
        assert_eq!(world.events().await, before, "its phase had ended, so nothing changed");
        assert!(!released().await, "a person closed it");
    }

    async fn what_was_erased_while_somebody_read_is_forgotten_when_they_are_done(world: World) {
        world.demo().await;
        let note = "a note that nobody else would write";
        let noted = NewEntry { description: Some(note.to_owned()), ..entry("TOKEN", "v") };
        world.vault.entries().create(&user("bob"), noted).await.unwrap();
        let reader = world.url().strip_prefix("sqlite:").map(|path| {
            let mut conn = SqliteConnection::establish(path).unwrap();
            conn.batch_execute("BEGIN; SELECT count(*) FROM entries").unwrap();
            conn
        });
        world.vault.projects().delete(&service("platform"), "demo".to_owned()).await.unwrap();
        assert_eq!(contains(&world.stored_bytes().await, note), reader.is_some(), "in SQLite's log, for who still reads");
        drop(reader);
        world.vault.wal().truncate_if_pending().await.unwrap();
        assert!(!contains(&world.stored_bytes().await, note), "the note is still stored");
    }
}

fn contains(stored: &[u8], text: &str) -> bool {
    stored.windows(text.len()).any(|window| window == text.as_bytes())
}
