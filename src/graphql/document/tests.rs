mod fuzz;
mod merging;

use super::*;
use async_graphql::{EmptyMutation, EmptySubscription, Object, Request, Schema};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

fn refusal(query: &str) -> Option<DocumentError> {
    inspect(query, None).err()
}

#[track_caller]
fn passes(query: &str) -> Inspected {
    match inspect(query, None) {
        Ok(inspected) => inspected,
        Err(refusal) => panic!("{refusal}"),
    }
}

#[track_caller]
fn limited(query: &str, word: &str) {
    match refusal(query) {
        Some(DocumentError::Limit(message)) => assert!(message.contains(word), "{message}"),
        other => panic!("not limited: {other:?}"),
    }
}

fn nested(depth: usize) -> String {
    "{a".repeat(depth) + &"}".repeat(depth)
}

const INTROSPECTION: &str =
    "query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name }
  subscriptionType { name } types { ...FullType } directives { name description isRepeatable locations
  args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL isOneOf fields(includeDeprecated: true) { name
  description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
  inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef } enumValues(includeDeprecated: true) {
  name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }";

#[test]
fn the_standard_introspection_query_passes_and_is_anonymous() {
    let inspected = passes(INTROSPECTION);
    assert!(inspected.anonymous_only && !inspected.resolves);
    assert_eq!(inspected.kind, OperationType::Query);
}

#[test]
fn only_queries_of_nothing_but_open_root_fields_are_anonymous() {
    for (query, anonymous) in [
        ("{ __typename }", true),
        ("{ _service { sdl } x: __type(name: \"A\") { name } }", true),
        ("{ ...F } fragment F on Query { ... { __typename } }", true),
        ("{ __typename project(id: \"1\") { id } }", false),
        ("{ __schema: project(id: \"1\") { id } }", false),
        ("{ ...F } fragment F on Query { ... on Query { project } }", false),
        ("{ ...F __typename }", false),
        ("{ _entities(representations: []) { __typename } }", false),
        ("mutation { __typename }", false),
        ("subscription { __typename }", false),
    ] {
        assert_eq!(passes(query).anonymous_only, anonymous, "{query}");
    }
}

#[test]
fn a_syntax_error_tells_the_place_and_quotes_nothing() {
    for (query, at) in [
        ("{ a(value: \"hunter2\" }", (1, 22)),
        ("{\n  a(value: \"hunter2)\n}", (2, 12)),
        ("{ a(value: \"\"\"hunter2) }", (1, 12)),
        ("{ ä: \"hunter2", (1, 6)),
        ("{ hunter2 ", (1, 11)),
        ("query hunter2 { a } query hunter2 { a }", (1, 21)),
        ("{ a } query hunter2 { a }", (1, 1)),
        ("{ ...hunter2 } fragment hunter2 on A { a } fragment hunter2 on A { a }", (1, 44)),
        ("", (1, 1)),
    ] {
        let Some(DocumentError::Parse { message, position }) = refusal(query) else { panic!("{query}") };
        assert_eq!(position.map(|at| (at.line, at.column)), Some(at), "{query}");
        assert!(message.ends_with(&format!("line {}, column {}.", at.0, at.1)), "{message}");
        assert!(!format!("{message} {position:?}").contains("hunter2"), "{message}");
    }
    assert_eq!(
        refusal("{ a( }").map(|refusal| refusal.to_string()),
        Some("The document is not valid GraphQL: it cannot be read at line 1, column 6.".to_owned())
    );
}

#[test]
fn exactly_one_operation_is_chosen() {
    let several = "query A { __typename } mutation B { b }";
    assert_eq!(inspect(several, Some("A")).ok().map(|i| i.kind), Some(OperationType::Query));
    assert_eq!(inspect(several, Some("B")).ok().map(|i| i.kind), Some(OperationType::Mutation));
    assert!(inspect("query A { a }", None).is_ok());
    for (query, name) in [
        (several, None),
        (several, Some("hunter2")),
        (several, Some("")),
        ("{ a }", Some("A")),
        ("fragment A on B { c }", None),
    ] {
        let Err(DocumentError::Operation(message)) = inspect(query, name) else { panic!("{query} {name:?}") };
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn fields_nest_at_most_16_deep() {
    passes(&nested(16));
    limited(&nested(17), "16 deep");
    passes(&format!("{{a{{...F}}}} fragment F on A {}", nested(15)));
    limited(&format!("{{a{{...F}}}} fragment F on A {}", nested(16)), "16 deep");
    limited(&format!("query A {{a}} query B {}", nested(17)), "16 deep");
    passes("{...{...{...{...{...{...{...{...{...{...{...{...{...{...{...{...{...{...{a}}}}}}}}}}}}}}}}}}}");
}

#[test]
fn a_document_has_at_most_1000_fields_with_fragments_expanded() {
    passes(&format!("{{a{{{}}}}}", "b ".repeat(999)));
    limited(&format!("{{a{{{}}}}}", "b ".repeat(1000)), "1,000 fields");
    let fragment = format!("fragment F on A{{{}}}", "b ".repeat(100));
    passes(&format!("{{a{{{}}}}}{fragment}", "...F ".repeat(9)));
    limited(&format!("{{a{{{}}}}}{fragment}", "...F ".repeat(10)), "1,000 fields");
    limited(&format!("query A{{...F}}query B{{a{{{}}}}}{fragment}", "...F ".repeat(9)), "1,000 fields");
}

#[test]
fn an_operation_has_at_most_30_aliases_with_fragments_expanded() {
    let aliases = |count: usize| (0..count).fold(String::new(), |text, i| text + &format!("a{i}: b "));
    passes(&format!("{{{}}}", aliases(30)));
    limited(&format!("{{{}}}", aliases(31)), "aliases");
    limited(&format!("{{a{{...F}}b{{...F}}}}fragment F on A{{{}}}", aliases(16)), "aliases");
    passes(&format!("query A{{{}}}", aliases(30)));
}

#[test]
fn aliases_of_entities_and_below_are_not_counted_but_their_fields_are() {
    let fetches = |count: usize| {
        (0..count).fold(String::new(), |text, i| {
            text + &format!("e{i}: _entities(representations: $r{i}) {{ ... on Agent {{ x: id y: name ...F }} }} ")
        })
    };
    let fragment = format!("fragment F on Agent {{ {} }}", "z: id ".repeat(40));
    passes(&format!("{{ {} }} {fragment}", fetches(20)));
    limited(&format!("{{ {} }} {fragment}", fetches(30)), "1,000 fields");
    limited(&format!("{{ a {{ ...F }} }} {fragment}"), "aliases");
}

#[test]
fn resolve_secrets_is_selected_at_most_once() {
    assert!(passes("{ r: resolveSecrets(names: [\"A\"]) { value } __typename }").resolves);
    assert!(passes("{ ...F } fragment F on Query { ... { resolveSecrets { value } } }").resolves);
    assert!(!passes("{ resolveSecrets: project { id } }").resolves);
    limited("{ a: resolveSecrets { v } b: resolveSecrets { v } }", "at most once");
    limited("{ a: resolveSecrets { v } ...F } fragment F on Query { resolveSecrets { v } }", "at most once");
    assert!(passes("{ ...F ...F } fragment F on Query { resolveSecrets { v } }").resolves);
}

#[test]
fn cyclic_fragments_are_refused_and_unknown_ones_left_to_validation() {
    limited("{ ...A } fragment A on Q { ...A }", "cycle");
    limited("{ a } fragment A on Q { a { ...B } } fragment B on Q { ... { ...A } }", "cycle");
    passes("{ ...A ...A } fragment A on Q { ...B }");
}

/// Far more than a cost that is linear in the bytes needs, and far less than one that is not.
const LINEAR_TIME: Duration = Duration::from_secs(20);

fn ends_in_time(query: &str) -> bool {
    let start = Instant::now();
    let _ = inspect(query, None);
    start.elapsed() < LINEAR_TIME
}

#[test]
fn doubling_fragments_are_refused_at_once() {
    for last in ["a", "...Unknown"] {
        let mut query = "{...f0}".to_owned();
        for i in 0..24 {
            let _ = write!(query, "fragment f{i} on Q{{...f{n} ...f{n}}}", n = i + 1);
        }
        let _ = write!(query, "fragment f24 on Q{{{last}}}");
        limited(&query, "");
        assert!(ends_in_time(&query));
    }
}

fn chain(length: usize) -> String {
    let mut query = "{...f0}".to_owned();
    for i in 0..length {
        let _ = write!(query, "fragment f{i} on Query{{...f{}}}", i + 1);
    }
    query + &format!("fragment f{length} on Query{{__typename}}")
}

#[test]
fn a_long_chain_of_fragments_is_shallow_and_a_longer_one_is_refused() {
    assert!(passes(&chain(100)).anonymous_only);
    passes(&chain(MAX_LEVELS - 1));
    limited(&chain(MAX_LEVELS), "128 deep");
    limited(&chain(1_500), "128 deep");
    limited(&chain(2_000), "15,000 tokens");
    limited(&chain(100_000), "256 KiB");
    limited(&chain(1_000).replacen("{...f0}", "{a}", 1), "128 deep");
}

#[test]
fn a_document_expands_at_most_1000_fragments() {
    passes(&format!("{{ {} }}", "...F ".repeat(1_000)));
    limited(&format!("{{ {} }}", "...F ".repeat(1_001)), "1,000 fragments");
    limited(&format!("query A {{ {0} }} query B {{ a {{ {0} }} }}", "... { b } ...F".repeat(251)), "1,000 fragments");
}

#[test]
fn deep_nesting_is_refused_before_it_is_parsed() {
    for query in [
        "{a".repeat(100_000),
        format!("{{a(b:{}", "[".repeat(100_000)),
        format!("{{a(b:{}", "{c:".repeat(80_000)),
        format!("query($a:{}", "[".repeat(100_000)),
        "(".repeat(100_000),
        format!("{{a(b:{}1{}", "[".repeat(63), "]".repeat(63)),
    ] {
        limited(&query, "64 deep");
    }
    for query in [
        format!("{{a(b:{}{})}}", "[".repeat(62), "]".repeat(62)),
        format!("query($a:{}Int{}){{a}}", "[".repeat(63), "]".repeat(63)),
        format!("{}{}a{}{}", "{a".repeat(15), "{...".repeat(48) + "{", "}".repeat(49), "}".repeat(14)),
    ] {
        assert!(!matches!(refusal(&query), Some(DocumentError::Limit(_))), "{query}");
    }
}

#[test]
fn brackets_in_strings_and_comments_do_not_nest() {
    let open = "{[(".repeat(100);
    passes(&format!(
        "{{ # {open}\r a(b: \"{open}\\\"{open}\\\\\", c: \"\"\"{open}\"\\\"\"\"\n{open}\"\"\", d: \"\") }} # {open}"
    ));
}

#[test]
fn only_strings_comments_and_white_space_may_be_long() {
    limited(&format!("{{a(b:[{}])}}", "0".repeat(70_000)), "64 KiB");
    limited(&format!("{{{}}}", "a23456789 ".repeat(7_500)), "64 KiB");
    passes(&format!("{{a(b:{}{})}}", list(11_999), ",".repeat(60_000)));
    passes(&format!("{{a(b:\"{}\") # {}\n}}", "x".repeat(70_000), "x".repeat(70_000)));
}

#[test]
fn a_document_has_at_most_256_kib_and_15000_tokens() {
    let sized = |size: usize| format!("{{a(b:\"{}\")}}", "x".repeat(size - 10));
    passes(&sized(256 * 1024));
    for fill in ["x", " ", ",", "#\n", "\n"] {
        let beyond = format!("{{a}}#\n{}", fill.repeat(256 * 1024 / fill.len()));
        limited(&beyond, "256 KiB");
    }
    // The document around them has eight tokens.
    for (each, tokens) in
        [("0 ", 1), ("a ", 1), ("\"\" ", 1), ("\"a b\" ", 1), ("$a ", 2), ("[]", 2), ("-1.5 ", 3), ("{a:1}", 5)]
    {
        let of = |count: usize| format!("{{a(b:[{}])}}", each.repeat(count));
        let most = (15_000 - 9) / tokens;
        assert!(!matches!(refusal(&of(most)), Some(DocumentError::Limit(m)) if m.contains("tokens")), "{each}");
        limited(&of(most + 1), "15,000 tokens");
    }
    limited(&"{a}".repeat(6_000), "15,000 tokens");
    limited(&format!("{{a{}}}", "...F".repeat(7_500)), "15,000 tokens");
    limited(&"\u{feff}".repeat(6_000), "15,000 tokens");
}

#[test]
fn a_document_weighs_more_than_it_takes() {
    assert!(passes("{ a }").weight >= 3 * TOKEN_MEMORY);
    assert!(passes(&format!("{{ a(b: {}) }}", list(11_000))).weight >= 11_000 * TOKEN_MEMORY);
}

#[test]
fn strings_are_bounded_with_fragments_expanded() {
    let big = "x".repeat(1 << 17);
    let spreads = |count| format!("{{a{{{}}}}} fragment F on A {{ b(c: \"{big}\") }}", "...F ".repeat(count));
    passes(&spreads(32));
    limited(&spreads(33), "4 MiB");
}

/// A list of this many literals.
fn list(length: usize) -> String {
    format!("[{}]", "0 ".repeat(length - 1))
}

#[test]
fn directives_are_bounded_where_a_fragment_gives_them_to_its_fields() {
    let given = |directives, fields| {
        let (directives, fields) = ("@a ".repeat(directives), "b ".repeat(fields));
        format!("{{ ... {directives} {{ {fields} }} }}")
    };
    // The fragment itself has them too.
    passes(&given(10, 999));
    limited(&given(10, 1_000), "10,000 directives");
    let twice = |count| format!("{{ ...F ...F }} fragment F on Q {{ a {} }}", "@a ".repeat(count));
    passes(&twice(5_000));
    limited(&twice(5_001), "10,000 directives");
    let start = Instant::now();
    limited(&given(7_000, 900), "10,000 directives");
    limited(&format!("{{ {} }} fragment F on Q {{ a {} }}", "...F ".repeat(900), "@a ".repeat(6_000)), "directives");
    limited(&format!("{{ ...F {} }} fragment F on Q {{ {} }}", "@a ".repeat(6_000), "b ".repeat(900)), "directives");
    let of_entities = format!("{{ _entities {{ ... on A {} {{ {} }} }} }}", "@a ".repeat(6_000), "b ".repeat(900));
    limited(&of_entities, "10,000 directives");
    // Nested fragments hand on what they were handed.
    limited(&format!("{}{}{}", "{ ... @a ".repeat(60), given(900, 20), "}".repeat(60)), "10,000 directives");
    assert!(start.elapsed() < LINEAR_TIME);
}

#[test]
fn values_in_arguments_are_bounded_with_fragments_expanded() {
    passes(&format!("{{ a(b: {}) }}", list(12_000)));
    limited(&format!("{{ a(b: {}) }}", list(12_001)), "12,000 values");
    limited(&format!("{{ ...F ...F }} fragment F on Q {{ a(b: [{}]) }}", "[0]".repeat(3_000)), "12,000 values");
    limited(&format!("{{ a @b(c: {}) }}", list(12_001)), "12,000 values");
    limited(&format!("query($v: [Int] = {}) {{ a(b: $v) }}", list(12_001)), "12,000 values");
    let spread =
        |spreads, values| format!("{{{}}} fragment F on Q {{ a(b: {}) }}", "...F ".repeat(spreads), list(values));
    passes(&spread(400, 30));
    let start = Instant::now();
    limited(&spread(400, 31), "12,000 values");
    limited(&spread(500, 13_000), "12,000 values");
    assert!(start.elapsed() < LINEAR_TIME);
}

#[test]
fn an_alias_is_short() {
    passes(&format!("{{ {}: a }}", "x".repeat(200)));
    limited(&format!("{{ {}: a }}", "x".repeat(201)), "200 bytes");
}

#[test]
fn only_the_chosen_operation_and_its_fragments_are_handed_on() {
    let query =
        "query A { a { ...F } } query B { b b: c ...Unknown ...F @x } fragment F on A { ...G } fragment G on A { g }
        fragment H on A { ...G h }";
    let inspected = inspect(query, Some("A")).ok().unwrap();
    let mut fragments: Vec<_> = inspected.document.fragments.keys().map(ToString::to_string).collect();
    fragments.sort();
    assert_eq!(fragments, ["F", "G"]);
    let operations: Vec<_> = inspected.document.operations.iter().map(|(name, _)| name.cloned()).collect();
    assert_eq!(operations, [None]);
    assert!(
        matches!(inspect(query, Some("B")), Err(DocumentError::Limit(message)) if message.contains("response key"))
    );
}

#[test]
fn previews_are_few() {
    let previews = |count| (0..count).fold(String::new(), |text, i| text + &format!("p{i}: previewSecrets {{ s }} "));
    passes(&format!("{{ {} }}", previews(5)));
    limited(&format!("{{ {} ... {{ p: previewSecrets {{ s }} }} }}", previews(5)), "previewSecrets at most 5 times");
}

#[test]
fn a_large_document_is_inspected_quickly() {
    const SIZE: usize = (1 << 18) - 100;
    for query in [
        format!("mutation{{a(b:\"{}\"){{id}}}}", "x".repeat(SIZE)),
        format!("mutation{{a(b:\"\"\"{}\"\"\"){{id}}}}", "\\\"\"\"\"\n".repeat(SIZE / 6)),
        "{a".repeat(SIZE / 2),
        // Quotes that end one string and would begin a block string that never ends, again and
        // again.
        format!("{{a(b:[\"{}", "x\\\\\"\"\"\"".repeat(SIZE / 7)),
        format!("{{a{{{}", "...f ".repeat(SIZE / 5)),
        format!("{{a{{{}", "b ".repeat(SIZE / 2)),
        format!("{{a{}b}}", " ".repeat(SIZE)),
        format!("{{a#{}\nb}}", "(".repeat(SIZE)),
    ] {
        assert!(ends_in_time(&query), "{}", &query[..30]);
    }
}

struct Query;

#[Object]
impl Query {
    async fn a(&self, b: Option<Vec<i32>>) -> usize {
        b.map_or(0, |b| b.len())
    }

    async fn n(&self) -> Query {
        Query
    }
}

#[test]
fn what_passes_can_be_executed_on_the_stack_of_a_worker() {
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription).limit_recursive_depth(MAX_LEVELS).finish();
    for (query, errors) in [
        (
            chain(MAX_LEVELS - 16).replacen("{...f0}", &format!("{}{{...f0}}{}", "{n".repeat(15), "}".repeat(15)), 1),
            false,
        ),
        (format!("{{a(b:{}{})}}", "[".repeat(61), "]".repeat(61)), true),
        (format!("{}__typename{}", "{...".repeat(63) + "{", "}".repeat(64)), false),
    ] {
        let mut request = Request::new("");
        request.set_parsed_query(passes(&query).document);
        let response = futures::executor::block_on(schema.execute(request));
        assert_eq!(response.is_err(), errors, "{:?}", response.errors.first());
    }
}

proptest! {
    #[test]
    fn any_text_is_inspected_or_refused(text in any::<String>(), near in "[{}()\\[\\]\"\\\\#\n\r .:$@!a-c\u{feff}ä]{0,60}") {
        let _ = inspect(&text, None);
        let _ = inspect(&near, Some("a"));
    }

    #[test]
    fn any_selection_is_inspected_or_refused(
        parts in proptest::collection::vec(prop_oneof![
            Just("{a"), Just("}"), Just("...F "), Just("...G "), Just("...{"), Just("b:a "), Just("(c:[$v \"x\"])"),
            Just("_entities{"), Just("resolveSecrets "), Just("@d "), Just("fragment F on A{"), Just("mutation{"),
        ], 0..30),
    ) {
        let _ = inspect(&parts.concat(), None);
    }
}

#[test]
fn a_variable_needs_a_value_when_it_is_not_nullable_and_has_no_default() {
    let names = |query: &str, operation| -> Vec<String> {
        let inspected = inspect(query, operation).ok().unwrap();
        inspected.required.iter().map(ToString::to_string).collect()
    };
    let query = "query A($a: ID!, $b: ID, $c: Int! = 1, $d: [ID]!, $e: [ID!]) { x } query B($f: ID!) { x }";
    assert_eq!(names(query, Some("A")), ["a", "d"]);
    assert_eq!(names(query, Some("B")), ["f"]);
    assert!(names("{ x }", None).is_empty());
}
