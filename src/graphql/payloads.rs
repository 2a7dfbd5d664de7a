//! What mutations answer. What the caller can put right is data, so that it survives any gateway.

use super::entry::VaultEntry;
use super::error::to_graphql;
use super::project::{Milestone, ProjectVault, VaultAgentAssignment, VaultMember};
use crate::domain::{Error, Field, MilestoneId, Result};
use crate::vault::{self, Entry, Erased, Imported, Project, RoleHolder};
use async_graphql::{Enum, ID, SimpleObject};

/// What the caller can put right; nothing was written then.
#[derive(SimpleObject)]
pub(super) struct VaultUserError {
    /// What is wrong.
    code: VaultUserErrorCode,
    /// The path of the input field, such as `input`, `name`.
    field: Option<Vec<&'static str>>,
    /// What to do.
    message: String,
}

/// What is wrong with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum VaultUserErrorCode {
    /// An input breaks a rule.
    InvalidInput,
    /// There is no such thing, or the caller may not see it.
    NotFound,
    /// The state of things forbids it.
    Conflict,
    /// More than the vault takes.
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
            /// What the caller can put right.
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
    /// The entry as it is now.
    VaultEntryPayload {
        /// The entry as it is now.
        entry: VaultEntry
    } from Entry, VaultEntry
}
payload! {
    /// The entry that is gone.
    PurgeVaultEntryPayload {
        /// The id of the entry that is gone.
        id: ID
    } from crate::domain::EntryId, |id| ID(id.to_string())
}
payload! {
    /// Who has the role now, or had it.
    VaultRolePayload {
        /// Who has the role now, or had it.
        member: VaultMember
    } from RoleHolder, VaultMember::from
}
payload! {
    /// The agent with the milestones it works on now.
    VaultAgentPayload {
        /// The agent with the milestones it works on now.
        assignment: VaultAgentAssignment
    } from vault::AgentAssignment, VaultAgentAssignment::from
}
payload! {
    /// The milestone.
    VaultMilestonePayload {
        /// The milestone.
        milestone: Milestone
    } from vault::Milestone, |milestone| Milestone(milestone.id)
}
payload! {
    /// The vault with its new setting.
    VaultEnvironmentNamesPayload {
        /// The vault with its new setting.
        vault: ProjectVault
    } from Project, ProjectVault
}
payload! {
    /// The vault as it is now.
    #[graphql(inaccessible)]
    ProjectVaultPayload {
        /// The vault as it is now.
        vault: ProjectVault
    } from Project, ProjectVault
}
payload! {
    /// What was registered, or is no longer.
    #[graphql(inaccessible)]
    VaultRegistrationPayload {
        /// Its id.
        id: ID
    } from String, ID
}

/// What an import did, in the order of the lines.
#[derive(SimpleObject)]
pub(super) struct ImportVaultEntriesPayload {
    /// The entries it created.
    created: Vec<VaultEntry>,
    /// The entries it rotated.
    rotated: Vec<VaultEntry>,
    /// The names it left out.
    skipped: Vec<String>,
    /// What the caller can put right.
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

/// What went with a project.
#[derive(SimpleObject)]
#[graphql(inaccessible)]
pub(super) struct DeleteProjectVaultPayload {
    /// Which project.
    project_id: Option<ID>,
    /// How many entries, deleted ones included.
    entries_erased: i32,
    /// How many versions.
    versions_erased: i32,
    /// A signed statement (JWS, EdDSA) of what was erased and when; of the deletion before, when this one repeats it. Its keys are
    /// at /.well-known/project-vault/jwks.json.
    receipt: Option<String>,
    /// What the caller can put right.
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

/// What went with a milestone.
#[derive(SimpleObject)]
#[graphql(inaccessible)]
pub(super) struct DeleteVaultMilestonePayload {
    /// Which milestone.
    milestone_id: Option<ID>,
    /// How many entries, deleted ones included.
    entries_erased: i32,
    /// What the caller can put right.
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
