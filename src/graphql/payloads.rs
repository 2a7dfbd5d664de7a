//! What mutations answer. What the caller can put right is data, so that it survives any gateway.

use super::entry::VaultEntry;
use super::error::to_graphql;
use super::project::{Milestone, ProjectVault, VaultAgentAssignment, VaultMember};
use crate::domain::{Error, Field, MilestoneId, Result};
use crate::vault::{self, Entry, Erased, Imported, Project, RoleHolder};
use async_graphql::{Enum, ID, SimpleObject};

/// Something wrong with a request that the caller can correct. Nothing was written.
#[derive(SimpleObject)]
pub(super) struct VaultUserError {
    /// The kind of problem.
    code: VaultUserErrorCode,
    /// The path of the input field, such as `input`, `name`.
    field: Option<Vec<&'static str>>,
    /// What is wrong and what to do about it, for people.
    message: String,
}

/// The kind of problem with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum VaultUserErrorCode {
    /// An input breaks a rule.
    InvalidInput,
    /// The entity does not exist, or the caller may not see it; the two look the same.
    NotFound,
    /// The current state does not allow the change, such as a name that is taken or an old
    /// revision.
    Conflict,
    /// The change would exceed a limit of the vault.
    LimitExceeded,
}

/// An answer to a mutation.
pub(super) trait Payload: Sized {
    /// What the vault gives when it is done.
    type Done;

    /// It was done.
    fn done(done: Self::Done) -> Self;

    /// It was not.
    fn refused(errors: Vec<VaultUserError>) -> Self;
}

/// Answers a mutation. What the caller cannot put right is an error, and the payload null.
#[allow(clippy::unnecessary_wraps, reason = "the library reads a nullable field that may fail from this type")]
pub(super) fn settle<P: Payload>(result: Result<P::Done>) -> Option<async_graphql::Result<P>> {
    let error = match result {
        Ok(done) => return Some(Ok(P::done(done))),
        Err(error) => error,
    };
    let message = error.to_string();
    let path = |field: Field| (!field.is_empty()).then_some(field);
    let (code, field) = match error {
        Error::InvalidInput { field, .. } => (VaultUserErrorCode::InvalidInput, path(field)),
        Error::NotFound(_) => (VaultUserErrorCode::NotFound, None),
        Error::Conflict(_) => (VaultUserErrorCode::Conflict, None),
        Error::LimitExceeded { field, .. } => (VaultUserErrorCode::LimitExceeded, path(field)),
        error @ (Error::Forbidden(_) | Error::RateLimited { .. } | Error::Unavailable { .. } | Error::Internal(_)) => {
            return Some(Err(to_graphql(&error)));
        }
    };
    Some(Ok(P::refused(vec![VaultUserError { code, field, message }])))
}

