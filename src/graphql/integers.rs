//! An `Int` has 32 bits. async-graphql notices a longer one only in the field that uses it, when
//! what stands before that field in a mutation has been changed already, so mutations are checked
//! before they run.

use super::document::Inspected;
use super::innermost;
use async_graphql::Variables;
use async_graphql::parser::types::{Field, OperationType, Selection, SelectionSet};
use async_graphql::registry::{MetaType, Registry};
use async_graphql_value::{ConstValue, Number, Value};
use std::collections::HashSet;

const INT: &str = "Int";

/// The names of arguments and input fields of type `Int`. No name has this type in one place and
/// another type in another.
pub(super) struct Integers(HashSet<String>);

impl Integers {
    pub(super) fn of(registry: &Registry) -> Self {
        let mut names = HashSet::new();
        for kind in registry.types.values() {
            match kind {
                MetaType::Object { fields, .. } => {
                    let arguments = fields.values().flat_map(|field| field.args.values());
                    names.extend(
                        arguments.filter(|argument| is_int(&argument.ty)).map(|argument| argument.name.clone()),
                    );
                }
                MetaType::InputObject { input_fields, .. } => {
                    let fields = input_fields.values().filter(|field| is_int(&field.ty));
                    names.extend(fields.map(|field| field.name.clone()));
                }
                _ => {}
            }
        }
        Self(names)
    }

    /// Whether every `Int` of a mutation has 32 bits, in its text and in its variables. Queries
    /// pass: they change nothing before the library refuses one.
    pub(super) fn fit(&self, operation: &Inspected, variables: &Variables) -> bool {
        if operation.kind != OperationType::Mutation {
            return true;
        }
        let variables_fit = operation.variables().all(|variable| {
            let is_int = innermost(&variable.var_type.node) == INT;
            let default = variable.default_value.as_ref().map(|value| &value.node);
            let given = variables.get(&variable.name.node);
            given.into_iter().chain(default).all(|value| self.const_fits(is_int, value))
        });
        let document = &operation.document;
        let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
        let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
        variables_fit && operations.chain(fragments).all(|set| self.selections_fit(set))
    }

    fn selections_fit(&self, set: &SelectionSet) -> bool {
        set.items.iter().all(|selection| match &selection.node {
            Selection::Field(field) => self.field_fits(&field.node),
            Selection::InlineFragment(fragment) => self.selections_fit(&fragment.node.selection_set.node),
            // Each fragment is looked at once, whatever the number of its spreads.
            Selection::FragmentSpread(_) => true,
        })
    }

    fn field_fits(&self, field: &Field) -> bool {
        let mut arguments = field.arguments.iter();
        arguments.all(|(name, value)| self.fits(self.0.contains(name.node.as_str()), &value.node))
            && self.selections_fit(&field.selection_set.node)
    }

    fn fits(&self, is_int: bool, value: &Value) -> bool {
        match value {
            Value::Number(number) => !is_int || has_32_bits(number),
            Value::List(values) => values.iter().all(|value| self.fits(is_int, value)),
            Value::Object(fields) => {
                fields.iter().all(|(name, value)| self.fits(self.0.contains(name.as_str()), value))
            }
            _ => true,
        }
    }

    fn const_fits(&self, is_int: bool, value: &ConstValue) -> bool {
        match value {
            ConstValue::Number(number) => !is_int || has_32_bits(number),
            ConstValue::List(values) => values.iter().all(|value| self.const_fits(is_int, value)),
            ConstValue::Object(fields) => {
                fields.iter().all(|(name, value)| self.const_fits(self.0.contains(name.as_str()), value))
            }
            _ => true,
        }
    }
}

/// A number that is no `i64` is refused by the library's validation.
fn has_32_bits(number: &Number) -> bool {
    number.as_i64().is_none_or(|number| i32::try_from(number).is_ok())
}

fn is_int(kind: &str) -> bool {
    kind.trim_matches(['[', ']', '!']) == INT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::{Mutation, Root};
    use async_graphql::OutputType as _;

    #[test]
    fn a_name_that_means_an_integer_means_nothing_else() {
        let mut registry = Registry::default();
        Root::create_type_info(&mut registry);
        Mutation::create_type_info(&mut registry);
        let Integers(names) = Integers::of(&registry);
        assert!(
            ["first", "version", "expectedRevision", "rotationIntervalDays"].iter().all(|name| names.contains(*name))
        );
        for kind in registry.types.values() {
            let inputs: Vec<_> = match kind {
                MetaType::Object { fields, .. } => fields.values().flat_map(|field| field.args.values()).collect(),
                MetaType::InputObject { input_fields, .. } => input_fields.values().collect(),
                _ => Vec::new(),
            };
            for input in inputs.into_iter().filter(|input| names.contains(&input.name)) {
                assert!(is_int(&input.ty), "{}: {}", input.name, input.ty);
            }
        }
    }
}
