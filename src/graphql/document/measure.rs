//! The size of a document with its fragments expanded, measured without expanding it.

use super::{DocumentError, ENTITIES};
use async_graphql::parser::types::{Directive, ExecutableDocument, Field, FragmentDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned};
use async_graphql_value::{ConstValue, Value};
use std::collections::HashMap;

/// How deep selection sets may nest with fragments expanded, as `limit_recursive_depth` of the
/// schema counts them. async-graphql recurses through all of them at once.
pub const MAX_LEVELS: usize = 128;
const MAX_DEPTH: usize = 16;
const MAX_FIELDS: usize = 1_000;
const MAX_FRAGMENTS: usize = 1_000;
const MAX_ALIASES: usize = 30;
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// A directive counts for its selection and for every field that a fragment passes it on to.
const MAX_DIRECTIVES: usize = 10_000;
/// Every literal, list and object in arguments counts: more than the 10,000 provided names of a
/// resolve, and the rest of it.
const MAX_VALUES: usize = 12_000;
/// The longest alias, in bytes: an answer repeats it for every element of a list.
const MAX_ALIAS: usize = 200;

pub(super) type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;
type Known<'a> = HashMap<&'a str, Measure>;

/// Refuses a document that exceeds a limit in any of its operations or fragments, used or not:
/// validation reads them all.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), DocumentError> {
    let mut known = Known::new();
    for (name, fragment) in in_order(&document.fragments)? {
        let mut measure = Measure::of(&fragment.selection_set.node, &known)?;
        measure.add_directives(&fragment.directives, 1);
        measure.check()?;
        known.insert(name, measure);
    }
    let mut all = Measure::default();
    for (_, operation) in document.operations.iter() {
        let mut measure = Measure::of(&operation.node.selection_set.node, &known)?;
        measure.add_directives(&operation.node.directives, 1);
        for definition in &operation.node.variable_definitions {
            measure.add_directives(&definition.node.directives, 1);
            if let Some(default) = &definition.node.default_value {
                let (values, text) = extent(&default.node);
                measure.values = measure.values.saturating_add(values);
                measure.text = measure.text.saturating_add(text);
            }
        }
        if measure.aliases > MAX_ALIASES {
            return refuse("An operation has at most 30 aliases, with fragments expanded; send several requests.");
        }
        all.add(measure);
    }
    all.check()
}

fn refuse<T>(message: &str) -> Result<T, DocumentError> {
    Err(DocumentError::Limit(message.to_owned()))
}

/// The size of a selection set with its fragments expanded. All sums saturate.
#[derive(Clone, Copy, Default)]
struct Measure {
    depth: usize,
    /// Selection sets within this one.
    levels: usize,
    fields: usize,
    /// The selections of this set itself, those of its fragments included: each gets a fragment's
    /// directives.
    heads: usize,
    fragments: usize,
    aliases: usize,
    directives: usize,
    /// Literals, lists and objects in arguments.
    values: usize,
    /// Bytes of strings in arguments.
    text: usize,
}

