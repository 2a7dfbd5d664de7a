//! The cost of an operation, given its variables: what it would read, answer and copy.
//!
//! The document has been measured and cut down to one operation, so it is walked here with its
//! fragments expanded. Every field counts as often as it would be resolved: below a list, once for
//! each element that a page may have.
//!
//! The bytes of the answer are estimated from above: response keys by their length, values by the
//! longest that their field can have ([`size`]), and a field that can fail by its error where that
//! is longer. Lists without pages have no bound, so they are estimated by their usual length.
//! Descriptions and released values have limits of their own, because only callers with a role, or
//! a runtime's permission, receive them; any caller with a token can ask for all the rest.

mod limits;
#[cfg(test)]
mod tests;

use super::introspection::{Extent, Introspected, Measuring, text};
use super::measure::{Fragments, extent};
use super::size::{self, Leaf};
use super::{DocumentError, ENTITIES, INTROSPECTION, RESOLVE_SECRETS, SERVICE};
use crate::vault::MAX_SIGNED_ENDS;
use async_graphql::parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Positioned, Variables};
use async_graphql_value::{ConstValue, Value};
use limits::{MAX_ANSWERED, MAX_BYTES, Total};
use std::collections::HashMap;

/// Root fields that never fail.
const SCHEMA_FIELDS: &[&str] = &["__typename", SERVICE];

/// Fields whose elements come in pages.
const CONNECTIONS: &[&str] =
    &["entries", "vaultEntries", "auditEvents", "vaultAuditEvents", "versions", "vaultProjects"];

/// Lists that count as lists: each has rows of its own to read and to sort. Pages and totals of
/// entries are read in one statement for many projects, the others in one statement each. Versions
/// and exposures are read by the entries they belong to.
const LISTS: &[&str] = &[
    "entries",
    "vaultEntries",
    "auditEvents",
    "vaultAuditEvents",
    "milestones",
    "agents",
    "members",
    "participants",
    "vaultProjects",
];

/// Elements of a page without `first`, and of the largest page.
const PAGE: u64 = 50;
const LARGEST_PAGE: u64 = 100;
/// Elements that a page of audit events with a filter counts as: it examines several thousand, in
/// an index or in rows.
const SCANNED: u64 = 1_000;
/// Versions that an entry keeps.
const VERSIONS: u64 = 10;
/// Number of agents that are assumed to hold a value.
const EXPOSURES: u64 = 10;
/// Entries of a project.
const ENTRIES: u64 = 1_000;
/// Parts that a server depends on, and states of keys, of an installation.
const PARTS: u64 = 3;
const KEY_STATES: u64 = 8;
/// Names that a resolve or a preview may ask for.
const ASKED: u64 = 500;
/// Bytes of one value, and of all that a resolve releases.
const VALUE: u64 = 64 * 1024;
const RELEASED: u64 = 4 * 1024 * 1024;
/// Bytes of memory that one value of an argument takes beside its text.
const ARGUMENT: u64 = 64;

/// Circumstances that the cost of an operation depends on, beside its document and variables.
#[derive(Clone, Copy, Default)]
pub struct Circumstances<'a> {
    /// Whether the request has no token.
    pub anonymous: bool,
    /// The bytes of the schema's SDL, as JSON.
    pub sdl: u64,
    /// The bytes of the request's id, as JSON: it stands in every error.
    pub request_id: u64,
    /// The schema's answers to introspection; without them, introspection is not counted.
    pub introspected: Option<&'a Introspected>,
}

/// Upper bounds of the answer to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The bytes of its JSON. Released values count as they are stored: only where they are made of
    /// characters that JSON escapes are they longer.
    pub bytes: u64,
    /// The number of its fields.
    pub fields: u64,
    /// The number of lists that it reads, and of entries by name.
    pub lists: u64,
}

/// Refuses an operation that is too much.
pub(super) fn check(
    document: &ExecutableDocument,
    variables: &Variables,
    circumstances: Circumstances<'_>,
) -> Result<Estimate, DocumentError> {
    let mut estimate = Estimate { bytes: 0, fields: 0, lists: 0 };
    for (_, operation) in document.operations.iter() {
        let definitions = operation.node.variable_definitions.iter().map(|definition| &definition.node);
        let defaults = definitions
            .filter_map(|definition| Some((definition.name.node.as_str(), &definition.default_value.as_ref()?.node)));
        let given = variables.iter().map(|(name, value)| (name.as_str(), value));
        let values: HashMap<&str, &ConstValue> = defaults.chain(given).collect();
        let weights = values.iter().map(|(name, value)| (*name, weight(extent(value)))).collect();
        let fragments = &document.fragments;
        let mut cost = Cost { fragments, values, weights, circumstances, total: Total::default() };
        cost.directives(&operation.node.directives, 1);
        cost.set(&operation.node.selection_set.node, 1, FieldContext::default());
        cost.total.check(circumstances.anonymous)?;
        let Total { bytes, text, released, answered, lists, .. } = cost.total;
        let bytes = bytes.saturating_add(text).saturating_add(released);
        estimate = Estimate { bytes, fields: answered, lists };
    }
    Ok(estimate)
}

