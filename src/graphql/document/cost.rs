//! What an operation would read, answer and copy, given its variables.
//!
//! The document has been measured and cut down to one operation, so it is walked here with its fragments expanded. Every field
//! counts as often as it would be resolved: below a list, once for each element that a page may have.

use super::measure::{Fragments, extent};
use super::{ENTITIES, Refusal};
use async_graphql::parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Positioned, Variables};
use async_graphql_value::{ConstValue, Value};
use std::collections::HashMap;

/// Elements of lists that an operation reads: 100 entries with their 10 versions, or the first page of 100 vaults.
const MAX_READ: u64 = 6_000;
/// Fields that an operation answers, in all elements together.
const MAX_ANSWERED: u64 = 50_000;
/// Representations that an operation's `_entities` hold together.
const MAX_REPRESENTATIONS: u64 = 1_000;
/// Bytes of arguments, each counted for every time it is used: async-graphql copies a value at each use.
const MAX_COPIED: u64 = 8 * 1024 * 1024;

/// Elements on a page where none are asked for, and at most.
const PAGE: u64 = 50;
const LARGEST_PAGE: u64 = 100;
/// Versions that an entry keeps.
const VERSIONS: u64 = 10;
/// What one value takes in memory beside its text, in bytes.
const VALUE: u64 = 64;

/// Refuses an operation that is too much.
pub(super) fn check(document: &ExecutableDocument, variables: &Variables) -> Result<(), Refusal> {
    for (_, operation) in document.operations.iter() {
        let definitions = operation.node.variable_definitions.iter().map(|definition| &definition.node);
        let defaults = definitions
            .filter_map(|definition| Some((definition.name.node.as_str(), &definition.default_value.as_ref()?.node)));
        let given = variables.iter().map(|(name, value)| (name.as_str(), value));
        let values: HashMap<&str, &ConstValue> = defaults.chain(given).collect();
        let weights = values.iter().map(|(name, value)| (*name, weight(extent(value)))).collect();
        let mut cost = Cost { fragments: &document.fragments, values, weights, total: Total::default() };
        cost.directives(&operation.node.directives, 1);
        cost.set(&operation.node.selection_set.node, 1);
        cost.total.check()?;
    }
    Ok(())
}

fn weight((values, text): (usize, usize)) -> u64 {
    (values as u64).saturating_mul(VALUE).saturating_add(text as u64)
}

/// All sums saturate.
#[derive(Default)]
struct Total {
    read: u64,
    answered: u64,
    representations: u64,
    copied: u64,
}

struct Cost<'a> {
    fragments: &'a Fragments,
    /// What variables stand for, given or by default.
    values: HashMap<&'a str, &'a ConstValue>,
    weights: HashMap<&'a str, u64>,
    total: Total,
}

