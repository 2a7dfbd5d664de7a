//! `vaultProjects`, and the summary of each project.

use crate::support::{World, agent_asks, entry, new_project, runtime, service, tool_asks, user};
use project_vault::authz::{Authorizer, Tuple, TupleChange};
use project_vault::domain::{ProjectId, ProjectStatus, Role};
use project_vault::store::Store;
use project_vault::vault::{Caller, Change, EntryChanges, NewEntry, RoleChange};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIST: &str = "query($n: Int, $a: String) { vaultProjects(first: $n, after: $a) { totalCount \
    nodes { project { id } status viewer { role } } edges { cursor node { project { id } } } \
    pageInfo { hasNextPage hasPreviousPage endCursor } } }";
const SUMMARY: &str = "{ projectVault(projectId: \"demo\") { summary { active expired disabled deleted expiring \
    rotationDue neverUsed leftOutOfSessions } } }";

async fn register(world: &World, id: &str, accountable: &str) {
    world.vault.projects().register(&service("platform"), new_project(id, accountable)).await.unwrap();
}

/// The ids of a page, and what else it says.
async fn page(world: &World, caller: &Caller, first: Option<i32>, after: Option<&str>) -> (Vec<String>, Value) {
    let answer = world.ask(caller, LIST, json!({ "n": first, "a": after })).await;
    let list = answer.ok("/vaultProjects").clone();
    let nodes = list["nodes"].as_array().unwrap();
    (nodes.iter().map(|node| node["project"]["id"].as_str().unwrap().to_owned()).collect(), list)
}

async fn seen(world: &World, caller: &Caller) -> Vec<String> {
    page(world, caller, None, None).await.0
}

async fn write_tuples(authorizer: &Authorizer, store: &Store, write: Vec<Tuple>) {
    let mut tx = store.begin().await.unwrap();
    authorizer.apply(&mut tx, &TupleChange { write, delete: vec![] }).await.unwrap();
    tx.commit().await.unwrap();
}

