//! What a document expands to, without expanding it.

use super::Refusal;
use async_graphql::parser::types::{Directive, ExecutableDocument, FragmentDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;
use std::collections::HashMap;

/// How deep selection sets may nest with fragments expanded, as `limit_recursive_depth` of the schema counts them.
/// async-graphql recurses through all of them at once.
pub const MAX_LEVELS: usize = 128;
const MAX_DEPTH: usize = 16;
const MAX_FIELDS: usize = 1_000;
const MAX_FRAGMENTS: usize = 1_000;
const MAX_ALIASES: usize = 30;
const MAX_TEXT: usize = 4 * 1024 * 1024;
const MAX_USES: usize = 4;

/// The root field in which gateways merge fetches under aliases.
const ENTITIES: &str = "_entities";

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;
type Known<'a> = HashMap<&'a str, Measure>;

/// Refuses a document that exceeds a limit in any of its operations or fragments, used or not: validation reads them all.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), Refusal> {
    let mut known = Known::new();
    for (name, fragment) in in_order(&document.fragments)? {
        let mut measure = Measure::of(&fragment.selection_set.node, &known)?;
        measure.text = measure.text.saturating_add(in_directives(&fragment.directives)?);
        measure.check()?;
        known.insert(name, measure);
    }
    let mut all = Measure::default();
    for (_, operation) in document.operations.iter() {
        let mut measure = Measure::of(&operation.node.selection_set.node, &known)?;
        measure.text = measure.text.saturating_add(in_directives(&operation.node.directives)?);
        if measure.aliases > MAX_ALIASES {
            return refuse("An operation has at most 30 aliases, with fragments expanded; send several requests.");
        }
        all.add(measure);
    }
    all.check()
}

fn refuse<T>(message: &str) -> Result<T, Refusal> {
    Err(Refusal::Limit(message.to_owned()))
}

/// What a selection set amounts to with its fragments expanded. All sums saturate.
#[derive(Clone, Copy, Default)]
struct Measure {
    depth: usize,
    /// Selection sets within this one.
    levels: usize,
    fields: usize,
    fragments: usize,
    aliases: usize,
    /// Bytes of strings in arguments.
    text: usize,
}

impl Measure {
    fn of(set: &SelectionSet, known: &Known<'_>) -> Result<Self, Refusal> {
        let mut all = Self::default();
        for selection in &set.items {
            let mut one = match &selection.node {
                Selection::Field(field) => {
                    let below = &field.node.selection_set.node;
                    let mut one = Self::of(below, known)?;
                    one.levels = one.levels.saturating_add(usize::from(!below.items.is_empty()));
                    one.depth = one.depth.saturating_add(1);
                    one.fields = one.fields.saturating_add(1);
                    one.aliases = one.aliases.saturating_add(usize::from(field.node.alias.is_some()));
                    if field.node.name.node == ENTITIES {
                        one.aliases = 0;
                    }
                    one.text = one.text.saturating_add(in_arguments(&field.node.arguments)?);
                    one
                }
                Selection::InlineFragment(inline) => Self::of(&inline.node.selection_set.node, known)?.in_fragment(),
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    known.get(name).copied().unwrap_or_default().in_fragment()
                }
            };
            one.text = one.text.saturating_add(in_directives(selection.node.directives())?);
            all.add(one);
        }
        Ok(all)
    }

    const fn in_fragment(mut self) -> Self {
        self.fragments = self.fragments.saturating_add(1);
        self.levels = self.levels.saturating_add(1);
        self
    }

    fn add(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        self.levels = self.levels.max(other.levels);
        self.fields = self.fields.saturating_add(other.fields);
        self.fragments = self.fragments.saturating_add(other.fragments);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.text = self.text.saturating_add(other.text);
    }

    /// Aliases are left out: those of a fragment do not count where it is spread below `_entities`.
    fn check(&self) -> Result<(), Refusal> {
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
        if self.text > MAX_TEXT {
            return refuse("Strings in arguments have at most 4 MiB, with fragments expanded; use variables.");
        }
        Ok(())
    }
}

fn in_directives(directives: &[Positioned<Directive>]) -> Result<usize, Refusal> {
    directives
        .iter()
        .try_fold(0, |sum: usize, directive| Ok(sum.saturating_add(in_arguments(&directive.node.arguments)?)))
}

fn in_arguments(arguments: &[(Positioned<Name>, Positioned<Value>)]) -> Result<usize, Refusal> {
    arguments
        .iter()
        .try_fold(0, |sum: usize, (_, value)| Ok(sum.saturating_add(in_value(&value.node, &mut HashMap::new())?)))
}

fn in_value<'a>(value: &'a Value, uses: &mut HashMap<&'a str, usize>) -> Result<usize, Refusal> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Variable(name) => {
            let count = uses.entry(name.as_str()).or_default();
            *count += 1;
            if *count > MAX_USES {
                return refuse(
                    "An argument holds one variable at most 4 times; pass the whole argument in a variable.",
                );
            }
            Ok(0)
        }
        Value::List(values) => {
            values.iter().try_fold(0, |sum: usize, value| Ok(sum.saturating_add(in_value(value, uses)?)))
        }
        Value::Object(fields) => {
            fields.values().try_fold(0, |sum: usize, value| Ok(sum.saturating_add(in_value(value, uses)?)))
        }
        _ => Ok(0),
    }
}

/// All fragments, each after those that it spreads. The depth of spreads is not bounded yet, so this does not recurse.
fn in_order(fragments: &Fragments) -> Result<Vec<(&str, &FragmentDefinition)>, Refusal> {
    let mut order = Vec::with_capacity(fragments.len());
    // Whether a fragment that has been reached is done; one that is not is on the path.
    let mut reached: HashMap<&str, bool> = HashMap::new();
    for (name, fragment) in fragments {
        if reached.contains_key(name.as_str()) {
            continue;
        }
        reached.insert(name, false);
        let mut path = vec![(name.as_str(), &fragment.node, spreads(&fragment.node))];
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
                    path.push((next, &fragment.node, spreads(&fragment.node)));
                }
            }
        }
    }
    Ok(order)
}

/// The names that a fragment spreads itself.
fn spreads(fragment: &FragmentDefinition) -> Vec<&str> {
    let mut names = Vec::new();
    let mut sets = vec![&fragment.selection_set.node];
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