fn weight((values, text): (usize, usize)) -> u64 {
    (values as u64).saturating_mul(ARGUMENT).saturating_add(text as u64)
}

/// What bounds the number of elements that a field reads.
#[derive(Debug, PartialEq, Eq)]
enum Elements {
    /// The page that is asked for.
    Page,
    /// The page that is asked for, and the versions that an entry keeps.
    Versions,
    /// A number of its own.
    Count(u64),
    /// The names that an agent asks for.
    Asked,
    /// The lines of an import.
    Lines,
}

/// What bounds the number of elements that a field reads. Every list of the schema is here; `nodes`
/// and `edges` are counted with their connection, and a payload has one user error.
fn elements(field: &str) -> Option<Elements> {
    Some(match field {
        "versions" => Elements::Versions,
        name if CONNECTIONS.contains(&name) => Elements::Page,
        "exposures" => Elements::Count(EXPOSURES),
        "milestones" | "agents" | "members" | "participants" => Elements::Count(PAGE),
        "secrets" => Elements::Asked,
        "created" | "rotated" | "lines" => Elements::Lines,
        "parts" => Elements::Count(PARTS),
        "keys" => Elements::Count(KEY_STATES),
        "heads" => Elements::Count(MAX_SIGNED_ENDS as u64),
        "leftOut" => Elements::Count(ENTRIES),
        "entry" | "totalCount" => Elements::Count(1),
        _ => return None,
    })
}

/// What a field's cost depends on beside its own selection.
#[derive(Clone, Copy, Default)]
struct FieldContext<'a> {
    /// The name of the field above it.
    parent: &'a str,
    /// The bytes of the path to it, in an error.
    path: u64,
    /// The elements of the page around it; none outside of connections.
    page: u64,
    /// What is asked of an agent's secrets, below `resolveSecrets` and `previewSecrets`.
    asked: AskedNames,
    /// The lines of the text below `importVaultEntries` and `previewVaultImport`.
    lines: u64,
}

/// The names that an agent asks for.
#[derive(Clone, Copy, Default)]
struct AskedNames {
    /// The number of names.
    count: u64,
    /// The bytes of one name as JSON, averaged over the names.
    each: u64,
}

/// The value of an argument or of a member of one.
enum Given<'a> {
    Literal(&'a Value),
    Variable(&'a ConstValue),
}

struct Cost<'a> {
    fragments: &'a Fragments,
    /// The values of variables, given or by default.
    values: HashMap<&'a str, &'a ConstValue>,
    weights: HashMap<&'a str, u64>,
    circumstances: Circumstances<'a>,
    total: Total,
}

