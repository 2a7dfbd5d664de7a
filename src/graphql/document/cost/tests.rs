use super::{CONNECTIONS, Circumstances, LISTS, elements};
use crate::graphql::document::schema_fields::schema_fields;
use crate::graphql::document::{DocumentError, inspect};
use async_graphql::Variables;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[track_caller]
fn cost(query: &str, variables: Value) -> Result<(), String> {
    let inspected = inspect(query, None).unwrap_or_else(|refusal| panic!("{refusal}"));
    let start = Instant::now();
    let checked = inspected.check_cost(&Variables::from_json(variables), Circumstances::default());
    assert!(start.elapsed() < Duration::from_secs(5));
    checked.map(drop).map_err(|refusal| match refusal {
        DocumentError::Limit(message) => message,
        other => panic!("{other:?}"),
    })
}

#[track_caller]
fn passes(query: &str, variables: Value) {
    assert_eq!(cost(query, variables), Ok(()), "{query}");
}

#[track_caller]
fn limited(query: &str, variables: Value, word: &str) {
    let message = cost(query, variables).expect_err("a limit");
    assert!(message.contains(word), "{message}");
}

/// Pages of these sizes, each below the elements of the one before.
fn pages(sizes: &[&str]) -> String {
    let (last, others) = sizes.split_last().unwrap();
    let last = format!("entries{last} {{ nodes {{ id }} }}");
    let entries = others
        .iter()
        .rfold(last, |below, size| format!("entries{size} {{ nodes {{ project {{ vault {{ {below} }} }} }} }}"));
    format!("{{ vault {{ {entries} }} }}")
}

#[test]
fn pages_below_pages_multiply() {
    let none = || json!({});
    passes("{ vault { entries(first: 100) { nodes { id versions { nodes { version } } } } } }", none());
    passes("{ vault { entries(first: 100) { edges { node { versions(first: 10) { totalCount } } } } } }", none());
    passes(&pages(&["(first: 100)", "(first: 59)"]), none());
    limited(&pages(&["(first: 100)", "(first: 60)"]), none(), "6,000 elements");
    passes(&pages(&["", ""]), none());
    limited(&pages(&["", "", ""]), none(), "6,000 elements");
    limited(&pages(&["(first: 100)", "(first: 100)", "(first: 100)", "(first: 100)"]), none(), "6,000 elements");
    // A page of nothing is read as well.
    limited(&pages(&["(first: 70)", "(first: 70)", "(first: 0)"]), none(), "6,000 elements");
    let by_variable = pages(&["(first: $n)", "(first: $n)"]).replacen('{', "query($n: Int = 100) {", 1);
    passes(&by_variable, json!({ "n": 70 }));
    limited(&by_variable, json!({ "n": 90 }), "6,000 elements");
    limited(&by_variable, none(), "6,000 elements");
    passes(&by_variable, json!({ "n": null }));
    // Out of range, it reads nothing, and is answered with an error that names `first`.
    for first in ["(first: -1)", "(first: 101)", "(first: 1000)", "(first: 9999999999)"] {
        passes(&pages(&["(first: 100)", first]), none());
    }
    let spread = "{ vault { ...E } } fragment E on V { entries { nodes { project { vault { ...F } } } } }
        fragment F on V { milestones { vaultEntries { nodes { id } } } }";
    limited(spread, none(), "6,000 elements");
    passes("{ vault { milestones { vaultEntries { nodes { id } } } } }", none());
    limited("{ previewSecrets { secrets { entry { project { vault { agents { agent } } } } } } }", none(), "elements");
}

#[test]
fn representations_are_counted_together() {
    let query = "query($r: [_Any!]!, $s: [_Any!]!) { a: _entities(representations: $r) { ... on Project { id } }
        b: _entities(representations: $s) { ... on Project { id vault { status } } } }";
    let some = |count| vec![json!({ "__typename": "Project", "id": "p" }); count];
    passes(query, json!({ "r": some(500), "s": some(500) }));
    limited(query, json!({ "r": some(500), "s": some(501) }), "1,000 representations");
    let literal = format!("{{ _entities(representations: [{}]) {{ id }} }}", "{a: 1} ".repeat(1_001));
    limited(&literal, json!({}), "1,000 representations");
    let lists = query.replace("status", "entries { nodes { id } }");
    passes(&lists, json!({ "r": [], "s": some(100) }));
    limited(&lists, json!({ "r": [], "s": some(121) }), "6,000 elements");
}

