//! Lists: pages, cursors, filters, orders, and what they cost.

use crate::support::{Answer, World, entry, new_project, service, user};
use project_vault::domain::Category;
use project_vault::vault::{Import, OnConflict};
use serde_json::{Value, json};
use std::time::Duration;

async fn import(world: &World, lines: &str) {
    let import = Import {
        project: "demo".to_owned(),
        milestone: None,
        dotenv: lines.into(),
        category: Category::Secret,
        on_conflict: OnConflict::Fail,
    };
    world.vault.entries().import(&user("bob"), import).await.unwrap();
}

const PAGE: &str = "query($first: Int, $after: String, $filter: VaultEntryFilter, $order: VaultEntryOrder) {
    projectVault(projectId: \"demo\") { entries(first: $first, after: $after, filter: $filter, orderBy: $order) {
        totalCount nodes { id name status } edges { cursor node { name } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    } }
}";

async fn page(world: &World, variables: Value) -> Answer {
    world.ask(&user("dave"), PAGE, variables).await
}

fn names(answer: &Answer) -> Vec<String> {
    let nodes = answer.ok("/projectVault/entries/nodes").as_array().expect("a page").clone();
    nodes.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

/// Every name, page by page; `between` happens after each page.
async fn walk(world: &World, order: Value, mut between: impl AsyncFnMut(usize)) -> Vec<String> {
    let mut seen = Vec::new();
    let mut after = Value::Null;
    for turn in 0.. {
        let answer = page(world, json!({ "first": 2, "after": after, "order": order })).await;
        seen.extend(names(&answer));
        let info = answer.at("/projectVault/entries/pageInfo");
        assert_eq!(info["hasPreviousPage"], json!(turn > 0));
        if info["hasNextPage"] == json!(false) {
            return seen;
        }
        after = info["endCursor"].clone();
        between(turn).await;
    }
    seen
}

both! {
    async fn names_are_sorted_by_byte_and_pages_fit_together(world: World) {
        world.demo().await;
        import(&world, "b=1\nB=1\na_1=1\na1=1\nA=1\n_x=1\n").await;
        let all = ["A", "B", "_x", "a1", "a_1", "b"];
        assert_eq!(walk(&world, json!(null), async |_| {}).await, all);
        let back: Vec<&str> = all.iter().rev().copied().collect();
        assert_eq!(walk(&world, json!({ "direction": "DESC" }), async |_| {}).await, back);
        let answer = page(&world, json!({ "first": 0 })).await;
        assert!(names(&answer).is_empty());
        assert_eq!(*answer.at("/projectVault/entries/totalCount"), json!(6));
        assert_eq!(*answer.at("/projectVault/entries/pageInfo/hasNextPage"), json!(true));
    }

    async fn a_cursor_stays_valid_while_entries_come_and_go(world: World) {
        world.demo().await;
        import(&world, "A=1\nC=1\nE=1\nG=1\nI=1\n").await;
        let world = &world;
        let seen = walk(world, json!(null), async |turn| {
            if turn == 0 {
                // The one the cursor stands behind goes, one comes before and one behind it.
                let answer = page(world, json!({ "filter": { "nameContains": "C" } })).await;
                let id = answer.ok("/projectVault/entries/nodes/0/id").as_str().unwrap().to_owned();
                world.vault.entries().delete(&user("alice"), id).await.unwrap();
                import(world, "B=1\nD=1\n").await;
            }
        })
        .await;
        assert_eq!(seen, ["A", "C", "D", "E", "G", "I"]);
    }

    async fn entries_without_expiry_come_last_in_either_direction(world: World) {
        world.demo().await;
        let now = project_vault::domain::Clock::now(&*world.clock);
        for (name, hours) in [("SOON", Some(1)), ("NEVER", None), ("LATER", Some(9))] {
            let expires_at = hours.map(|hours| now.plus(Duration::from_secs(3_600 * hours)));
            let new = project_vault::vault::NewEntry { expires_at, ..entry(name, "v") };
            world.vault.entries().create(&user("bob"), new).await.unwrap();
        }
        let order = |direction: &str| json!({ "field": "EXPIRES_AT", "direction": direction });
        assert_eq!(walk(&world, order("ASC"), async |_| {}).await, ["SOON", "LATER", "NEVER"]);
        assert_eq!(walk(&world, order("DESC"), async |_| {}).await, ["LATER", "SOON", "NEVER"]);
    }

    async fn filters_are_literal_and_an_empty_list_matches_nothing(world: World) {
        world.demo().await;
        import(&world, "a_b=1\naxb=1\nA_B2=1\n").await;
        for (filter, expected) in [
            (json!({ "nameContains": "A_B" }), vec!["A_B2", "a_b"]),
            (json!({ "nameContains": "%" }), vec![]),
            (json!({ "nameContains": "\\" }), vec![]),
            (json!({ "nameContains": null, "categories": null, "statuses": null }), vec!["A_B2", "a_b", "axb"]),
            (json!({ "categories": [] }), vec![]),
            (json!({ "statuses": [] }), vec![]),
            (json!({ "categories": ["SECRET"], "scope": "PROJECT" }), vec!["A_B2", "a_b", "axb"]),
            (json!({ "categories": ["API_KEY"] }), vec![]),
            (json!({ "scope": "MILESTONE" }), vec![]),
            (json!({ "milestoneId": "demo-launch" }), vec![]),
            (json!({ "milestoneId": "no such id" }), vec![]),
            (json!({ "statuses": ["DISABLED", "EXPIRED"] }), vec![]),
            (json!({ "expiresBefore": "2999-01-01T00:00:00Z" }), vec![]),
        ] {
            let answer = page(&world, json!({ "filter": filter })).await;
            assert_eq!(names(&answer), expected, "{filter}");
            assert_eq!(*answer.at("/projectVault/entries/totalCount"), json!(expected.len()), "{filter}");
        }
    }

    async fn deleted_entries_exist_for_accountable_viewers_only(world: World) {
        world.demo().await;
        import(&world, "GONE=1\nHERE=1\n").await;
        let answer = page(&world, json!({ "filter": { "nameContains": "GONE" } })).await;
        let id = answer.ok("/projectVault/entries/nodes/0/id").as_str().unwrap().to_owned();
        world.vault.entries().delete(&user("alice"), id.clone()).await.unwrap();
        let ask = |statuses: Value| json!({ "filter": { "statuses": statuses } });
        let alice = user("alice");
        assert_eq!(names(&world.ask(&alice, PAGE, ask(json!(["DELETED"]))).await), ["GONE"]);
        assert_eq!(names(&world.ask(&alice, PAGE, json!({})).await), ["HERE"]);
        for viewer in ["bob", "carol", "dave"] {
            let answer = world.ask(&user(viewer), PAGE, ask(json!(["DELETED", "ACTIVE"]))).await;
            assert_eq!(names(&answer), ["HERE"], "{viewer}");
            assert_eq!(*answer.at("/projectVault/entries/totalCount"), json!(1), "{viewer}");
            let one = world.ask(&user(viewer), "query($e: ID!) { vaultEntry(id: $e) { id } }", json!({ "e": id })).await;
            assert!(one.ok("/vaultEntry").is_null(), "{viewer}");
        }
        let one = world.ask(&alice, "query($e: ID!) { vaultEntry(id: $e) { status } }", json!({ "e": id })).await;
        assert_eq!(*one.ok("/vaultEntry/status"), json!("DELETED"));
    }

    async fn a_page_size_or_a_cursor_of_another_list_is_refused(world: World) {
        world.demo().await;
        import(&world, "A=1\nB=1\n").await;
        let cursor = page(&world, json!({ "first": 1 })).await.ok("/projectVault/entries/pageInfo/endCursor").clone();
        for (variables, field) in [
            (json!({ "first": -1 }), "first"),
            (json!({ "first": 101 }), "first"),
            (json!({ "after": "" }), "after"),
            (json!({ "after": "nonsense" }), "after"),
            (json!({ "after": cursor, "order": { "direction": "DESC" } }), "after"),
            (json!({ "after": cursor, "filter": { "nameContains": "A" } }), "after"),
        ] {
            let answer = page(&world, variables.clone()).await;
            assert_eq!(answer.codes(), ["INVALID_INPUT"], "{variables}");
            assert_eq!(answer.errors()[0]["extensions"]["field"], json!([field]), "{variables}");
        }
        assert_eq!(names(&page(&world, json!({ "after": cursor })).await), ["B"]);
        assert_eq!(names(&page(&world, json!({ "first": 100 })).await), ["A", "B"]);
    }

    async fn a_page_of_50_masked_entries_costs_three_statements_and_one_batch(world: World) {
        world.demo().await;
        let lines: String = (0..60).map(|n| format!("NAME_{n}=value number {n} of many\n")).collect();
        import(&world, &lines).await;
        let query = "{ projectVault(projectId: \"demo\") { viewer { role canWrite } entries { totalCount nodes {
            name maskedValue resolveCount lastResolvedAt } } } }";
        let (statements, batches) = (world.statements(), world.batches());
        let answer = world.ask(&user("carol"), query, json!({})).await;
        assert_eq!(answer.ok("/projectVault/entries/nodes").as_array().unwrap().len(), 50);
        assert_eq!(*answer.at("/projectVault/entries/nodes/0/maskedValue"), json!("val****any"));
        assert!(world.statements() - statements <= 3, "{} statements", world.statements() - statements);
        assert_eq!(world.batches() - batches, 1);
        let (statements, batches) = (world.statements(), world.batches());
        let query = query.replace("name maskedValue", "name versions { nodes { maskedValue } } maskedValue");
        world.ask(&user("carol"), &query, json!({})).await.ok("/projectVault");
        assert_eq!(world.statements() - statements, 4, "the versions of all entries are one statement more");
        assert_eq!(world.batches() - batches, 1);
    }

    async fn a_hundred_projects_cost_three_statements_and_two_batches(world: World) {
        world.demo().await;
        for n in 0..99 {
            let project = new_project(&format!("p{n}"), "dave");
            world.vault.projects().register(&service("platform"), project).await.unwrap();
        }
        let representations: Vec<Value> =
            (0..99).map(|n| json!({ "__typename": "Project", "id": format!("p{n}") })).collect();
        let mut representations = json!(representations);
        representations.as_array_mut().unwrap().push(json!({ "__typename": "Project", "id": "demo" }));
        let query = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Project { id vault { status } } } }";
        let (statements, batches) = (world.statements(), world.batches());
        let answer = world.ask(&user("dave"), query, json!({ "r": representations })).await;
        assert_eq!(*answer.ok("/_entities/99/vault/status"), json!("ACTIVE"));
        assert_eq!(*answer.at("/_entities/0/vault/status"), json!("ACTIVE"));
        assert!(world.statements() - statements <= 3, "{} statements", world.statements() - statements);
        assert!(world.batches() - batches <= 2, "{} batches", world.batches() - batches);
    }

    async fn a_page_size_out_of_range_below_a_list_is_an_error_that_names_it(world: World) {
        world.demo().await;
        import(&world, "ONE=1\nTWO=2\n").await;
        for first in [-1, 101, 1_000_000] {
            let query = "query($first: Int) { projectVault(projectId: \"demo\") { entries(first: 100) { nodes { name \
                project { vault { entries(first: $first) { nodes { id } } } } } } } }";
            let answer = world.ask(&user("alice"), query, json!({ "first": first })).await;
            assert_eq!(answer.codes(), ["INVALID_INPUT", "INVALID_INPUT"], "{first}: {answer:?}");
            assert_eq!(answer.errors()[0]["extensions"]["field"], json!(["first"]), "{answer:?}");
            assert_eq!(*answer.at("/projectVault/entries/nodes/1/name"), json!("TWO"), "{answer:?}");
        }
    }
}