impl Cost<'_> {
    /// Counts a selection set that is resolved `times` times.
    fn set(&mut self, set: &SelectionSet, times: u64, context: FieldContext<'_>) {
        for selection in &set.items {
            self.directives(selection.node.directives(), times);
            match &selection.node {
                Selection::Field(field) => self.field(&field.node, times, context),
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, times, context),
                Selection::FragmentSpread(spread) => {
                    let fragments = self.fragments;
                    if let Some(fragment) = fragments.get(&spread.node.fragment_name.node) {
                        self.set(&fragment.node.selection_set.node, times, context);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &Field, times: u64, context: FieldContext<'_>) {
        add(&mut self.total.answered, times, 1);
        self.arguments(&field.arguments, times);
        let key = field.response_key().node.len() as u64 + 4;
        add(&mut self.total.bytes, times, key);
        let name = field.name.node.as_str();
        if context.parent.is_empty() && INTROSPECTION.contains(&name) {
            return self.introspection(field);
        }
        let context = FieldContext { path: context.path.saturating_add(key), ..context };
        let before = self.total.bytes;
        let by_name = name == "entry" && field.get_argument("name").is_some();
        // Numbers of entries are counted from their rows, or from their names.
        let counted = (name == "totalCount" && LISTS.contains(&context.parent))
            || name == "summary"
            || (name == "leftOutOfSessions" && context.parent == "summary");
        if LISTS.contains(&name) || by_name || counted {
            add(&mut self.total.lists, times, 1);
        }
        if field.selection_set.node.items.is_empty() {
            self.leaf(size::leaf(context.parent, name), times, context);
        } else {
            self.object(field, times, context);
        }
        if size::can_fail(name) || (context.parent.is_empty() && !SCHEMA_FIELDS.contains(&name)) {
            self.or_errors(before, times, context);
        }
    }

    /// A field with a selection of its own.
    fn object(&mut self, field: &Field, times: u64, context: FieldContext<'_>) {
        let name = field.name.node.as_str();
        let mut below = self.below(field, context);
        let elements = if name == ENTITIES {
            let count = self.list_length(field, "representations");
            add(&mut self.total.representations, times, count);
            count
        } else {
            let count = self.read(field, below);
            let looked_at = count.saturating_add(self.scanned(field));
            add(&mut self.total.read, times, looked_at);
            match name {
                "nodes" | "edges" => context.page,
                // Its elements are in its `nodes` and `edges`.
                _ if CONNECTIONS.contains(&name) => {
                    below.page = count;
                    1
                }
                _ => count,
            }
        };
        let each = times.saturating_mul(elements.max(1));
        // Braces and commas, and the brackets of a list.
        add(&mut self.total.bytes, each, 3);
        add(&mut self.total.bytes, times, 2);
        let before = self.total.bytes;
        self.set(&field.selection_set.node, each, below);
        if name == ENTITIES {
            self.or_errors(before, each, below);
        }
    }

    /// Counts errors at a place instead of what was counted since then, where they are longer:
    /// either stands in the answer.
    fn or_errors(&mut self, mut before: u64, times: u64, context: FieldContext<'_>) {
        let error = size::ERROR.saturating_add(self.circumstances.request_id).saturating_add(context.path);
        add(&mut before, times, error);
        self.total.bytes = self.total.bytes.max(before);
    }

    /// Where the fields of a selection stand.
    fn below<'f>(&self, field: &'f Field, context: FieldContext<'f>) -> FieldContext<'f> {
        let name = field.name.node.as_str();
        let path = context.path.saturating_add(size::INDEX);
        let asked = match name {
            RESOLVE_SECRETS | "previewSecrets" => self.asked(field),
            _ => context.asked,
        };
        let lines = match name {
            "importVaultEntries" | "previewVaultImport" => self.lines(field),
            _ => context.lines,
        };
        FieldContext { parent: name, path, page: 0, asked, lines }
    }

    /// A field without a selection.
    fn leaf(&mut self, leaf: Leaf, times: u64, context: FieldContext<'_>) {
        let FieldContext { asked, lines, .. } = context;
        let values = asked.count.saturating_mul(VALUE).min(RELEASED);
        match leaf {
            Leaf::Bytes(bytes) => add(&mut self.total.bytes, times, bytes),
            Leaf::Text(bytes) => add(&mut self.total.text, times, bytes),
            Leaf::AskedName => add(&mut self.total.bytes, times, asked.each),
            Leaf::Names => add(&mut self.total.bytes, times, size::names(lines)),
            Leaf::Receipt => add(&mut self.total.bytes, times, size::receipt(asked.count)),
            Leaf::Sdl => add(&mut self.total.bytes, times, self.circumstances.sdl),
            // Of the two, one is null.
            Leaf::Value => {
                self.total.values += 1;
                self.total.released = self.total.released.max(values);
            }
            Leaf::Sealed => {
                self.total.sealed += 1;
                self.total.released = self.total.released.max(values / 3 * 4);
                // A key and a tag each.
                add(&mut self.total.bytes, times, 72);
            }
        }
    }

    fn introspection(&mut self, field: &Field) {
        let Some(known) = self.circumstances.introspected else { return };
        let most = Extent { bytes: MAX_BYTES, fields: MAX_ANSWERED };
        let mut measuring = Measuring { known, fragments: self.fragments, extent: Extent::default(), most };
        let name = field.get_argument("name");
        let name = name.and_then(|name| text(&name.node, |variable| self.values.get(variable).copied()));
        measuring.root(field, name);
        let Extent { bytes, fields } = measuring.extent;
        add(&mut self.total.bytes, 1, bytes);
        add(&mut self.total.answered, 1, fields);
    }

    /// The number of elements a field reads; 0 where its parent has brought what it answers. A list
    /// without pages counts as one page, and an empty page as one element, since it is read too.
    fn read(&self, field: &Field, context: FieldContext<'_>) -> u64 {
        match elements(&field.name.node) {
            Some(Elements::Page) => self.page(field),
            Some(Elements::Versions) => self.page(field).min(VERSIONS),
            Some(Elements::Count(count)) => count,
            Some(Elements::Asked) => context.asked.count,
            Some(Elements::Lines) => context.lines,
            None => 0,
        }
    }

    /// The elements of a page. One whose `first` is out of range reads nothing, and is
    /// answered with an error that names `first`.
    fn page(&self, field: &Field) -> u64 {
        let first = field.get_argument("first").and_then(|first| match &first.node {
            Value::Number(first) => Some(first),
            Value::Variable(name) => match self.values.get(name.as_str())? {
                ConstValue::Number(first) => Some(first),
                _ => None,
            },
            _ => None,
        });
        match first {
            None => PAGE,
            Some(first) => first.as_u64().filter(|first| *first <= LARGEST_PAGE).map_or(0, |first| first.max(1)),
        }
    }

    /// The elements that a field examines without answering them.
    fn scanned(&self, field: &Field) -> u64 {
        if !matches!(field.name.node.as_str(), "auditEvents" | "vaultAuditEvents") {
            return 0;
        }
        let is_filtered = field.get_argument("filter").is_some_and(|filter| match &filter.node {
            Value::Null => false,
            Value::Variable(name) => self.values.get(name.as_str()).is_some_and(|value| **value != ConstValue::Null),
            _ => true,
        });
        if is_filtered { SCANNED } else { 0 }
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

    /// A member of a field's argument `input`; none where it is left out or null.
    fn input<'v>(&'v self, field: &'v Field, member: &str) -> Option<Given<'v>> {
        let given = match self.given(&field.get_argument("input")?.node)? {
            Given::Literal(Value::Object(members)) => self.given(members.get(member)?)?,
            Given::Variable(ConstValue::Object(members)) => Given::Variable(members.get(member)?),
            Given::Literal(_) | Given::Variable(_) => return None,
        };
        match given {
            Given::Literal(Value::Null) | Given::Variable(ConstValue::Null) => None,
            given => Some(given),
        }
    }

    fn given<'v>(&'v self, value: &'v Value) -> Option<Given<'v>> {
        match value {
            Value::Variable(name) => self.values.get(name.as_str()).map(|value| Given::Variable(value)),
            literal => Some(Given::Literal(literal)),
        }
    }

    /// The names that a resolve or a preview asks for, which are answered as they came; all that a
    /// project has without.
    fn asked(&self, field: &Field) -> AskedNames {
        let measured = |text: Option<&str>| text.map_or(0, size::json_length);
        let of_variable = |value: &ConstValue| match value {
            ConstValue::String(text) => measured(Some(text)),
            _ => 0,
        };
        let of_literal = |value: &Value| measured(text(value, |name| self.values.get(name).copied()));
        let names: Vec<u64> = match self.input(field, "names") {
            None => return AskedNames { count: ENTRIES, each: size::NAME },
            Some(Given::Variable(ConstValue::List(names))) => names.iter().map(of_variable).collect(),
            Some(Given::Literal(Value::List(names))) => names.iter().map(of_literal).collect(),
            // One value is taken for a list of one.
            Some(Given::Variable(name)) => vec![of_variable(name)],
            Some(Given::Literal(name)) => vec![of_literal(name)],
        };
        let count = (names.len() as u64).clamp(1, ASKED);
        AskedNames { count, each: names.into_iter().fold(0, u64::saturating_add).div_ceil(count) }
    }

    /// The lines of an import, each of which may be an entry.
    fn lines(&self, field: &Field) -> u64 {
        let text = match self.input(field, "dotenv") {
            Some(Given::Literal(Value::String(text)) | Given::Variable(ConstValue::String(text))) => text.as_str(),
            _ => "",
        };
        (text.lines().count() as u64).clamp(1, ENTRIES)
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
            Value::Variable(name) => self.weights.get(name.as_str()).copied().unwrap_or(ARGUMENT),
            Value::String(text) => weight((1, text.len())),
            Value::List(list) => list.iter().fold(ARGUMENT, sum),
            Value::Object(fields) => fields.values().fold(ARGUMENT, sum),
            _ => ARGUMENT,
        }
    }
}

fn add(sum: &mut u64, times: u64, one: u64) {
    *sum = sum.saturating_add(times.saturating_mul(one));
}
