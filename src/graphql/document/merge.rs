//! Fields of one response key become one field, as the specification has it (GraphQL, "Field
//! Selection Merging"): async-graphql would run each of them, and put their results together by
//! position.

use super::measure::Fragments;
use super::{DocumentError, ENTITIES};
use async_graphql::Name;
use async_graphql::Positioned;
use async_graphql::parser::types::{
    Directive, Field, FragmentDefinition, InlineFragment, OperationDefinition, Selection, SelectionSet, TypeCondition,
};
use async_graphql_value::Value;
use std::collections::HashMap;

type Directives = Vec<Positioned<Directive>>;
type Items<'a> = &'a [Positioned<Selection>];
/// Selection sets of one place, each with the directives that its fields get.
type Sets<'a> = Vec<(Items<'a>, Directives)>;

/// Merges the fields of an operation. One without doubles stays as it is, fragments and all. It has
/// been measured, so what is expanded here is bounded.
///
/// # Errors
/// When two fields of one response key differ in name, arguments or directives.
pub(super) fn merge(operation: &mut OperationDefinition, fragments: &mut Fragments) -> Result<(), DocumentError> {
    let mut merger = Merger { fragments, doubles: false };
    let set = merger.set(&[(&operation.selection_set.node.items, Vec::new())], false)?;
    if merger.doubles {
        operation.selection_set.node = set;
        // They stand where they were spread now.
        fragments.clear();
    }
    Ok(())
}

struct Merger<'a> {
    fragments: &'a Fragments,
    doubles: bool,
}

/// A selection set, taken apart. Nothing below its fields is copied before they are merged.
#[derive(Default)]
struct SelectionsByType<'a> {
    /// By response key, in the order of their first appearance, each with the selection sets that
    /// were its own.
    fields: Vec<(Positioned<Field>, Vec<Items<'a>>)>,
    at: HashMap<Name, usize>,
    /// The selections under a type condition, where there are several types, with the directives of
    /// their fragments.
    of_types: Vec<(&'a Positioned<TypeCondition>, Sets<'a>)>,
    /// Spreads of fragments that are missing; validation tells.
    others: Vec<Positioned<Selection>>,
}

impl<'a> Merger<'a> {
    /// Makes one set of several.
    fn set(&mut self, sets: &[(Items<'a>, Directives)], several_types: bool) -> Result<SelectionSet, DocumentError> {
        let mut parts = SelectionsByType::default();
        for (items, above) in sets {
            self.collect(items, above, several_types, &mut parts)?;
        }
        let mut items = parts.others;
        for (mut field, below) in parts.fields {
            let several_types = field.node.name.node == ENTITIES;
            let below: Sets<'_> = below.into_iter().map(|items| (items, Vec::new())).collect();
            field.node.selection_set.node = self.set(&below, several_types)?;
            let pos = field.pos;
            items.push(Positioned::new(Selection::Field(field), pos));
        }
        for (condition, below) in parts.of_types {
            let pos = condition.pos;
            let selection_set = Positioned::new(self.set(&below, false)?, pos);
            let type_condition = Some(condition.clone());
            let fragment = InlineFragment { type_condition, directives: vec![], selection_set };
            items.push(Positioned::new(Selection::InlineFragment(Positioned::new(fragment, pos)), pos));
        }
        Ok(SelectionSet { items })
    }

    /// Takes a selection set apart. The directives of fragments go to their fields.
    fn collect(
        &mut self,
        items: Items<'a>,
        above: &[Positioned<Directive>],
        several_types: bool,
        parts: &mut SelectionsByType<'a>,
    ) -> Result<(), DocumentError> {
        for item in items {
            let (condition, directives, below) = match &item.node {
                Selection::Field(field) => {
                    self.add(field, above, parts)?;
                    continue;
                }
                Selection::InlineFragment(inline) => {
                    let InlineFragment { type_condition, directives, selection_set } = &inline.node;
                    (type_condition.as_ref(), directives, &selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) = self.fragments.get(&spread.node.fragment_name.node) else {
                        parts.others.push(item.clone());
                        continue;
                    };
                    let FragmentDefinition { type_condition, selection_set, .. } = &fragment.node;
                    (Some(type_condition), &spread.node.directives, &selection_set.node)
                }
            };
            let directives = joined(above, directives);
            match condition {
                Some(condition) if several_types => {
                    let below = (below.items.as_slice(), directives);
                    let known =
                        parts.of_types.iter_mut().find(|(known, _)| known.node.on.node == condition.node.on.node);
                    match known {
                        Some((_, sets)) => sets.push(below),
                        None => parts.of_types.push((condition, vec![below])),
                    }
                }
                _ => self.collect(&below.items, &directives, several_types, parts)?,
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        field: &'a Positioned<Field>,
        above: &[Positioned<Directive>],
        parts: &mut SelectionsByType<'a>,
    ) -> Result<(), DocumentError> {
        let Field { alias, name, arguments, directives, selection_set } = &field.node;
        let below = selection_set.node.items.as_slice();
        let own = Field {
            alias: alias.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
            directives: joined(above, directives),
            selection_set: Positioned::new(SelectionSet::default(), selection_set.pos),
        };
        let key = own.response_key().node.clone();
        match parts.at.get(&key).and_then(|index| parts.fields.get_mut(*index)) {
            None => {
                parts.at.insert(key, parts.fields.len());
                parts.fields.push((Positioned::new(own, field.pos), vec![below]));
            }
            Some((first, sets)) => {
                self.doubles = true;
                if !is_same(&first.node, &own) {
                    return Err(DocumentError::Limit(
                        "Two different fields have one response key; give one of them an alias.".to_owned(),
                    ));
                }
                sets.push(below);
            }
        }
        Ok(())
    }
}

fn joined(above: &[Positioned<Directive>], own: &[Positioned<Directive>]) -> Directives {
    above.iter().chain(own).cloned().collect()
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
