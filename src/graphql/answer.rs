//! How what the vault answers becomes a field's value.

use super::error::to_graphql;
use crate::domain::Result;

/// A nullable field: one error gives null at its path, and the rest of the response stands.
pub(super) fn nullable<T>(result: Result<Option<T>>) -> Option<async_graphql::Result<T>> {
    result.map_err(|error| to_graphql(&error)).transpose()
}

/// A field that is never null.
pub(super) fn required<T>(result: Result<T>) -> async_graphql::Result<T> {
    result.map_err(|error| to_graphql(&error))
}