/// Declares a payload with one object, which is null where there are errors.
macro_rules! payload {
    ($(#[$meta:meta])* $name:ident { $(#[$fmeta:meta])* $field:ident: $ty:ty } from $done:ty, $make:expr) => {
        #[derive(SimpleObject)]
        $(#[$meta])*
        pub(super) struct $name {
            $(#[$fmeta])*
            $field: Option<$ty>,
            /// What is wrong with the request and can be corrected; nothing was written. Empty on
            /// success.
            user_errors: Vec<VaultUserError>,
        }

        impl Payload for $name {
            type Done = $done;

            fn done(done: $done) -> Self {
                let make: fn($done) -> $ty = $make;
                Self { $field: Some(make(done)), user_errors: vec![] }
            }

            fn refused(user_errors: Vec<VaultUserError>) -> Self {
                Self { $field: None, user_errors }
            }
        }
    };
}

payload! {
    /// The result of changing an entry.
    VaultEntryPayload {
        /// The entry after the change; null when there are userErrors.
        entry: VaultEntry
    } from Entry, VaultEntry
}
payload! {
    /// The result of purging an entry.
    PurgeVaultEntryPayload {
        /// The id of the entry that was erased; null when it was not.
        id: ID
    } from crate::domain::EntryId, |id| ID(id.to_string())
}
payload! {
    /// The result of assigning or revoking a role.
    VaultRolePayload {
        /// The role and who has it, or had it; null when there are userErrors.
        member: VaultMember
    } from RoleHolder, VaultMember::from
}
payload! {
    /// The result of assigning or unassigning an agent.
    VaultAgentPayload {
        /// The agent and the milestones it works on now; null when there are userErrors.
        assignment: VaultAgentAssignment
    } from vault::AgentAssignment, VaultAgentAssignment::from
}
payload! {
    /// The result of changing a milestone.
    VaultMilestonePayload {
        /// The milestone after the change; null when there are userErrors.
        milestone: Milestone
    } from vault::Milestone, |milestone| Milestone(milestone.id)
}
payload! {
    /// The result of setting which names reach sessions.
    VaultEnvironmentNamesPayload {
        /// The vault with its new rule; null when there are userErrors.
        vault: ProjectVault
    } from Project, ProjectVault
}
payload! {
    /// The result of changing a project's vault.
    #[graphql(inaccessible)]
    ProjectVaultPayload {
        /// The vault after the change; null when there are userErrors.
        vault: ProjectVault
    } from Project, ProjectVault
}
payload! {
    /// The result of registering or unregistering an agent or a runtime.
    #[graphql(inaccessible)]
    VaultRegistrationPayload {
        /// The agent's or runtime's id; null when there are userErrors.
        id: ID
    } from String, ID
}

/// The result of an import, each list in the order of the lines.
#[derive(SimpleObject)]
pub(super) struct ImportVaultEntriesPayload {
    /// The entries that were created.
    created: Vec<VaultEntry>,
    /// The entries that got a new value.
    rotated: Vec<VaultEntry>,
    /// The names that were skipped because they exist already.
    skipped: Vec<String>,
    /// What is wrong with the request and can be corrected; nothing was written. Empty on success.
    user_errors: Vec<VaultUserError>,
}

impl Payload for ImportVaultEntriesPayload {
    type Done = Imported;

    fn done(done: Imported) -> Self {
        let entries = |entries: Vec<Entry>| entries.into_iter().map(VaultEntry).collect();
        Self {
            created: entries(done.created),
            rotated: entries(done.rotated),
            skipped: done.skipped,
            user_errors: vec![],
        }
    }

    fn refused(user_errors: Vec<VaultUserError>) -> Self {
        Self { created: vec![], rotated: vec![], skipped: vec![], user_errors }
    }
}

/// The result of deleting a project's vault.
#[derive(SimpleObject)]
#[graphql(inaccessible)]
pub(super) struct DeleteProjectVaultPayload {
    /// The project's id.
    project_id: Option<ID>,
    /// The number of entries that were erased, deleted ones included.
    entries_erased: i32,
    /// The number of versions that were erased.
    versions_erased: i32,
    /// A signed statement (JWS, EdDSA) of what was erased and when. A repeated deletion gives the
    /// first one's. Verify it with the keys at /.well-known/project-vault/jwks.json.
    receipt: Option<String>,
    /// What is wrong with the request and can be corrected; nothing was written. Empty on success.
    user_errors: Vec<VaultUserError>,
}

fn count(rows: i64) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}

impl Payload for DeleteProjectVaultPayload {
    type Done = Erased;

    fn done(done: Erased) -> Self {
        Self {
            project_id: Some(ID(done.project.as_str().to_owned())),
            entries_erased: count(done.entries),
            versions_erased: count(done.versions),
            receipt: done.receipt,
            user_errors: vec![],
        }
    }

    fn refused(user_errors: Vec<VaultUserError>) -> Self {
        Self { project_id: None, entries_erased: 0, versions_erased: 0, receipt: None, user_errors }
    }
}

/// The result of deleting a milestone.
#[derive(SimpleObject)]
#[graphql(inaccessible)]
pub(super) struct DeleteVaultMilestonePayload {
    /// The milestone's id.
    milestone_id: Option<ID>,
    /// The number of entries that were erased, deleted ones included.
    entries_erased: i32,
    /// What is wrong with the request and can be corrected; nothing was written. Empty on success.
    user_errors: Vec<VaultUserError>,
}

impl Payload for DeleteVaultMilestonePayload {
    type Done = (MilestoneId, i64);

    fn done((milestone, entries): (MilestoneId, i64)) -> Self {
        Self {
            milestone_id: Some(ID(milestone.as_str().to_owned())),
            entries_erased: count(entries),
            user_errors: vec![],
        }
    }

    fn refused(user_errors: Vec<VaultUserError>) -> Self {
        Self { milestone_id: None, entries_erased: 0, user_errors }
    }
}
