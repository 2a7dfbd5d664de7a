//! Filters of entries by rotation and use, and of events by actor.

use crate::support::{World, agent_asks, entry, runtime, tool_asks, user};
use project_vault::vault::{Caller, NewEntry};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ENTRIES: &str = "query($f: VaultEntryFilter) { projectVault(projectId: \"demo\") { entries(filter: $f) { totalCount nodes { name } } } }";
const EVENTS: &str = "query($f: VaultAuditFilter, $n: Int, $a: String) { projectVault(projectId: \"demo\") \
    { auditEvents(filter: $f, first: $n, after: $a) { nodes { actor action } pageInfo { endCursor hasNextPage } } } }";

/// The names of the entries that match, after their number was checked.
async fn names(world: &World, caller: &Caller, filter: Value) -> Vec<String> {
    let answer = world.ask(caller, ENTRIES, json!({ "f": filter })).await;
    let list = answer.ok("/projectVault/entries");
    let names: Vec<String> =
        list["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(list["totalCount"], names.len());
    names
}

both! {
    async fn entries_are_found_by_when_their_rotation_is_due(world: World) {
        world.demo().await;
        let alice = user("alice");
        let due = |name: &str, days: i32| NewEntry { rotation_interval_days: Some(days), ..entry(name, "v") };
        let mut ids = Vec::new();
        for new in [entry("NEVER", "v"), due("A", 1), due("B", 10), due("C", 3_650), due("OFF", 1), due("GONE", 1)] {
            ids.push(world.vault.entries().create(&alice, new).await.unwrap().id.to_string());
        }
        world.vault.entries().disable(&alice, ids[4].clone()).await.unwrap();
        world.vault.entries().delete(&alice, ids[5].clone()).await.unwrap();
        let before = |days: u32| {
            let at = project_vault::domain::Clock::now(world.clock.as_ref()).plus(DAY * days);
            json!({ "rotationDueBefore": at.to_rfc3339() })
        };
        assert_eq!(names(&world, &alice, before(1)).await, Vec::<String>::new(), "due at that instant, not before");
        assert_eq!(names(&world, &alice, before(2)).await, ["A"]);
        assert_eq!(names(&world, &alice, before(11)).await, ["A", "B"]);
        assert_eq!(names(&world, &alice, before(40_000)).await, ["A", "B", "C"]);
        assert_eq!(names(&world, &user("dave"), before(2)).await, ["A"], "Informed people see it as well");
        world.clock.advance(DAY * 5);
        let rotation = project_vault::vault::Rotation {
            id: ids[1].clone(),
            value: "w".into(),
            expires_at: project_vault::vault::Change::Keep,
            expected_revision: None,
        };
        world.vault.entries().rotate(&alice, rotation).await.unwrap();
        assert_eq!(names(&world, &alice, before(0)).await, Vec::<String>::new(), "the new version begins again");
    }

    async fn entries_that_no_agent_received_are_found_by_those_who_see_usage(world: World) {
        world.demo().await;
        for name in ["USED", "UNUSED"] {
            world.vault.entries().create(&user("alice"), entry(name, "v")).await.unwrap();
        }
        let never = |never: bool| json!({ "neverResolved": never });
        for person in ["alice", "bob", "carol"] {
            assert_eq!(names(&world, &user(person), never(true)).await, ["UNUSED", "USED"], "{person}");
        }
        let resolve = tool_asks(agent_asks("builder", &["USED"]));
        world.vault.agents().resolve(&runtime("acme-runtime"), resolve).await.unwrap();
        for person in ["alice", "bob", "carol"] {
            assert_eq!(names(&world, &user(person), never(true)).await, ["UNUSED"], "{person}");
            assert_eq!(names(&world, &user(person), never(false)).await, ["USED"], "{person}");
        }
        for (person, codes) in [("dave", vec!["FORBIDDEN"]), ("audrey", vec!["FORBIDDEN"]), ("mallory", vec![])] {
            let answer = world.ask(&user(person), ENTRIES, json!({ "f": never(true) })).await;
            assert_eq!((answer.codes(), answer.at("/projectVault/entries")), (codes, &Value::Null), "{person}");
        }
    }

    async fn events_are_found_by_their_actors(world: World) {
        world.demo().await;
        for (person, count) in [("alice", 3), ("bob", 2)] {
            for n in 0..count {
                let name = format!("{}_{n}", person.to_uppercase());
                world.vault.entries().create(&user(person), entry(&name, "v")).await.unwrap();
            }
        }
        let actors = async |actors: Value| {
            let variables = json!({ "f": { "actors": actors, "actions": ["ENTRY_CREATED"] } });
            let answer = world.ask(&user("alice"), EVENTS, variables).await;
            let nodes = answer.ok("/projectVault/auditEvents/nodes").as_array().unwrap().clone();
            nodes.iter().map(|node| node["actor"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(actors(json!(["user:bob"])).await, ["user:bob"; 2]);
        assert_eq!(actors(json!(["user:bob", "user:alice", "user:bob"])).await.len(), 5);
        assert_eq!(actors(json!(["bob"])).await, Vec::<String>::new());
        assert_eq!(actors(json!([])).await, Vec::<String>::new());
        assert_eq!(actors(Value::Null).await.len(), 5);
        let filter = json!({ "actors": ["user:bob"] });
        let first = world.ask(&user("alice"), EVENTS, json!({ "f": filter, "n": 1 })).await;
        let cursor = first.ok("/projectVault/auditEvents/pageInfo/endCursor").clone();
        let next = world.ask(&user("alice"), EVENTS, json!({ "f": filter, "n": 1, "a": cursor })).await;
        assert_eq!(next.ok("/projectVault/auditEvents/nodes/0/actor"), "user:bob");
        let other = json!({ "f": { "actors": ["user:alice"] }, "a": cursor });
        assert_eq!(world.ask(&user("alice"), EVENTS, other).await.codes(), ["INVALID_INPUT"], "a cursor of another list");
        let many: Vec<String> = (0..101).map(|n| format!("user:{n}")).collect();
        assert_eq!(world.ask(&user("alice"), EVENTS, json!({ "f": { "actors": many } })).await.codes(), ["LIMIT_EXCEEDED"]);
    }
}
