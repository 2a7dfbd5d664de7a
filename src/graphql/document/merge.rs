//! Fields of one response key become one field, as the specification has it (GraphQL, "Field Selection Merging"): async-graphql
//! would run each of them, and put their results together by position.

use super::Refusal;
use async_graphql::Name;
use async_graphql::Positioned;
use async_graphql::parser::types::{
    Directive, ExecutableDocument, Field, FragmentDefinition, InlineFragment, OperationDefinition, Selection,
    SelectionSet, TypeCondition,
};
use async_graphql_value::Value;
use std::collections::HashMap;

/// The root field whose objects are of several types, so that fields below it stay under their type's condition.
const ENTITIES: &str = "_entities";

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;
type Directives = Vec<Positioned<Directive>>;

/// Merges the fields of every operation. A document without doubles stays as it is, fragments and all. It has been measured, so
/// what is expanded here is bounded.
///
/// # Errors
/// When two fields of one response key differ in name, arguments or directives.
pub(super) fn merge(document: &mut ExecutableDocument) -> Result<(), Refusal> {
    let ExecutableDocument { operations, fragments } = document;
    let mut doubles = false;
    let mut sets: Vec<(Option<Name>, SelectionSet)> = Vec::new();
    for (name, operation) in operations.iter() {
        let operation: &OperationDefinition = &operation.node;
        let mut merger = Merger { fragments, doubles: false };
        let set = merger.set(&operation.selection_set.node.items, false)?;
        doubles |= merger.doubles;
        sets.push((name.cloned(), set));
    }
    if !doubles {
        return Ok(());
    }
    for (name, set) in sets {
        let operation = match (&mut *operations, name) {
            (async_graphql::parser::types::DocumentOperations::Single(operation), _) => Some(operation),
            (async_graphql::parser::types::DocumentOperations::Multiple(named), Some(name)) => named.get_mut(&name),
            (async_graphql::parser::types::DocumentOperations::Multiple(_), None) => None,
        };
        if let Some(operation) = operation {
            operation.node.selection_set.node = set;
        }
    }
    // They stand where they were spread now.
    fragments.clear();
    Ok(())
}

struct Merger<'a> {
    fragments: &'a Fragments,
    doubles: bool,
}

/// A selection set, taken apart.
#[derive(Default)]
struct Parts {
    /// By response key, in the order of their first appearance.
    fields: Vec<Positioned<Field>>,
    at: HashMap<Name, usize>,
    /// What stands under a type's condition, where there are several types.
    of_types: Vec<(Positioned<TypeCondition>, Vec<Positioned<Selection>>)>,
    /// Spreads of fragments that are missing; validation tells.
    others: Vec<Positioned<Selection>>,
}

impl Merger<'_> {
    fn set(&mut self, items: &[Positioned<Selection>], several_types: bool) -> Result<SelectionSet, Refusal> {
        let mut parts = Parts::default();
        self.collect(items, &[], several_types, &mut parts)?;
        let mut items = parts.others;
        for mut field in parts.fields {
            let several_types = field.node.name.node == ENTITIES;
            let below = self.set(&field.node.selection_set.node.items, several_types)?;
            field.node.selection_set.node = below;
            let pos = field.pos;
            items.push(Positioned::new(Selection::Field(field), pos));
        }
        for (condition, below) in parts.of_types {
            let pos = condition.pos;
            let selection_set = Positioned::new(self.set(&below, false)?, pos);
            let fragment = InlineFragment { type_condition: Some(condition), directives: vec![], selection_set };
            items.push(Positioned::new(Selection::InlineFragment(Positioned::new(fragment, pos)), pos));
        }
        Ok(SelectionSet { items })
    }

    /// Takes a selection set apart. The directives of fragments go to their fields.
    fn collect(
        &mut self,
        items: &[Positioned<Selection>],
        above: &[Positioned<Directive>],
        several_types: bool,
        parts: &mut Parts,
    ) -> Result<(), Refusal> {
        for item in items {
            let (condition, directives, below) = match &item.node {
                Selection::Field(field) => {
                    self.add(field, above, parts)?;
                    continue;
                }
                Selection::InlineFragment(inline) => {
                    let InlineFragment { type_condition, directives, selection_set } = &inline.node;
                    (type_condition.clone(), directives, &selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) = self.fragments.get(&spread.node.fragment_name.node) else {
                        parts.others.push(item.clone());
                        continue;
                    };
                    let FragmentDefinition { type_condition, selection_set, .. } = &fragment.node;
                    (Some(type_condition.clone()), &spread.node.directives, &selection_set.node)
                }
            };
            let directives = joined(above, directives);
            match condition {
                Some(condition) if several_types => {
                    let below = under(&below.items, &directives);
                    let known =
                        parts.of_types.iter_mut().find(|(known, _)| known.node.on.node == condition.node.on.node);
                    match known {
                        Some((_, items)) => items.extend(below),
                        None => parts.of_types.push((condition, below)),
                    }
                }
                _ => self.collect(&below.items, &directives, several_types, parts)?,
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        field: &Positioned<Field>,
        above: &[Positioned<Directive>],
        parts: &mut Parts,
    ) -> Result<(), Refusal> {
        let mut field = field.clone();
        field.node.directives = joined(above, &field.node.directives);
        let key = field.node.response_key().node.clone();
        match parts.at.get(&key).and_then(|index| parts.fields.get_mut(*index)) {
            None => {
                parts.at.insert(key, parts.fields.len());
                parts.fields.push(field);
            }
            Some(first) => {
                self.doubles = true;
                if !is_same(&first.node, &field.node) {
                    return Err(Refusal::Limit(
                        "Two different fields have one response key; give one of them an alias.".to_owned(),
                    ));
                }
                first.node.selection_set.node.items.append(&mut field.node.selection_set.node.items);
            }
        }
        Ok(())
    }
}

fn joined(above: &[Positioned<Directive>], own: &[Positioned<Directive>]) -> Directives {
    above.iter().chain(own).cloned().collect()
}

/// The selections with directives that were their fragment's.
fn under(items: &[Positioned<Selection>], directives: &[Positioned<Directive>]) -> Vec<Positioned<Selection>> {
    let mut items = items.to_vec();
    for item in &mut items {
        match &mut item.node {
            Selection::Field(field) => field.node.directives = joined(directives, &field.node.directives),
            Selection::InlineFragment(inline) => {
                inline.node.directives = joined(directives, &inline.node.directives);
            }
            Selection::FragmentSpread(spread) => {
                spread.node.directives = joined(directives, &spread.node.directives);
            }
        }
    }
    items
}

fn is_same(one: &Field, other: &Field) -> bool {
    one.name.node == other.name.node
        && arguments(&one.arguments) == arguments(&other.arguments)
        && one.directives.len() == other.directives.len()
        && one.directives.iter().zip(&other.directives).all(|(one, other)| {
            one.node.name.node == other.node.name.node
                && arguments(&one.node.arguments) == arguments(&other.node.arguments)
        })
}

fn arguments(of: &[(Positioned<Name>, Positioned<Value>)]) -> HashMap<&Name, &Value> {
    of.iter().map(|(name, value)| (&name.node, &value.node)).collect()
}
