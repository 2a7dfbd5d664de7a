//! Connections below lists: the pages of many projects or milestones are loaded together, and hold
//! what each one's page alone holds.

use crate::support::{Answer, Backend, World, new_project, service, user};
use project_vault::domain::{Category, Clock as _, EnvironmentNames, Phase, Role};
use project_vault::vault::{EnvironmentChange, Import, NewEntry, NewMilestone, OnConflict, RoleChange};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::time::Duration;

/// The pages of many projects.
const PAGES: &str =
    "query($r: [_Any!]!, $first: Int, $after: String, $filter: VaultEntryFilter, $order: VaultEntryOrder) {
    _entities(representations: $r) { ... on Project { id vault { status
        entries(first: $first, after: $after, filter: $filter, orderBy: $order) {
            totalCount nodes { name } edges { cursor node { id status } }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } }
}";

async fn project(world: &World, id: &str, accountable: &str) {
    world.vault.projects().register(&service("platform"), new_project(id, accountable)).await.unwrap();
}

async fn import(world: &World, project: &str, milestone: Option<&str>, dotenv: &str) {
    let import = Import {
        project: project.to_owned(),
        milestone: milestone.map(ToOwned::to_owned),
        dotenv: dotenv.into(),
        category: Category::Secret,
        on_conflict: OnConflict::Fail,
    };
    world.vault.entries().import(&user("eve"), import).await.unwrap();
}

fn representations(kind: &str, ids: &[String]) -> Value {
    ids.iter().map(|id| json!({ "__typename": kind, "id": id })).collect()
}

/// What stands at each representation, with the codes of the errors below it.
fn each(answer: &Answer) -> Vec<(Value, Vec<String>)> {
    let entities = answer.at("/_entities").as_array().expect("a list");
    let below = |index: usize| answer.errors().iter().filter(move |error| error["path"][1] == json!(index));
    let code = |error: &Value| error["extensions"]["code"].as_str().unwrap().to_owned();
    entities.iter().enumerate().map(|(index, entity)| (entity.clone(), below(index).map(code).collect())).collect()
}

/// Asks for all representations at once, and for each of them alone: the answers are the same.
async fn ask_together_and_alone(
    world: &World,
    caller: &str,
    query: &str,
    kind: &str,
    ids: &[String],
    page: &Value,
) -> Answer {
    let variables = |ids: &[String]| {
        let mut variables = page.clone();
        variables["r"] = representations(kind, ids);
        variables
    };
    let together = world.ask(&user(caller), query, variables(ids)).await;
    let mut alone = Vec::new();
    for id in ids {
        alone.extend(each(&world.ask(&user(caller), query, variables(std::slice::from_ref(id))).await));
    }
    assert_eq!(each(&together), alone, "{caller}: {page}");
    together
}

fn owned<const N: usize>(ids: [&str; N]) -> Vec<String> {
    ids.map(ToOwned::to_owned).to_vec()
}

/// Projects `a`, `b` and `c` with entries of every kind, milestones `a1`, `a2` and `b1`, and a
/// project `hidden`. Eve is Accountable in `a` and `c`, and Informed in `b`.
async fn populate(world: &World) {
    world.demo().await;
    for (id, accountable) in [("a", "eve"), ("b", "frank"), ("c", "eve"), ("hidden", "frank")] {
        project(world, id, accountable).await;
    }
    for role in [Role::Responsible, Role::Informed] {
        let change = RoleChange { project: "b".to_owned(), user: "eve".to_owned(), role };
        world.vault.members().assign_role(&user("frank"), change).await.unwrap();
    }
    for (id, project) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        let milestone = NewMilestone { id: id.to_owned(), project: project.to_owned(), phase: Phase::default() };
        world.vault.milestones().put(&service("platform"), milestone).await.unwrap();
    }
    import(world, "a", None, "A_TOKEN=1\nB=1\nC_TOKEN=1\nd=1\nE=1\n").await;
    import(world, "a", Some("a1"), "B=1\nC=1\nF=1\n").await;
    import(world, "b", None, "B=1\nA_TOKEN=1\nZ_TOKEN=1\n").await;
    import(world, "b", Some("b1"), "G=1\nB=1\n").await;
    let now = world.clock.now();
    for (project, name, hours) in [("a", "SOON", 1), ("a", "LATER", 9), ("b", "SOON", 5)] {
        let new = NewEntry {
            project: project.to_owned(),
            name: name.to_owned(),
            value: SecretString::from("v"),
            category: Category::ApiKey,
            description: None,
            milestone: None,
            expires_at: Some(now.plus(Duration::from_secs(3_600 * hours))),
            rotation_interval_days: None,
        };
        world.vault.entries().create(&user("eve"), new).await.unwrap();
    }
    for (project, person) in [("a", "eve"), ("b", "frank")] {
        let names = EnvironmentNames::Suffixed;
        let approved = Some(vec!["B".to_owned()]);
        let change = EnvironmentChange { project: project.to_owned(), names, approved };
        world.vault.entries().set_environment_names(&user(person), change).await.unwrap();
        let gone = entry_id(world, project, if project == "a" { "E" } else { "Z_TOKEN" }).await;
        world.vault.entries().delete(&user(person), gone).await.unwrap();
    }
    let disabled = entry_id(world, "a", "d").await;
    world.vault.entries().disable(&user("eve"), disabled).await.unwrap();
    let change = RoleChange { project: "b".to_owned(), user: "eve".to_owned(), role: Role::Responsible };
    world.vault.members().revoke_role(&user("frank"), change).await.unwrap();
    world.clock.advance(Duration::from_secs(2 * 3_600));
}