#[test]
fn each_list_below_an_element_counts() {
    let query = |lists: &str| {
        format!(
            "query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on Project {{ vault {{ {lists} }} }} }} }}"
        )
    };
    let some = |count| json!({ "r": vec![json!({ "__typename": "Project", "id": "p" }); count] });
    let lists = |count: u32, list: &str| (0..count).map(|n| format!("a{n}: {list} ")).collect::<String>();
    for list in
        ["entries(first: 1) { nodes { id } }", "vaultEntries(first: 2) { nodes { id } }", "entry(name: \"A\") { id }"]
    {
        passes(&query(&lists(25, list)), some(10));
        limited(&query(&lists(26, list)), some(10), "250 lists");
    }
    passes(&query(&lists(12, "entries(first: 1) { totalCount }")), some(10));
    limited(&query(&lists(13, "entries(first: 1) { totalCount }")), some(10), "250 lists");
    passes("{ vault { entries(first: 100) { nodes { versions(first: 10) { totalCount } } } } }", json!({}));
}

#[test]
fn fields_count_for_each_element() {
    let fields = |count| {
        let aliases = (0..count).fold(String::new(), |text, n| text + &format!("f{n}: open "));
        let entities = format!("_entities(representations: $r) {{ ... on Project {{ {aliases} }} }}");
        format!("query($r: [_Any!]!) {{ {entities} }}")
    };
    let some = json!({ "r": vec![json!({ "__typename": "Project", "id": "p" }); 1_000] });
    passes(&fields(49), some.clone());
    limited(&fields(50), some, "50,000 fields");
}

#[test]
fn a_value_counts_for_each_of_its_uses() {
    let text = json!({ "v": "x".repeat(1 << 20) });
    let uses = |count| {
        let fields = (0..count).fold(String::new(), |text, n| text + &format!("f{n}: a @a(b: $v) "));
        format!("query($v: String) {{ {fields} }}")
    };
    passes(&uses(7), text.clone());
    limited(&uses(8), text.clone(), "8 MiB");
    limited("query($v: String) { a(b: [$v $v $v $v $v], c: {d: [$v $v $v]}) }", text.clone(), "8 MiB");
    limited("query($v: String) { _entities(r: [$v $v $v $v $v $v $v $v]) { id } }", text.clone(), "8 MiB");
    // A value counts although the operation does not define its variable: the library copies it all
    // the same.
    limited("{ a(b: [$v $v $v $v $v $v $v $v]) }", text, "8 MiB");
    let many = json!({ "v": vec![0; 20_000] });
    passes("query($v: [Int]) { a(b: [$v $v $v $v $v $v]) }", many.clone());
    limited("query($v: [Int]) { a(b: [$v $v $v $v $v $v $v]) }", many, "8 MiB");
    let (text, uses) = ("x".repeat(1 << 17), "$v ".repeat(64));
    let defaulted = format!("query($v: String = \"{text}\") {{ a(b: [{uses}]) }}");
    limited(&defaulted, json!({}), "8 MiB");
    // Below a list a value is copied for each element.
    let below = "query($v: String) { vault { entries(first: 100) { nodes { versions(after: $v) { totalCount } } } } }";
    passes(below, json!({ "v": "x".repeat(1_000) }));
    limited(below, json!({ "v": "x".repeat(100_000) }), "8 MiB");
    let directive = "query($v: Boolean!) { a @skip(if: $v) }";
    passes(directive, json!({ "v": true }));
}

