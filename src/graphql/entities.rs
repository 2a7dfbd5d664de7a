//! Answers each representation of `_entities` by itself. The library alone would fail the whole
//! list for one that it cannot resolve, and does not tell a resolver the index of its
//! representation.

use super::error::no_such_entity;
use super::query::Query;
use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::{ContainerType, resolve_container};
use async_graphql::{Context, ContextSelectionSet, ObjectType, OutputType, Positioned, ServerResult, Value};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;

/// The root of queries.
pub(super) struct Root(pub Query);

/// How many representations of each `_entities` field, by its response key, have been begun. The
/// library begins them in their order.
#[derive(Default)]
pub(super) struct Begun(Mutex<HashMap<String, usize>>);

impl Begun {
    fn next(&self, key: &str) -> usize {
        let mut begun = self.0.lock();
        let count = begun.entry(key.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}

impl ContainerType for Root {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        self.0.resolve_field(ctx).await
    }

    async fn find_entity(&self, ctx: &Context<'_>, representation: &Value) -> ServerResult<Option<Value>> {
        let key = ctx.item.node.response_key().node.as_str();
        let index = ctx.data_opt::<Begun>().map_or(0, |begun| begun.next(key));
        let ctx = ctx.with_index(index);
        if !is_usable(representation) {
            ctx.add_error(ctx.set_error_path(no_such_entity()));
            return Ok(Some(Value::Null));
        }
        match self.0.find_entity(&ctx, representation).await {
            Ok(Some(entity)) => Ok(Some(entity)),
            Ok(None) => {
                ctx.add_error(ctx.set_error_path(no_such_entity()));
                Ok(Some(Value::Null))
            }
            Err(error) => {
                ctx.add_error(if error.path.is_empty() { ctx.set_error_path(error) } else { error });
                Ok(Some(Value::Null))
            }
        }
    }
}

/// Whether it names a type and has a key of the form that all our entities have.
fn is_usable(representation: &Value) -> bool {
    let Value::Object(fields) = representation else { return false };
    matches!(fields.get("__typename"), Some(Value::String(_)))
        && matches!(fields.get("id"), Some(Value::String(_) | Value::Number(_)))
}

impl OutputType for Root {
    fn type_name() -> Cow<'static, str> {
        Query::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Query::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        resolve_container(ctx, self).await
    }
}

impl ObjectType for Root {}