async fn entry_id(world: &World, project: &str, name: &str) -> String {
    let query = "query($p: ID!, $n: String!) { projectVault(projectId: $p) { entry(name: $n) { id } } }";
    let answer = world.ask(&user("eve"), query, json!({ "p": project, "n": name })).await;
    answer.ok("/projectVault/entry/id").as_str().unwrap().to_owned()
}

both! {
    async fn pages_below_a_hundred_projects_cost_three_statements_and_two_batches(world: World) {
        world.demo().await;
        let ids: Vec<String> = (0..100).map(|n| format!("p{n}")).collect();
        for id in &ids {
            project(&world, id, "eve").await;
        }
        for id in ids.iter().step_by(2) {
            import(&world, id, None, "C=1\nA=1\nB=1\n").await;
        }
        // Of different sizes, since a page that was read comes from memory.
        for (first, page) in [(2, "nodes { name }"), (1, "edges { node { name } }")] {
            let query = format!(
                "query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on Project {{ id vault {{
                    entries(first: {first}) {{ totalCount {page} }} }} }} }} }}"
            );
            let (before, batches) = (world.statements() as usize, world.batches());
            let of_authorizer = world.statements_of_authorizer();
            let answer = world.ask(&user("eve"), &query, json!({ "r": representations("Project", &ids) })).await;
            let sent = world.statement_texts().split_off(before);
            assert_eq!(world.batches() - batches, 2, "one question for each project, 50 in a batch");
            assert!(world.statements_of_authorizer() - of_authorizer <= 3);
            assert_eq!(sent.len(), 3, "{sent:#?}");
            let text = |n: usize| sent[n].replace(['`', '"'], "").to_lowercase();
            assert!(text(0).starts_with("select projects.id"), "the projects: {}", text(0));
            assert!(text(1).starts_with("select entries.id") && text(1).contains("row_number()"), "the pages: {}", text(1));
            assert!(text(2).starts_with("select entries.project_id, count(*)"), "the totals: {}", text(2));
            for (index, (count, on_page)) in (0..100).map(|n| (n, if n % 2 == 0 { (3, first) } else { (0, 0) })) {
                let entries = answer.ok(&format!("/_entities/{index}/vault/entries"));
                assert_eq!(entries["totalCount"], json!(count));
                let page = if page.starts_with("nodes") { &entries["nodes"] } else { &entries["edges"] };
                assert_eq!(page.as_array().unwrap().len(), on_page);
            }
        }
    }

    async fn a_page_among_others_is_the_page_alone(world: World) {
        populate(&world).await;
        let ids = owned(["a", "nowhere", "b", "hidden", "c", "a", "demo"]);
        let order = |field: &str, direction: &str| json!({ "field": field, "direction": direction });
        for page in [
            json!({}),
            json!({ "first": 0 }),
            json!({ "first": 2 }),
            json!({ "first": 101 }),
            json!({ "first": 2, "order": order("NAME", "DESC") }),
            json!({ "first": 3, "order": order("CREATED_AT", "DESC") }),
            json!({ "first": 3, "order": order("UPDATED_AT", "ASC") }),
            json!({ "first": 4, "order": order("EXPIRES_AT", "ASC") }),
            json!({ "first": 4, "order": order("EXPIRES_AT", "DESC") }),
            json!({ "first": 2, "filter": { "nameContains": "b" } }),
            json!({ "filter": { "nameContains": "%" } }),
            json!({ "filter": { "categories": ["API_KEY"] } }),
            json!({ "filter": { "categories": [] } }),
            json!({ "filter": { "scope": "MILESTONE" } }),
            json!({ "filter": { "milestoneId": "a1" } }),
            json!({ "filter": { "milestoneId": "no such id" } }),
            json!({ "filter": { "statuses": ["DISABLED", "EXPIRED"] } }),
            json!({ "filter": { "statuses": ["DELETED", "ACTIVE"] } }),
            json!({ "filter": { "statuses": ["DELETED"] } }),
            json!({ "filter": { "expiresBefore": "2030-01-01T06:00:00Z" } }),
            json!({ "filter": { "leftOutOfSessions": true } }),
            json!({ "filter": { "leftOutOfSessions": false }, "first": 2 }),
            json!({ "filter": { "leftOutOfSessions": true, "statuses": ["DELETED"] } }),
        ] {
            let answer = ask_together_and_alone(&world, "eve", PAGES, "Project", &ids, &page).await;
            assert!(answer.at("/_entities/1/vault").is_null() && answer.at("/_entities/3/vault").is_null());
            // A cursor belongs to one project's list: it continues that one, and is refused by the
            // others.
            let cursor = answer.at("/_entities/2/vault/entries/pageInfo/endCursor").clone();
            if !cursor.is_null() {
                let mut next = page.clone();
                next["after"] = cursor;
                let answer = ask_together_and_alone(&world, "eve", PAGES, "Project", &ids, &next).await;
                assert_eq!(answer.codes(), ["INVALID_INPUT"; 3], "{next}");
                assert!(!answer.at("/_entities/2/vault/entries").is_null(), "{next}");
            }
        }
        // The demo of the filters is worth something only if they match something.
        let names = async |filter: Value| {
            let variables = json!({ "r": representations("Project", &owned(["a", "b"])), "filter": filter });
            let answer = world.ask(&user("eve"), PAGES, variables).await;
            [0, 1].map(|index| {
                let nodes = answer.ok(&format!("/_entities/{index}/vault/entries/nodes")).as_array().unwrap();
                nodes.iter().map(|node| node["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(names(json!({ "leftOutOfSessions": true })).await, ["C F LATER SOON d", "G SOON"]);
        assert_eq!(names(json!({ "leftOutOfSessions": false })).await, ["A_TOKEN B B C_TOKEN", "A_TOKEN B B"]);
        assert_eq!(names(json!({ "statuses": ["DELETED"] })).await, ["E", ""]);
        assert_eq!(names(json!({ "statuses": ["EXPIRED", "DISABLED"] })).await, ["SOON d", ""]);
    }

    async fn pages_with_the_same_arguments_are_one_statement_and_others_another(world: World) {
        populate(&world).await;
        let query = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Project { vault {
            x: entries(first: 1) { nodes { name } } y: entries(first: 1) { nodes { id } }
            z: entries(first: 1, orderBy: { direction: DESC }) { nodes { name } } } } } }";
        let before = world.statements();
        let answer = world.ask(&user("eve"), query, json!({ "r": representations("Project", &owned(["a", "b", "c"])) })).await;
        assert_eq!(*answer.ok("/_entities/0/vault/z/nodes/0/name"), json!("d"));
        assert_eq!(*answer.ok("/_entities/1/vault/x/nodes/0/name"), json!("A_TOKEN"));
        assert_eq!(world.statements() - before, 3, "the projects, two kinds of pages");
        // A filter by sessions reads the rules and the names of all projects first.
        let query = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Project { vault {
            entries(first: 1, filter: { leftOutOfSessions: true }) { nodes { name } } } } } }";
        let before = world.statements();
        world.ask(&user("eve"), query, json!({ "r": representations("Project", &owned(["a", "b", "c"])) })).await.ok("");
        assert_eq!(world.statements() - before, 5);
    }

    async fn a_page_of_a_milestone_among_others_is_the_page_alone(world: World) {
        populate(&world).await;
        let query = "query($r: [_Any!]!, $first: Int, $after: String) { _entities(representations: $r) { ... on Milestone {
            id vaultEntries(first: $first, after: $after) { totalCount nodes { name }
            edges { cursor node { id milestone { id } } } pageInfo { hasNextPage hasPreviousPage endCursor } } } } }";
        let ids = owned(["a1", "b1", "nowhere", "a2", "demo-launch", "a1"]);
        for page in [json!({}), json!({ "first": 1 }), json!({ "first": 0 }), json!({ "first": -1 })] {
            let answer = ask_together_and_alone(&world, "eve", query, "Milestone", &ids, &page).await;
            assert!(answer.at("/_entities/2/vaultEntries").is_null() && answer.at("/_entities/4/vaultEntries").is_null());
            let cursor = answer.at("/_entities/1/vaultEntries/pageInfo/endCursor").clone();
            if !cursor.is_null() {
                let next = json!({ "first": 1, "after": cursor });
                ask_together_and_alone(&world, "eve", query, "Milestone", &ids, &next).await;
            }
        }
        let (before, batches) = (world.statements(), world.batches());
        let variables = json!({ "r": representations("Milestone", &owned(["a1", "b1", "a2"])), "first": 2 });
        let answer = world.ask(&user("eve"), query, variables).await;
        assert_eq!(*answer.ok("/_entities/0/vaultEntries/nodes"), json!([{ "name": "B" }, { "name": "C" }]));
        assert_eq!(*answer.ok("/_entities/1/vaultEntries/totalCount"), json!(2));
        assert_eq!(world.statements() - before, 4, "the milestones, their projects, the pages, the totals");
        assert_eq!(world.batches() - batches, 1);
        let nested = "{ projectVault(projectId: \"a\") { milestones { id vaultEntries(first: 3) { totalCount nodes { name } } } } }";
        let before = world.statements();
        let answer = world.ask(&user("eve"), nested, json!({})).await;
        let expected = json!([
            { "id": "a1", "vaultEntries": { "totalCount": 3, "nodes": [{ "name": "B" }, { "name": "C" }, { "name": "F" }] } },
            { "id": "a2", "vaultEntries": { "totalCount": 0, "nodes": [] } },
        ]);
        assert_eq!(*answer.ok("/projectVault/milestones"), expected);
        assert_eq!(world.statements() - before, 4, "the project, its milestones, the pages, the totals");
    }

    async fn a_viewer_without_entries_sees_the_vault_and_is_refused_its_pages(world: World) {
        populate(&world).await;
        let ids = owned(["a", "nowhere", "b"]);
        let answer = ask_together_and_alone(&world, "audrey", PAGES, "Project", &ids, &json!({ "first": 1 })).await;
        assert_eq!(*answer.at("/_entities/0/vault"), json!({ "status": "ACTIVE", "entries": null }));
        assert!(answer.at("/_entities/1/vault").is_null());
        assert_eq!(answer.codes(), ["FORBIDDEN"; 2]);
    }

    async fn pages_of_what_is_hidden_cost_as_much_as_of_what_is_missing(world: World) {
        world.demo().await;
        for n in 0..60 {
            project(&world, &format!("p{n}"), "eve").await;
        }
        let mut work = Vec::new();
        for ids in [(0..60), (1_000..1_060), (30..90)] {
            let ids: Vec<String> = ids.map(|n| format!("p{n}")).collect();
            let (statements, batches) = (world.statements(), world.batches());
            let answer = world.ask(&user("mallory"), PAGES, json!({ "r": representations("Project", &ids) })).await;
            assert!(answer.ok("/_entities").as_array().unwrap().iter().all(|project| project["vault"].is_null()));
            work.push((world.statements() - statements, world.batches() - batches));
        }
        assert_eq!(work, [(2, 4); 3], "whether the entries may be listed, then whether the projects may be seen");
    }

    async fn a_change_is_in_the_pages_that_follow_it(world: World) {
        populate(&world).await;
        let id = entry_id(&world, "a", "B").await;
        let page = "entry { project { vault { entries(first: 1, filter: { statuses: [ACTIVE], nameContains: \"b\" }) { totalCount } } } }";
        let mutation = format!(
            "mutation($e: ID!) {{ x: disableVaultEntry(id: $e) {{ {page} }} y: enableVaultEntry(id: $e) {{ {page} }} }}"
        );
        let answer = world.ask(&user("eve"), &mutation, json!({ "e": id })).await;
        assert_eq!(*answer.ok("/x/entry/project/vault/entries/totalCount"), json!(1));
        assert_eq!(*answer.ok("/y/entry/project/vault/entries/totalCount"), json!(2));
    }
}