impl Measure {
    fn of(set: &SelectionSet, known: &Known<'_>) -> Result<Self, DocumentError> {
        let mut all = Self::default();
        for selection in &set.items {
            let mut one = match &selection.node {
                Selection::Field(field) => Self::of(&field.node.selection_set.node, known)?.in_field(&field.node)?,
                Selection::InlineFragment(inline) => Self::of(&inline.node.selection_set.node, known)?.in_fragment(),
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    known.get(name).copied().unwrap_or_default().in_fragment()
                }
            };
            one.add_directives(selection.node.directives(), one.heads);
            all.add(one);
        }
        Ok(all)
    }

    fn in_field(mut self, field: &Field) -> Result<Self, DocumentError> {
        self.levels = self.levels.saturating_add(usize::from(!field.selection_set.node.items.is_empty()));
        self.depth = self.depth.saturating_add(1);
        self.fields = self.fields.saturating_add(1);
        self.heads = 1;
        self.aliases = self.aliases.saturating_add(usize::from(field.alias.is_some()));
        if field.name.node == ENTITIES {
            self.aliases = 0;
        }
        if field.alias.as_ref().is_some_and(|alias| alias.node.len() > MAX_ALIAS) {
            return refuse("An alias has at most 200 bytes; shorten it.");
        }
        self.add_arguments(&field.arguments);
        Ok(self)
    }

    const fn in_fragment(mut self) -> Self {
        self.fragments = self.fragments.saturating_add(1);
        self.levels = self.levels.saturating_add(1);
        self.heads = self.heads.saturating_add(1);
        self
    }

    /// Directives that this many selections get.
    fn add_directives(&mut self, directives: &[Positioned<Directive>], heads: usize) {
        self.directives = self.directives.saturating_add(directives.len().saturating_mul(heads));
        let mut each = Self::default();
        for directive in directives {
            each.add_arguments(&directive.node.arguments);
        }
        self.values = self.values.saturating_add(each.values.saturating_mul(heads));
        self.text = self.text.saturating_add(each.text.saturating_mul(heads));
    }

    fn add_arguments(&mut self, arguments: &[(Positioned<Name>, Positioned<Value>)]) {
        for (_, value) in arguments {
            self.add_value(&value.node);
        }
    }

    /// The scan has bounded how deep it is.
    fn add_value(&mut self, value: &Value) {
        self.values = self.values.saturating_add(1);
        match value {
            Value::String(text) => self.text = self.text.saturating_add(text.len()),
            Value::List(values) => values.iter().for_each(|value| self.add_value(value)),
            Value::Object(fields) => fields.values().for_each(|value| self.add_value(value)),
            _ => {}
        }
    }

    fn add(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        self.levels = self.levels.max(other.levels);
        self.fields = self.fields.saturating_add(other.fields);
        self.heads = self.heads.saturating_add(other.heads);
        self.fragments = self.fragments.saturating_add(other.fragments);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.values = self.values.saturating_add(other.values);
        self.text = self.text.saturating_add(other.text);
    }

    /// Aliases are left out: those of a fragment do not count where it is spread below `_entities`.
    fn check(&self) -> Result<(), DocumentError> {
        if self.depth > MAX_DEPTH {
            return refuse("Fields nest at most 16 deep, with fragments expanded; send several requests.");
        }
        if self.levels > MAX_LEVELS {
            return refuse("Fragments nest at most 128 deep; flatten the document.");
        }
        if self.fields > MAX_FIELDS {
            return refuse("A document has at most 1,000 fields, with fragments expanded; send several requests.");
        }
        if self.fragments > MAX_FRAGMENTS {
            return refuse("A document expands at most 1,000 fragments; send several requests.");
        }
        if self.directives > MAX_DIRECTIVES {
            return refuse(
                "A document has at most 10,000 directives, those of a fragment counted for each of its fields; leave some out.",
            );
        }
        if self.values > MAX_VALUES {
            return refuse("Arguments hold at most 12,000 values, with fragments expanded; use variables.");
        }
        if self.text > MAX_TEXT {
            return refuse("Strings in arguments have at most 4 MiB, with fragments expanded; use variables.");
        }
        Ok(())
    }
}

/// How many values a value is made of, itself included, and how many bytes its strings have.
pub(super) fn extent(value: &ConstValue) -> (usize, usize) {
    let sum = |(values, text), (more, longer)| (values + more, text + longer);
    match value {
        ConstValue::String(string) => (1, string.len()),
        ConstValue::List(list) => list.iter().map(extent).fold((1, 0), sum),
        ConstValue::Object(fields) => fields.values().map(extent).fold((1, 0), sum),
        _ => (1, 0),
    }
}

/// All fragments, each after those that it spreads. The depth of spreads is not bounded yet, so
/// this does not recurse.
fn in_order(fragments: &Fragments) -> Result<Vec<(&str, &FragmentDefinition)>, DocumentError> {
    let mut order = Vec::with_capacity(fragments.len());
    // Whether a fragment that has been reached is done; one that is not is on the path.
    let mut reached: HashMap<&str, bool> = HashMap::new();
    for (name, fragment) in fragments {
        if reached.contains_key(name.as_str()) {
            continue;
        }
        reached.insert(name, false);
        let mut path = vec![(name.as_str(), &fragment.node, spreads(&fragment.node.selection_set.node))];
        while let Some((name, fragment, ahead)) = path.last_mut() {
            let Some(next) = ahead.pop() else {
                reached.insert(name, true);
                order.push((*name, *fragment));
                path.pop();
                continue;
            };
            match (reached.get(next), fragments.get(next)) {
                (Some(true), _) | (None, None) => {}
                (Some(false), _) => return refuse("A fragment spreads itself; remove the cycle."),
                (None, Some(fragment)) => {
                    reached.insert(next, false);
                    path.push((next, &fragment.node, spreads(&fragment.node.selection_set.node)));
                }
            }
        }
    }
    Ok(order)
}

/// The names that a selection set spreads itself.
pub(super) fn spreads(set: &SelectionSet) -> Vec<&str> {
    let mut names = Vec::new();
    let mut sets = vec![set];
    while let Some(set) = sets.pop() {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => sets.push(&field.node.selection_set.node),
                Selection::InlineFragment(inline) => sets.push(&inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => names.push(spread.node.fragment_name.node.as_str()),
            }
        }
    }
    names
}