fn bytes(query: &str, variables: Value) -> u64 {
    let checked =
        inspect(query, None).ok().unwrap().check_cost(&Variables::from_json(variables), Circumstances::default());
    checked.unwrap_or_else(|refusal| panic!("{refusal}")).bytes
}

#[test]
fn an_alias_counts_for_each_element() {
    let query = |length| {
        let alias = "a".repeat(length);
        format!("{{ vault {{ entries(first: 100) {{ nodes {{ versions {{ nodes {{ {alias}: version }} }} }} }} }} }}")
    };
    assert_eq!(bytes(&query(200), json!({})) - bytes(&query(100), json!({})), 100 * 100 * 10);
    passes(&query(200), json!({}));
    let more = (0..15).map(|n| format!("{n:b>200}: version ")).collect::<String>();
    limited(&query(200).replace("version }", &format!("version {more} }}")), json!({}), "3 MiB");
}

#[test]
fn descriptions_are_counted_apart() {
    let page = |size: u32, fields: &str| format!("{{ vault {{ entries(first: {size}) {{ nodes {{ {fields} }} }} }} }}");
    passes(&page(100, "description"), json!({}));
    let aliases = |count: u32| (0..count).map(|n| format!("d{n}: description ")).collect::<String>();
    passes(&page(100, &aliases(10)), json!({}));
    limited(&page(100, &aliases(11)), json!({}), "12 MiB of descriptions");
    passes("{ previewSecrets(input: {}) { secrets { name entry { id name description } } } }", json!({}));
}

#[test]
fn what_is_asked_for_bounds_what_is_answered() {
    let resolve = "query($n: [String!], $i: In) { resolveSecrets(input: { names: $n }) { secrets { name value } } }";
    let all = bytes(resolve, json!({}));
    assert!(all > 4 << 20 && all < 5 << 20, "{all}");
    assert!(bytes(resolve, json!({ "n": ["A", "B"] })) < 3 * 64 * 1024);
    assert!(bytes(resolve, json!({ "n": "A" })) < 2 * 64 * 1024);
    let whole = resolve.replace("{ names: $n }", "$i");
    assert_eq!(bytes(&whole, json!({ "i": { "names": ["A", "B"] } })), bytes(resolve, json!({ "n": ["A", "B"] })));
    assert_eq!(bytes(&whole, json!({ "i": { "names": null } })), all);
    assert_eq!(
        bytes(&resolve.replace("$n }", "[\"A\", $n] }"), json!({ "n": "B" })),
        bytes(resolve, json!({ "n": ["A", "B"] }))
    );
    limited(&resolve.replace("value }", "value v: value }"), json!({}), "at most once");

    let import = "mutation($d: String!) { importVaultEntries(input: { dotenv: $d }) { created { id name } skipped } }";
    let lines = |count: usize| json!({ "d": "A=1\n".repeat(count) });
    assert!(bytes(import, lines(2)) < 4_000 && bytes(import, lines(500)) > 100_000);
    passes(&import.replace("id name", "id name description"), lines(1_000));
}

#[test]
fn a_field_counts_as_the_error_that_may_stand_for_it() {
    let page = "{ vault { entries(first: 100) { nodes { maskedValue } } } }";
    assert!(bytes(page, json!({})) > 100 * 320);
    let entities = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }";
    assert!(bytes(entities, json!({ "r": vec![json!({}); 100] })) > 100 * 320);
}

#[test]
fn without_a_token_less_is_answered() {
    let wide = format!("{{ {} }}", (0..30).map(|n| format!("{n:a>200}: __typename ")).collect::<String>());
    let anonymous = Circumstances { anonymous: true, sdl: 40_000, ..Circumstances::default() };
    let inspected = inspect(&wide, None).ok().unwrap();
    assert!(inspected.check_cost(&Variables::default(), anonymous).unwrap().bytes < 30_000);
    let sdl = inspect("{ _service { sdl } }", None).ok().unwrap();
    assert!(sdl.check_cost(&Variables::default(), anonymous).unwrap().bytes >= 40_000);
    let larger = Circumstances { sdl: 600_000, ..anonymous };
    assert!(
        matches!(sdl.check_cost(&Variables::default(), larger), Err(DocumentError::Limit(message)) if message.contains("256 KiB"))
    );
    assert!(sdl.check_cost(&Variables::default(), Circumstances { anonymous: false, ..larger }).is_ok());
}

