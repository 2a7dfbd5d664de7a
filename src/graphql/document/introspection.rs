//! How much an operation that asks about the schema is answered. Types lead to types again, so a
//! bound by the largest type of each step would refuse every tool; what is asked for is looked up
//! in the schema instead, which is known.

use super::measure::Fragments;
use super::size;
use async_graphql::Value;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql_value::Value as Argument;
use std::collections::HashMap;

/// Everything that a schema tells about itself.
pub const WHOLE: &str = "{ __schema { description queryType { kind name } mutationType { kind name }
  subscriptionType { kind name } types { ...FullType } directives { name description isRepeatable locations
  args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL isOneOf fields(includeDeprecated: true) { name
  description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
  inputFields(includeDeprecated: true) { ...InputValue } interfaces { kind name } enumValues(includeDeprecated: true) {
  name description isDeprecated deprecationReason } possibleTypes { kind name } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// The answers of a schema to introspection.
pub struct Introspected {
    schema: Value,
    types: HashMap<String, Value>,
}

impl Introspected {
    /// Takes the answer to `WHOLE`; none when it is not one.
    #[must_use]
    pub fn of(data: &Value) -> Option<Self> {
        let Value::Object(data) = data else { return None };
        let schema = data.get("__schema")?;
        let Some(Value::List(types)) = member(schema, "types") else { return None };
        let types = types.iter().filter_map(|kind| Some((name_of(kind)?.to_owned(), kind.clone()))).collect();
        Some(Self { schema: schema.clone(), types })
    }
}

fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    match object {
        Value::Object(members) => members.get(name),
        _ => None,
    }
}

/// The name of a type that has one; lists and types that are never null have none.
fn name_of(kind: &Value) -> Option<&str> {
    member(kind, "kind")?;
    match member(kind, "name")? {
        Value::String(name) => Some(name),
        _ => None,
    }
}

/// The size of an answer to introspection.
#[derive(Default)]
pub(super) struct Extent {
    /// The bytes of its JSON.
    pub(super) bytes: u64,
    /// The number of its fields.
    pub(super) fields: u64,
}

/// Measures an answer about a schema, until it is larger than allowed.
pub(super) struct Measuring<'a> {
    pub(super) known: &'a Introspected,
    pub(super) fragments: &'a Fragments,
    pub(super) extent: Extent,
    /// Measuring stops beyond these bytes and fields: the operation is refused then.
    pub(super) most: Extent,
}

impl Measuring<'_> {
    /// Measures `__schema` or `__type`, whose argument `name` is given.
    pub(super) fn root(&mut self, field: &Field, name: Option<&str>) {
        let known = self.known;
        let value = match field.name.node.as_str() {
            "__schema" => Some(&known.schema),
            _ => name.and_then(|name| known.types.get(name)),
        };
        match value {
            Some(value) => self.value(value, &field.selection_set.node),
            None => self.extent.bytes += 4,
        }
    }

    fn value(&mut self, value: &Value, set: &SelectionSet) {
        let known = self.known;
        self.extent.bytes += match value {
            Value::List(list) => {
                for element in list {
                    self.value(element, set);
                }
                2
            }
            Value::Object(_) => {
                // Where a type is referred to, all of it can be asked for.
                let whole = name_of(value).and_then(|name| known.types.get(name));
                self.set(whole.unwrap_or(value), set);
                3
            }
            Value::String(text) => size::json_length(text) + 1,
            Value::Enum(name) => name.len() as u64 + 3,
            _ => 6,
        };
    }

    fn set(&mut self, object: &Value, set: &SelectionSet) {
        for selection in &set.items {
            if self.extent.bytes > self.most.bytes || self.extent.fields > self.most.fields {
                return;
            }
            match &selection.node {
                Selection::Field(field) => self.field(object, &field.node),
                Selection::InlineFragment(inline) => self.set(object, &inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let fragments = self.fragments;
                    if let Some(fragment) = fragments.get(&spread.node.fragment_name.node) {
                        self.set(object, &fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    fn field(&mut self, object: &Value, field: &Field) {
        self.extent.fields += 1;
        self.extent.bytes += field.response_key().node.len() as u64 + 4;
        match member(object, field.name.node.as_str()) {
            Some(value) => self.value(value, &field.selection_set.node),
            // `__typename`, the end of a chain of types, or a field that validation refuses.
            None => self.extent.bytes += 24,
        }
    }
}

/// The text that an argument is given, by itself or by a variable.
pub(super) fn text<'a>(argument: &'a Argument, variable: impl FnOnce(&str) -> Option<&'a Value>) -> Option<&'a str> {
    match argument {
        Argument::String(text) => Some(text),
        Argument::Variable(name) => match variable(name)? {
            Value::String(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
