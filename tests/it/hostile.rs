//! Documents and variables that try to cost more than they should, or to make the API disclose more
//! than it should.

use crate::support::{ask, entry, runtime, user};
use project_vault::graphql::Api;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Far more than an answer takes that nothing was done for.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(10);

const ENTITIES: &str =
    "query($r: [_Any!]!) { _entities(representations: $r) { ... on Project { id vault { status } } } }";

fn projects(count: usize) -> Vec<Value> {
    vec![json!({ "__typename": "Project", "id": "demo" }); count]
}

/// `{ a { a { ... } } }`, of entries in projects, so many fields deep.
fn nested(depth: usize) -> String {
    let names = ["nodes", "project", "vault", "entries"];
    let (mut down, mut up) = ("{ projectVault(projectId: \"demo\") { entries(first: 1)".to_owned(), 3);
    for level in 0..depth - 3 {
        let name = names[level % names.len()];
        down += &format!(" {{ {name}{}", if name == "entries" { "(first: 1)" } else { "" });
        up += 1;
    }
    format!("{down} {{ __typename {}", "}".repeat(up))
}

both! {
    async fn the_limits_of_a_document_hold_on_both_sides(world: World) {
        world.demo().await;
        let aliases = |count: usize| -> String { (0..count).map(|n| format!("a{n}: __typename ")).collect() };
        let fields = |count: usize| -> String {
            let all: String = (0..count).map(|n| format!("e{n}: _entities(representations: $r) {{ __typename }} ")).collect();
            format!("query($r: [_Any!]!) {{ {all} }}")
        };
        let of_entities = format!("query($r: [_Any!]!) {{ _entities(representations: $r) {{ {} }} }}", aliases(31));
        for (query, variables, refused) in [
            (nested(16), json!({}), None),
            (nested(17), json!({}), Some("16 deep")),
            (format!("{{ {} }}", aliases(30)), json!({}), None),
            (format!("{{ {} }}", aliases(31)), json!({}), Some("30 aliases")),
            (of_entities, json!({ "r": projects(1) }), None),
            (fields(500), json!({ "r": [] }), None),
            (fields(501), json!({ "r": [] }), Some("1,000 fields")),
            (ENTITIES.to_owned(), json!({ "r": projects(1_000) }), None),
            (ENTITIES.to_owned(), json!({ "r": projects(1_001) }), Some("1,000 representations")),
        ] {
            let answer = world.ask(&user("dave"), &query, variables).await;
            match refused {
                None => drop(answer.ok("")),
                Some(word) => {
                    assert_eq!(answer.codes(), ["LIMIT_EXCEEDED"], "{query}");
                    assert!(answer.errors()[0]["message"].as_str().unwrap().contains(word), "{:#}", answer.0);
                }
            }
        }
    }

    async fn lists_below_lists_are_bounded_and_versions_of_a_page_are_not(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let versions = "{ projectVault(projectId: \"demo\") { entries(first: 100) { nodes { name versions(first: 10) {
            nodes { version maskedValue } } } } } }";
        let answer = world.ask(&user("carol"), versions, json!({})).await;
        assert_eq!(*answer.ok("/projectVault/entries/nodes/0/versions/nodes/0/version"), json!(1));
        let below = |inner: &str| format!("entries(first: 100) {{ nodes {{ project {{ vault {{ {inner} }} }} }} }}");
        let four = below(&below(&below("entries(first: 100) { nodes { id } }")));
        let before = world.statements();
        let answer = world.ask(&user("dave"), &format!("{{ projectVault(projectId: \"demo\") {{ {four} }} }}"), json!({})).await;
        assert_eq!(answer.codes(), ["LIMIT_EXCEEDED"]);
        assert_eq!(world.statements(), before, "nothing was read");
    }

    async fn faults_are_told_in_moderation(world: World) {
        world.demo().await;
        let start = Instant::now();
        let undefined: String = (0..3_000).map(|n| format!("$v{n:x} ")).collect();
        let document = format!("query {} {{ projectVault(projectId: [{undefined}]) {{ status }} }}", "x".repeat(9_000));
        let answer = world.ask(&user("dave"), &document, json!({})).await;
        assert_eq!(answer.codes(), vec!["GRAPHQL_VALIDATION_FAILED"; 20]);
        assert!(answer.0.to_string().len() < 10_000);
        assert!(start.elapsed() < REFUSAL_TIMEOUT);
        // Unselected operations that share their faults are bounded before anything is validated.
        let others: String = (0..900).map(|n| format!("query q{n} {{ ...F }} ")).collect();
        let document = format!("{others} fragment F on Query {{ vaultEntry(id: [{undefined}]) {{ id }} }}");
        assert_eq!(world.ask(&user("dave"), &document, json!({})).await.codes(), ["LIMIT_EXCEEDED"]);
        assert!(start.elapsed() < REFUSAL_TIMEOUT);
    }

    async fn a_variable_of_an_unknown_type_is_refused(world: World) {
        world.demo().await;
        for definition in [
            "$x: [Nope] = [\"SENTINEL\"]",
            "$x: Nope = 1",
            "$x: [[Nope!]!]!",
            "$x: Project = {}",
            "$x: __Schema",
            "$x: [Query]",
        ] {
            let answer = world.ask(&user("dave"), &format!("query({definition}) {{ __typename }}"), json!({})).await;
            assert_eq!(answer.codes(), ["GRAPHQL_VALIDATION_FAILED"], "{definition}: {:#}", answer.0);
            let text = answer.0.to_string();
            assert!(!text.contains("Nope") && !text.contains("SENTINEL"), "{text}");
        }
        for known in ["Int", "[String!]", "Boolean", "Float", "ID", "DateTime", "VaultCategory", "[VaultEntryFilter!]", "[_Any!]"] {
            let query = format!("query($x: {known}) {{ __typename @skip(if: false) }}");
            let answer = world.ask(&user("dave"), &query, json!({})).await;
            assert!(answer.codes() == ["GRAPHQL_VALIDATION_FAILED"], "unused, and known: {:#}", answer.0);
            assert!(answer.0.to_string().contains("is not used"), "{:#}", answer.0);
        }
    }

    async fn no_message_repeats_a_value(world: World) {
        world.demo().await;
        let s = "SENTINEL_5e41";
        let create = |input: &str| format!("mutation {{ createVaultEntry(input: {{ {input} }}) {{ userErrors {{ code }} }} }}");
        let list = |arguments: &str| format!("{{ projectVault(projectId: \"demo\") {{ entries({arguments}) {{ totalCount }} }} }}");
        let with = |variable: &str, query: String| {
            let rest = query.trim_start_matches("mutation").to_owned();
            format!("{} ({variable}) {rest}", if query.starts_with("mutation") { "mutation" } else { "query" })
        };
        let mut documents = vec![
            // Literals: of an enum, a scalar, a list, an input object.
            create(&format!("projectId: \"demo\", name: \"A\", value: \"v\", category: {s}")),
            create(&format!("projectId: \"demo\", name: \"A\", value: \"v\", category: \"{s}\"")),
            create(&format!("projectId: \"demo\", name: \"A\", value: {s}, category: SECRET")),
            create(&format!("projectId: \"demo\", name: \"A\", value: {{ {s}: \"{s}\" }}, category: SECRET")),
            create(&format!("projectId: \"demo\", name: \"A\", value: \"v\", category: SECRET, {s}: 1")),
            create(&format!("projectId: \"demo\", name: \"A\", value: \"v\", category: SECRET, expiresAt: \"{s}\"")),
            create(&format!("projectId: [\"{s}\"], name: \"A\", value: \"v\", category: SECRET")),
            "mutation { createVaultEntry(input: \"SENTINEL_5e41\") { userErrors { code } } }".to_owned(),
            list(&format!("first: \"{s}\"")),
            list(&format!("filter: {{ categories: [SECRET, {s}] }}")),
            list(&format!("filter: \"{s}\"")),
            list(&format!("orderBy: {{ field: {s} }}")),
            format!("{{ _entities(representations: [\"{s}\", {{ __typename: \"{s}\", id: \"{s}\" }}]) {{ __typename }} }}"),
        ];
        // Defaults.
        for (definition, arguments) in [
            (format!("$x: Int = \"{s}\""), "first: $x"),
            (format!("$x: VaultEntryFilter = {{ {s}: 1 }}"), "filter: $x"),
            (format!("$x: VaultEntryFilter = \"{s}\""), "filter: $x"),
            (format!("$x: VaultEntryFilter = {{ categories: [{s}] }}"), "filter: $x"),
            (format!("$x: [VaultCategory!] = [SECRET, \"{s}\"]"), "filter: { categories: $x }"),
            (format!("$x: VaultCategory = {s}"), "filter: { categories: [$x] }"),
            (format!("$x: DateTime = \"{s}\""), "filter: { expiresBefore: $x }"),
        ] {
            documents.push(with(&definition, list(arguments)));
        }
        for document in &documents {
            let answer = world.ask(&user("bob"), document, json!({})).await;
            assert!(!answer.errors().is_empty(), "{document}: {:#}", answer.0);
            assert!(!answer.0.to_string().contains(s), "{document}: {:#}", answer.0);
        }
        // Variables.
        for (definition, arguments, value) in [
            ("$x: Int", "first: $x", json!(s)),
            ("$x: Int", "first: $x", json!([s])),
            ("$x: VaultEntryFilter", "filter: $x", json!({ s: 1 })),
            ("$x: VaultEntryFilter", "filter: $x", json!(s)),
            ("$x: VaultEntryFilter", "filter: $x", json!({ "categories": [s] })),
            ("$x: VaultEntryFilter", "filter: $x", json!({ "nameContains": { "a": s } })),
            ("$x: [VaultCategory!]", "filter: { categories: $x }", json!(["SECRET", s])),
            ("$x: VaultEntryOrder", "orderBy: $x", json!({ "direction": s })),
            ("$x: DateTime", "filter: { expiresBefore: $x }", json!(s)),
            ("$x: String", "after: $x", json!(s)),
        ] {
            let document = with(definition, list(arguments));
            let answer = world.ask(&user("bob"), &document, json!({ "x": value })).await;
            assert!(!answer.errors().is_empty(), "{document} {value}: {:#}", answer.0);
            assert!(!answer.0.to_string().contains(s), "{document} {value}: {:#}", answer.0);
        }
    }

    async fn introspection_that_is_off_is_refused_with_a_token(world: World) {
        world.demo().await;
        let off = Api::new(world.vault.clone(), false);
        let query = "{ __type(name: \"ResolvedSecret\") { name } }";
        for caller in [user("alice"), runtime("acme-runtime")] {
            for query in [query, "{ __schema { queryType { name } } }", "{ __typename ... { s: __schema { queryType { name } } } }"] {
                let answer = ask(&off, &caller, query, json!({})).await;
                assert_eq!(answer.codes(), ["GRAPHQL_VALIDATION_FAILED"]);
                assert!(answer.at("").is_null());
            }
            let other = ask(&off, &caller, "{ __typename _service { sdl } }", json!({})).await;
            assert_eq!(*other.ok("/__typename"), json!("Query"));
        }
        assert_eq!(*world.ask(&runtime("acme-runtime"), query, json!({})).await.ok("/__type/name"), json!("ResolvedSecret"));
        assert!(world.ask(&user("alice"), query, json!({})).await.ok("/__type").is_null());
    }
}