#[derive(diesel::QueryableByName)]
struct Step {
    #[diesel(sql_type = diesel::sql_types::Text)]
    detail: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_entries_of_each_list_are_found_by_an_index() {
    let world = World::new(Backend::Sqlite).await;
    populate(&world).await;
    let before = world.statements() as usize;
    let projects = json!({ "r": representations("Project", &owned(["a", "b", "c"])) });
    let milestones = json!({ "r": representations("Milestone", &owned(["a1", "b1"])) });
    let order = "orderBy: { field: EXPIRES_AT, direction: DESC }";
    for (page, variables) in [
        ("... on Project { vault { entries(first: 2) { totalCount } } }".to_owned(), projects.clone()),
        (format!("... on Project {{ vault {{ entries(first: 2, {order}) {{ totalCount }} }} }}"), projects),
        ("... on Milestone { vaultEntries(first: 2) { totalCount } }".to_owned(), milestones),
    ] {
        let query = format!("query($r: [_Any!]!) {{ _entities(representations: $r) {{ {page} }} }}");
        world.ask(&user("eve"), &query, variables).await.ok("");
    }
    let sent = world.statement_texts().split_off(before);
    let lists: Vec<&String> = sent.iter().filter(|sql| sql.contains("`entries`")).collect();
    assert_eq!(lists.len(), 6, "{sent:#?}");
    let path = world.url().strip_prefix("sqlite:").unwrap();
    let mut conn = <diesel::SqliteConnection as diesel::Connection>::establish(path).unwrap();
    for statement in lists {
        let statement = statement.split(" -- binds").next().unwrap();
        let explain = diesel::sql_query(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan: Vec<Step> = diesel::RunQueryDsl::load(explain, &mut conn).unwrap();
        let plan: Vec<&str> = plan.iter().map(|step| step.detail.as_str()).collect();
        // The numbered entries of the lists, and the lists themselves, are what is read through.
        let through = ["places", "subquery", "json_each"];
        let scan = |step: &str| step.starts_with("SCAN") && !through.iter().any(|read| step.contains(read));
        let bad = |step: &&&str| scan(step) || step.contains("AUTOMATIC");
        assert_eq!(plan.iter().filter(bad).count(), 0, "{statement}\n{plan:#?}");
        assert!(
            plan.iter().any(|step| step.contains("entries_project (") || step.contains("entries_milestone (")),
            "{plan:#?}"
        );
    }
}