both! {
    async fn people_find_the_projects_they_may_open_and_no_others(world: World) {
        world.demo().await;
        for (id, accountable) in [("b", "alice"), ("a", "mallory"), ("c", "bob")] {
            register(&world, id, accountable).await;
        }
        assert_eq!(seen(&world, &user("alice")).await, ["b", "demo"]);
        assert_eq!(seen(&world, &user("bob")).await, ["c", "demo"]);
        assert_eq!(seen(&world, &user("dave")).await, ["demo"]);
        assert_eq!(seen(&world, &user("audrey")).await, ["a", "b", "c", "demo"], "an auditor sees each");
        assert_eq!(seen(&world, &user("nobody")).await, Vec::<String>::new());
        for caller in [service("platform"), runtime("acme-runtime")] {
            let answer = world.ask(&caller, LIST, json!({})).await;
            assert_eq!((answer.codes(), answer.at("/vaultProjects")), (vec!["FORBIDDEN"], &Value::Null));
        }
        let (_, list) = page(&world, &user("alice"), None, None).await;
        assert_eq!(list["nodes"][1], json!({ "project": { "id": "demo" }, "status": "ACTIVE", "viewer": { "role": "ACCOUNTABLE" } }));
    }

    async fn a_team_a_revocation_and_a_deletion_change_the_list_at_once(world: World) {
        world.demo().await;
        register(&world, "other", "mallory").await;
        let team = [
            Tuple::new("user:zoe".to_owned(), "member", "team:owners".to_owned()),
            Tuple::new("team:owners#member".to_owned(), "informed", "project:other".to_owned()),
        ];
        write_tuples(&world.authorizer, &world.store, team.to_vec()).await;
        assert_eq!(seen(&world, &user("zoe")).await, ["other"]);
        let role = RoleChange { project: "demo".to_owned(), user: "dave".to_owned(), role: Role::Informed };
        world.vault.members().revoke_role(&user("alice"), role).await.unwrap();
        assert_eq!(seen(&world, &user("dave")).await, Vec::<String>::new());
        world.vault.projects().set_status(&service("platform"), "other".to_owned(), ProjectStatus::Paused).await.unwrap();
        let (_, list) = page(&world, &user("zoe"), None, None).await;
        assert_eq!(list["nodes"][0]["status"], "PAUSED");
        world.vault.projects().delete(&service("platform"), "other".to_owned()).await.unwrap();
        assert_eq!(seen(&world, &user("zoe")).await, Vec::<String>::new());
    }

    async fn the_list_has_pages(world: World) {
        world.demo().await;
        for id in ["p3", "p1", "p:2", "P0"] {
            register(&world, id, "alice").await;
        }
        let alice = user("alice");
        let (first, list) = page(&world, &alice, Some(2), None).await;
        assert_eq!((first.as_slice(), &list["totalCount"]), (["P0", "demo"].map(str::to_owned).as_slice(), &json!(5)));
        assert_eq!(list["pageInfo"]["hasNextPage"], true);
        let cursor = list["pageInfo"]["endCursor"].as_str().unwrap();
        let (rest, list) = page(&world, &alice, Some(100), Some(cursor)).await;
        assert_eq!(rest, ["p1", "p3", "p:2"]);
        assert_eq!((&list["pageInfo"]["hasNextPage"], &list["pageInfo"]["hasPreviousPage"]), (&json!(false), &json!(true)));
        for (caller, first, after) in
            [(&alice, 101, None), (&alice, -1, None), (&user("bob"), 2, Some(cursor)), (&alice, 2, Some("x"))]
        {
            let answer = world.ask(caller, LIST, json!({ "n": first, "a": after })).await;
            assert_eq!(answer.codes(), ["INVALID_INPUT"], "{first} {after:?}");
        }
    }

    async fn more_projects_than_a_list_holds_are_a_limit(world: World) {
        world.demo().await;
        let project = |n: usize| format!("project:p{n}");
        let tuples = |from: usize, to: usize| {
            (from..to).map(|n| Tuple::new("user:zoe".to_owned(), "informed", project(n))).collect::<Vec<_>>()
        };
        write_tuples(&world.authorizer, &world.store, tuples(0, 999)).await;
        register(&world, "p1", "zoe").await;
        register(&world, "z", "zoe").await;
        assert_eq!(seen(&world, &user("zoe")).await, ["p1", "z"], "what no vault belongs to is left out");
        write_tuples(&world.authorizer, &world.store, tuples(999, 1_000)).await;
        let answer = world.ask(&user("zoe"), LIST, json!({})).await;
        assert_eq!((answer.codes(), answer.at("/vaultProjects")), (vec!["LIMIT_EXCEEDED"], &Value::Null));
    }

    async fn a_page_of_projects_costs_the_same_whatever_their_number(world: World) {
        world.demo().await;
        for n in 0..30 {
            register(&world, &format!("p{n:02}"), "zoe").await;
        }
        let document = |first: usize| {
            format!(
                "{{ vaultProjects(first: {first}) {{ totalCount nodes {{ project {{ id }} status viewer {{ role canWrite canAudit }} \
                 summary {{ active deleted neverUsed leftOutOfSessions }} }} }} }}"
            )
        };
        let mut costs = Vec::new();
        for first in [1, 5, 30] {
            let (statements, batches) = (world.statements(), world.batches());
            let answer = world.ask(&user("zoe"), &document(first), json!({})).await;
            assert_eq!(answer.ok("/vaultProjects/nodes").as_array().unwrap().len(), first);
            costs.push((world.statements() - statements, world.batches() - batches));
        }
        let (statements, _) = costs[0];
        assert!(costs.iter().all(|cost| cost.0 == statements), "{costs:?}");
        assert!(statements <= 7, "{costs:?}");
        // The list, and 50 questions in a batch.
        assert!(costs[2].1 <= 1 + (30 * 6_u64).div_ceil(50) + 1, "{costs:?}");
    }

    async fn a_summary_counts_what_needs_attention(world: World) {
        world.demo().await;
        let (alice, vault) = (user("alice"), &world.vault);
        let now = world.clock.as_ref();
        let at = |duration| Some(project_vault::domain::Clock::now(now).plus(duration));
        let new = |name: &str| entry(name, "sk-live-0123456789abc");
        let create = async |new: NewEntry| vault.entries().create(&alice, new).await.unwrap().id.to_string();
        create(new("PLAIN")).await;
        create(NewEntry { expires_at: at(DAY * 8), ..new("EXPIRES_LATER") }).await;
        create(NewEntry { expires_at: at(DAY * 3), ..new("EXPIRES_SOON") }).await;
        create(NewEntry { expires_at: at(DAY), ..new("EXPIRED") }).await;
        create(NewEntry { rotation_interval_days: Some(2), ..new("DUE") }).await;
        create(NewEntry { rotation_interval_days: Some(3), ..new("NOT_DUE") }).await;
        let disabled = create(NewEntry { rotation_interval_days: Some(1), ..new("DISABLED") }).await;
        vault.entries().disable(&alice, disabled).await.unwrap();
        let deleted = create(NewEntry { rotation_interval_days: Some(1), ..new("DELETED") }).await;
        vault.entries().delete(&alice, deleted).await.unwrap();
        create(NewEntry { milestone: Some("demo-launch".to_owned()), ..new("OF_MILESTONE") }).await;
        vault.agents().resolve(&runtime("acme-runtime"), tool_asks(agent_asks("builder", &["PLAIN"]))).await.unwrap();
        world.clock.advance(DAY * 2);
        let summary = async |person: &str| {
            let answer = world.ask(&user(person), SUMMARY, json!({})).await;
            (answer.at("/projectVault/summary").clone(), answer.codes().len())
        };
        let expected = |deleted: Value, never_used: Value| {
            json!({
                "active": 6, "expired": 1, "disabled": 1, "deleted": deleted, "expiring": 2, "rotationDue": 1,
                "neverUsed": never_used, "leftOutOfSessions": 0,
            })
        };
        assert_eq!(summary("alice").await, (expected(json!(1), json!(7)), 0));
        assert_eq!(summary("bob").await, (expected(Value::Null, json!(7)), 1));
        assert_eq!(summary("carol").await, (expected(Value::Null, json!(7)), 1));
        assert_eq!(summary("dave").await, (expected(Value::Null, Value::Null), 2));
        assert_eq!(summary("audrey").await, (Value::Null, 1));
        assert_eq!(summary("mallory").await, (Value::Null, 0));
    }

    async fn an_empty_project_has_a_summary_of_zeros(world: World) {
        world.demo().await;
        let answer = world.ask(&user("alice"), SUMMARY, json!({})).await;
        let summary = answer.ok("/projectVault/summary").as_object().unwrap();
        assert_eq!(summary.len(), 8);
        assert!(summary.values().all(|count| *count == 0), "{summary:?}");
    }

    async fn names_that_reach_no_session_are_counted(world: World) {
        world.demo().await;
        let alice = user("alice");
        for name in ["A_TOKEN", "PLAIN", "APPROVED"] {
            world.vault.entries().create(&alice, entry(name, "v")).await.unwrap();
        }
        let set = "mutation { setVaultEnvironmentNames(input: { projectId: \"demo\", environmentNames: SUFFIXED, \
                   approvedNames: [\"APPROVED\"] }) { vault { summary { leftOutOfSessions } } userErrors { code } } }";
        let answer = world.ask(&alice, set, json!({})).await;
        assert_eq!(answer.done("setVaultEnvironmentNames", "vault/summary/leftOutOfSessions"), &json!(1));
        // Renamed, it does.
        let id = world.vault.entries().by_name(
            &held(&world, &alice).await, "PLAIN", None).await.unwrap().unwrap().id.to_string();
        let changes = EntryChanges {
            id, name: Change::Set("PLAIN_TOKEN".to_owned()), description: Change::Keep, category: Change::Keep,
            expires_at: Change::Keep, rotation_interval_days: Change::Keep, expected_revision: None,
        };
        world.vault.entries().update(&alice, changes).await.unwrap();
        let answer = world.ask(&alice, SUMMARY, json!({})).await;
        assert_eq!(answer.ok("/projectVault/summary/leftOutOfSessions"), &json!(0));
    }
}

/// The permission to list the demo's entries.
async fn held(
    world: &World,
    caller: &Caller,
) -> project_vault::permission::Authorized<project_vault::permission::CanList> {
    let ask = (Some(ProjectId::parse("demo").unwrap()), project_vault::permission::Permission::CanList);
    let held = world.vault.access().decide(caller, std::slice::from_ref(&ask)).await.unwrap();
    held[&ask].decision.authorize().unwrap()
}
