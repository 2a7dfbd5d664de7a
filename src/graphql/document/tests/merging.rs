//! Fields of one response key.

use super::*;
use async_graphql::Positioned;
use async_graphql::parser::types::Selection;

/// The response keys of an operation's selection sets, as they will be executed.
fn keys(items: &[Positioned<Selection>]) -> Vec<String> {
    items
        .iter()
        .map(|item| match &item.node {
            Selection::Field(field) => {
                let below = keys(&field.node.selection_set.node.items).join(" ");
                let key = field.node.response_key().node.to_string();
                if below.is_empty() { key } else { format!("{key}{{{below}}}") }
            }
            Selection::InlineFragment(inline) => {
                let condition =
                    inline.node.type_condition.as_ref().map_or("-", |condition| condition.node.on.node.as_str());
                format!("{condition}:{{{}}}", keys(&inline.node.selection_set.node.items).join(" "))
            }
            Selection::FragmentSpread(spread) => format!("...{}", spread.node.fragment_name.node),
        })
        .collect()
}

fn executed(query: &str) -> String {
    let inspected = passes(query);
    let (_, operation) = inspected.document.operations.iter().next().unwrap();
    keys(&operation.node.selection_set.node.items).join(" ")
}

#[test]
fn fields_of_one_response_key_are_merged() {
    for (query, expected) in [
        ("mutation { a(x: 1, y: 2) { id } a(y: 2, x: 1) { name } }", "a{id name}"),
        ("mutation { a ... on Mutation { a } }", "a"),
        ("mutation { ...F ...F b } fragment F on Mutation { a { id } }", "a{id} b"),
        ("{ project { id } project { name } }", "project{id name}"),
        ("{ a { b b ...F } } fragment F on A { b c }", "a{b c}"),
        ("{ p { e(n: 1) { x } ... on P { e(n: 1) { y ... { x } } } } }", "p{e{x y}}"),
        ("{ __typename a __typename }", "__typename a"),
        ("{ a { id } ...Unknown a { id } }", "...Unknown a{id}"),
    ] {
        assert_eq!(executed(query), expected, "{query}");
    }
}

#[test]
fn entities_keep_what_stands_under_a_types_condition() {
    let query = "{ _entities(r: $r) { __typename ... on A { id x: a } ...F ... on A { id } } _entities(r: $r) { ... on B { b } } }
        fragment F on B { id x: b }";
    assert_eq!(executed(query), "_entities{__typename A:{id x} B:{id x b}}");
    let without = "{ _entities { ...F ... on B { id } } } fragment F on A { id }";
    assert_eq!(executed(without), "_entities{...F B:{id}}", "a document without doubles stays as it is");
}

#[test]
fn different_fields_of_one_response_key_are_refused() {
    for query in [
        "mutation { a(x: 1) a(x: 2) }",
        "mutation { a: b a: c }",
        "mutation { a a: b }",
        "mutation { a @skip(if: true) a @include(if: true) }",
        "mutation { a ... @include(if: $x) { a } }",
        "mutation { __typename __typename: a }",
        "{ x: __typename x: project { name } }",
        "{ p { e(first: 1) { n } ... on P { e(first: 2) { n } } } }",
        "{ p { e { a: x } e { a: y } } }",
        "{ _entities(r: $r) { ... on A { x: a } ...F } } fragment F on A { x: b }",
    ] {
        limited(query, "response key");
    }
}
