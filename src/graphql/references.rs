//! Entities of other subgraphs that the vault refers to by id.

use crate::domain::UserId;
use async_graphql::{ID, SimpleObject};

/// A person, known by the `sub` of their tokens.
#[derive(SimpleObject)]
#[graphql(unresolvable = "id")]
pub(super) struct User {
    /// The person's id: 1 to 200 visible ASCII characters.
    pub id: ID,
}

impl From<&UserId> for User {
    fn from(id: &UserId) -> Self {
        Self { id: ID(id.as_str().to_owned()) }
    }
}

/// An agent, which receives secrets through a runtime.
#[derive(SimpleObject)]
#[graphql(unresolvable = "id")]
pub(super) struct Agent {
    /// The agent's id: 1 to 200 visible ASCII characters.
    pub id: ID,
}

/// An organization that takes part in projects.
#[derive(SimpleObject)]
#[graphql(unresolvable = "id")]
pub(super) struct Organization {
    /// The organization's id: 1 to 200 visible ASCII characters.
    pub id: ID,
}