impl Cost<'_> {
    /// A selection set that is resolved so many times.
    fn set(&mut self, set: &SelectionSet, times: u64) {
        for selection in &set.items {
            self.directives(selection.node.directives(), times);
            match &selection.node {
                Selection::Field(field) => self.field(&field.node, times),
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, times),
                Selection::FragmentSpread(spread) => {
                    let fragments = self.fragments;
                    if let Some(fragment) = fragments.get(&spread.node.fragment_name.node) {
                        self.set(&fragment.node.selection_set.node, times);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &Field, times: u64) {
        add(&mut self.total.answered, times, 1);
        self.arguments(&field.arguments, times);
        let elements = if field.name.node == ENTITIES {
            let count = self.list_length(field, "representations");
            add(&mut self.total.representations, times, count);
            count
        } else {
            let count = self.read(field);
            add(&mut self.total.read, times, count);
            count
        };
        self.set(&field.selection_set.node, times.saturating_mul(elements.max(1)));
    }

    /// How many elements a field reads; none where its parent has brought what it answers. A list without pages counts as one
    /// page, and an empty page as one element, since it is a statement too.
    fn read(&self, field: &Field) -> u64 {
        match field.name.node.as_str() {
            "entries" | "vaultEntries" | "auditEvents" | "vaultAuditEvents" => self.page(field),
            "versions" => self.page(field).min(VERSIONS),
            "milestones" | "agents" | "members" | "participants" => PAGE,
            // The bounds of a preview, and of a project's entries.
            "secrets" | "leftOut" => 500,
            // The names that a project may approve.
            "approvedNames" => 100,
            "created" | "rotated" => 1_000,
            "entry" | "totalCount" => 1,
            // Of introspection, whose types lead to types again.
            "fields" | "inputFields" | "interfaces" | "possibleTypes" => 20,
            _ => 0,
        }
    }

    fn page(&self, field: &Field) -> u64 {
        let first = field.get_argument("first").and_then(|first| match &first.node {
            Value::Number(first) => first.as_u64(),
            Value::Variable(name) => match self.values.get(name.as_str())? {
                ConstValue::Number(first) => first.as_u64(),
                _ => None,
            },
            _ => None,
        });
        first.unwrap_or(PAGE).clamp(1, LARGEST_PAGE)
    }

    fn list_length(&self, field: &Field, argument: &str) -> u64 {
        let length = field.get_argument(argument).map(|list| match &list.node {
            Value::List(list) => list.len(),
            Value::Variable(name) => match self.values.get(name.as_str()) {
                Some(ConstValue::List(list)) => list.len(),
                _ => 1,
            },
            _ => 1,
        });
        length.unwrap_or_default() as u64
    }

    fn directives(&mut self, directives: &[Positioned<Directive>], times: u64) {
        for directive in directives {
            self.arguments(&directive.node.arguments, times);
        }
    }

    fn arguments(&mut self, arguments: &[(Positioned<Name>, Positioned<Value>)], times: u64) {
        for (_, value) in arguments {
            let weight = self.weight(&value.node);
            add(&mut self.total.copied, times, weight);
        }
    }

    fn weight(&self, value: &Value) -> u64 {
        let sum = |all: u64, value| all.saturating_add(self.weight(value));
        match value {
            Value::Variable(name) => self.weights.get(name.as_str()).copied().unwrap_or(VALUE),
            Value::String(text) => weight((1, text.len())),
            Value::List(list) => list.iter().fold(VALUE, sum),
            Value::Object(fields) => fields.values().fold(VALUE, sum),
            _ => VALUE,
        }
    }
}

fn add(sum: &mut u64, times: u64, one: u64) {
    *sum = sum.saturating_add(times.saturating_mul(one));
}

impl Total {
    fn check(&self) -> Result<(), Refusal> {
        let refused = if self.representations > MAX_REPRESENTATIONS {
            "An operation has at most 1,000 representations in _entities; send several requests."
        } else if self.read > MAX_READ {
            "An operation reads at most 6,000 elements of lists, a nested page counted for each element around it; \
             ask for smaller pages with first."
        } else if self.answered > MAX_ANSWERED {
            "An operation answers at most 50,000 fields, those of a list counted for each of its elements; \
             select fewer fields, or ask for smaller pages with first."
        } else if self.copied > MAX_COPIED {
            "The arguments of an operation have at most 8 MiB, a variable counted for each of its uses; \
             send several requests."
        } else {
            return Ok(());
        };
        Err(Refusal::Limit(refused.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use crate::graphql::document::{Refusal, inspect};
    use async_graphql::Variables;
    use serde_json::{Value, json};
    use std::time::{Duration, Instant};

    #[track_caller]
    fn cost(query: &str, variables: Value) -> Result<(), String> {
        let inspected = inspect(query, None).unwrap_or_else(|refusal| panic!("{refusal}"));
        let start = Instant::now();
        let checked = inspected.check_cost(&Variables::from_json(variables));
        assert!(start.elapsed() < Duration::from_secs(5));
        checked.map_err(|refusal| match refusal {
            Refusal::Limit(message) => message,
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
        // A page of nothing is a statement as well.
        limited(&pages(&["(first: 70)", "(first: 70)", "(first: 0)"]), none(), "6,000 elements");
        let by_variable = pages(&["(first: $n)", "(first: $n)"]).replacen('{', "query($n: Int = 100) {", 1);
        passes(&by_variable, json!({ "n": 70 }));
        limited(&by_variable, json!({ "n": 90 }), "6,000 elements");
        limited(&by_variable, none(), "6,000 elements");
        passes(&by_variable, json!({ "n": null }));
        limited(&pages(&["(first: -1)", "(first: 1000)", "(first: \"x\")"]), none(), "6,000 elements");
        let spread = "{ vault { ...E } } fragment E on V { entries { nodes { project { vault { ...F } } } } }
            fragment F on V { milestones { vaultEntries { nodes { id } } } }";
        limited(spread, none(), "6,000 elements");
        passes("{ vault { milestones { vaultEntries { nodes { id } } } } }", none());
        limited(
            "{ previewSecrets { secrets { entry { project { vault { agents { agent } } } } } } }",
            none(),
            "elements",
        );
    }

    #[test]
    fn introspection_does_not_lead_from_types_to_types() {
        passes("{ __schema { types { fields { type { fields { name } } } } } }", json!({}));
        let deep = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
        limited(deep, json!({}), "6,000 elements");
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
    fn fields_count_for_each_element() {
        let fields = |count| {
            let aliases = (0..count).fold(String::new(), |text, n| text + &format!("f{n}: id "));
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
        // A value counts although the operation does not define its variable: the library copies it all the same.
        limited("{ a(b: [$v $v $v $v $v $v $v $v]) }", text, "8 MiB");
        let many = json!({ "v": vec![0; 20_000] });
        passes("query($v: [Int]) { a(b: [$v $v $v $v $v $v]) }", many.clone());
        limited("query($v: [Int]) { a(b: [$v $v $v $v $v $v $v]) }", many, "8 MiB");
        let defaulted =
            format!("query($v: String = \"{}\") {{ a(b: [$v $v $v $v $v $v $v $v]) }}", "x".repeat(1 << 20));
        limited(&defaulted, json!({}), "8 MiB");
        // Below a list a value is copied for each element.
        let below =
            "query($v: String) { vault { entries(first: 100) { nodes { versions(after: $v) { totalCount } } } } }";
        passes(below, json!({ "v": "x".repeat(1_000) }));
        limited(below, json!({ "v": "x".repeat(100_000) }), "8 MiB");
        let directive = "query($v: Boolean!) { a @skip(if: $v) }";
        passes(directive, json!({ "v": true }));
    }
}