#[test]
fn a_page_of_everything_passes() {
    let entry = "id name description category scope status version revision expiresAt rotationIntervalDays rotationDueAt
        createdAt updatedAt maskedValue lastResolvedAt resolveCount project { id } milestone { id } createdBy { id }
        updatedBy { id } certificate { subject issuer notBefore notAfter fingerprint }
        exposures { agent { id } since lastReceivedAt }
        versions { pageInfo { hasNextPage endCursor } nodes { version maskedValue createdAt createdBy { id } restoredFrom } }";
    for page in ["nodes {", "edges { cursor node {"] {
        let closed = "}".repeat(page.matches('{').count());
        let query = format!("{{ vault {{ entries(first: 100) {{ totalCount {page} {entry} {closed} }} }} }}");
        let expected = bytes(&query, json!({}));
        assert!(expected > 1_000_000 && expected < 6_000_000, "{expected}");
    }
}

#[test]
fn introspection_is_measured_by_the_schema_and_not_beyond_the_limit() {
    use crate::graphql::document::Introspected;
    use async_graphql::Value as Answered;

    // Every type leads to itself, twenty times.
    let field = json!({ "name": "f", "args": [], "type": { "kind": "OBJECT", "name": "T", "ofType": null } });
    let kind = json!({ "kind": "OBJECT", "name": "T", "description": "x".repeat(100), "fields": vec![field; 20] });
    let schema = json!({ "__schema": { "queryType": { "kind": "OBJECT", "name": "T" }, "types": [kind] } });
    let known = Introspected::of(&Answered::from_json(schema).unwrap()).unwrap();
    let circumstances = Circumstances { introspected: Some(&known), ..Circumstances::default() };
    let cost = |query: &str, variables| {
        inspect(query, None).ok().unwrap().check_cost(&Variables::from_json(variables), circumstances)
    };
    let deep = |levels| (0..levels).fold("name".to_owned(), |below, _| format!("fields {{ type {{ {below} }} }}"));
    let of_type = |levels| format!("query($t: String = \"T\") {{ __type(name: $t) {{ {} }} }}", deep(levels));
    let fields = |levels| cost(&of_type(levels), json!({})).unwrap().fields;
    assert_eq!((fields(1), fields(2)), (1 + 1 + 20 * 2, 1 + 1 + 20 * (1 + 1 + 20 * 2)));
    // A type that there is not.
    assert!(cost(&of_type(6), json!({ "t": "U" })).unwrap().bytes < 100);
    let start = Instant::now();
    for query in [of_type(6), format!("{{ __schema {{ types {{ {0} }} queryType {{ {0} }} }} }}", deep(6))] {
        let Err(DocumentError::Limit(message)) = cost(&query, json!({})) else { panic!("{query}") };
        assert!(message.contains("an operation answers") || message.contains("An operation answers"), "{message}");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "no more is measured than is allowed");
}

/// Lists that are counted with what is around them: a connection's elements with its page, and a
/// payload's one error with the payload.
const COUNTED_ABOVE: [&str; 3] = ["nodes", "edges", "userErrors"];

#[test]
fn every_list_of_the_schema_has_a_cost() {
    let fields = schema_fields();
    let lists: Vec<&str> = fields
        .iter()
        .filter(|field| !field.is_leaf && (field.of.starts_with('[') || field.of.ends_with("Connection")))
        .map(|field| field.name.as_str())
        .collect();
    assert!(lists.len() > 15, "{lists:?}");
    for name in &lists {
        assert!(elements(name).is_some() || COUNTED_ABOVE.contains(name), "{name}: give it a cost in elements()");
    }
    for name in CONNECTIONS.iter().chain(LISTS) {
        assert!(lists.contains(name), "{name}: no list of the schema has this name");
    }
}
