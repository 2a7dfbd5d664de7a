//! How what the vault answers becomes a field's value.

use super::error::to_graphql;
use super::loaders::session;
use super::permissions::{NOT_FOR_YOUR_ROLE, of_field};
use crate::domain::{Error, ProjectId, Result};
use crate::permission::{Authorized, Held};
use crate::vault::ProjectAccess;
use async_graphql::Context;

/// A nullable field: one error gives null at its path, and the rest of the response stands.
pub(super) fn nullable<T>(result: Result<Option<T>>) -> Option<async_graphql::Result<T>> {
    result.map_err(|error| to_graphql(&error)).transpose()
}

/// A field that is never null.
pub(super) fn required<T>(result: Result<T>) -> async_graphql::Result<T> {
    result.map_err(|error| to_graphql(&error))
}

/// The permission that a field of an object in this project needs.
///
/// # Errors
/// FORBIDDEN without it.
pub(super) async fn granted(ctx: &Context<'_>, project: &ProjectId, of: &str, field: &str) -> Result<ProjectAccess> {
    let permission = of_field(of, field)
        .ok_or_else(|| Error::internal(format!("{of}.{field} is not in the table of permissions")))?;
    session(ctx)?.may(project, permission).await?.ok_or(NOT_FOR_YOUR_ROLE)
}

/// The proof of a permission that was granted.
///
/// # Errors
/// INTERNAL when another one was.
pub(super) fn proof<P: Held>(access: &ProjectAccess) -> Result<Authorized<P>> {
    access.decision.authorize().ok_or_else(|| Error::internal("a field asks for another permission than it needs"))
}
