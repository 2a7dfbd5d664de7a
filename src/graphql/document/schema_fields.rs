//! The fields of the schema, for tests that hold tables by their names against it.

use crate::graphql::{Mutation, Root};
use async_graphql::OutputType as _;
use async_graphql::registry::{MetaType, Registry};

/// A field of an object type.
#[derive(Debug)]
pub struct SchemaField {
    pub name: String,
    /// Its type, with its lists and `!`.
    pub of: String,
    pub is_leaf: bool,
}

/// Every field of every object type.
pub fn schema_fields() -> Vec<SchemaField> {
    let mut registry = Registry::default();
    Root::create_type_info(&mut registry);
    Mutation::create_type_info(&mut registry);
    let of_type = |kind: &MetaType| match kind {
        MetaType::Object { fields, .. } => {
            fields.values().map(|field| (field.name.clone(), field.ty.clone())).collect()
        }
        _ => Vec::new(),
    };
    let all = registry.types.values().flat_map(of_type);
    all.map(|(name, of)| {
        let inner = of.trim_matches(['[', ']', '!']).to_owned();
        let is_leaf = registry.types.get(&inner).is_none_or(MetaType::is_leaf);
        SchemaField { name, of, is_leaf }
    })
    .collect()
}
