//! The answers of mutations. Problems that the caller can correct are data, so that they survive
//! any gateway.

use super::entry::VaultEntry;
use super::error::to_graphql;
use super::project::{Milestone, ProjectVault, VaultAgentAssignment, VaultMember};
use super::scalars::{VaultImportChange, int};
use crate::domain::{Error, Field, MilestoneId, Result};
use crate::vault::{self, Entry, Erased, ImportLine, Imported, Project, RoleHolder};
use async_graphql::{Enum, ID, SimpleObject};

/// An error that the caller can correct. Nothing was written.
#[derive(SimpleObject)]
pub(super) struct VaultUserError {
    /// The kind of error, for programs.
    code: VaultUserErrorCode,
    /// The path of the input field that is wrong, such as `input`, `name`; null when the error
    /// concerns none.
    field: Option<Vec<&'static str>>,
    /// What is wrong and what to do, for people.
    message: String,
}

/// The kind of an error that the caller can correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum VaultUserErrorCode {
    /// An input breaks a rule.
    InvalidInput,
    /// The object does not exist, or the caller may not see it.
    NotFound,
    /// The current state does not allow the change, such as a name that is taken.
    Conflict,
    /// The input or its result exceeds a limit.
    LimitExceeded,
}

/// An answer to a mutation.
pub(super) trait Payload: Sized {
    /// The vault's result when the change is done.
    type Done;

    /// The answer to a change that was done.
    fn done(done: Self::Done) -> Self;

    /// The answer to a change that was not.
    fn refused(errors: Vec<VaultUserError>) -> Self;
}

/// Answers a mutation. A problem that the caller cannot correct is an error, and the payload null.
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
            /// Errors that the caller can correct; empty when the change was made.
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
    /// The result of changing one entry.
    VaultEntryPayload {
        /// The entry after the change; null when there are userErrors.
        entry: VaultEntry
    } from Entry, VaultEntry
}
payload! {
    /// The result of erasing an entry.
    PurgeVaultEntryPayload {
        /// The id of the erased entry; null when there are userErrors.
        id: ID
    } from crate::domain::EntryId, |id| ID(id.to_string())
}
payload! {
    /// The result of assigning or revoking a role.
    VaultRolePayload {
        /// The person and the role that was assigned or revoked; null when there are userErrors.
        member: VaultMember
    } from RoleHolder, VaultMember::from
}
payload! {
    /// The result of assigning or unassigning an agent.
    VaultAgentPayload {
        /// The agent with the milestones it is now assigned to; null when there are userErrors.
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
        /// The vault with its new setting; null when there are userErrors.
        vault: ProjectVault
    } from Project, ProjectVault
}
payload! {
    /// The result of registering or changing a project's vault.
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
        /// The id of the agent or runtime; null when there are userErrors.
        id: ID
    } from String, ID
}

/// The result of an import, in the order of the lines. Every list is empty when there are
/// userErrors.
#[derive(SimpleObject)]
pub(super) struct ImportVaultEntriesPayload {
    /// The entries that the import created.
    created: Vec<VaultEntry>,
    /// The entries that the import gave a new value.
    rotated: Vec<VaultEntry>,
    /// The names that were taken, which SKIP left unchanged.
    skipped: Vec<String>,
    /// Errors that the caller can correct; empty when the change was made.
    user_errors: Vec<VaultUserError>,
}

/// What an import would change, in the order of the lines. The list is empty when there are
/// userErrors.
#[derive(SimpleObject)]
pub(super) struct VaultImportPreviewPayload {
    /// The lines that assign a name or are refused; comments and blank lines are left out.
    lines: Vec<VaultImportLine>,
    /// Errors that the caller can correct, other than those of single lines.
    user_errors: Vec<VaultUserError>,
}

/// A line of a text to import.
#[derive(SimpleObject)]
pub(super) struct VaultImportLine {
    /// The number of the line, from 1; of a value that spans lines, the first.
    line: i32,
    /// The name that the line assigns; null when the line cannot be read.
    name: Option<String>,
    /// What an import would do with the line.
    change: Option<VaultImportChange>,
    /// The entry of this name in the import's scope; null when there is none.
    entry: Option<VaultEntry>,
    /// What is wrong and what to do, for people; null unless the line is REFUSED.
    message: Option<String>,
}

impl From<ImportLine> for VaultImportLine {
    fn from(line: ImportLine) -> Self {
        let ImportLine { line, name, change, entry, message } = line;
        Self { line: int(line), name, change: Some(change.into()), entry: entry.map(VaultEntry), message }
    }
}

impl Payload for VaultImportPreviewPayload {
    type Done = Vec<ImportLine>;

    fn done(lines: Vec<ImportLine>) -> Self {
        Self { lines: lines.into_iter().map(Into::into).collect(), user_errors: vec![] }
    }

    fn refused(user_errors: Vec<VaultUserError>) -> Self {
        Self { lines: vec![], user_errors }
    }
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

/// The result of erasing a project's vault.
#[derive(SimpleObject)]
#[graphql(inaccessible)]
pub(super) struct DeleteProjectVaultPayload {
    /// The id of the erased project; null when there are userErrors.
    project_id: Option<ID>,
    /// Number of erased entries, deleted ones included.
    entries_erased: i32,
    /// Number of erased versions.
    versions_erased: i32,
    /// A signed statement (JWS, EdDSA) of what was erased and when. Repeating a deletion gives the
    /// statement of the first; null when there was nothing to erase. Verify it with the keys at
    /// /.well-known/project-vault/jwks.json.
    receipt: Option<String>,
    /// Errors that the caller can correct; empty when the change was made.
    user_errors: Vec<VaultUserError>,
}

impl Payload for DeleteProjectVaultPayload {
    type Done = Erased;

    fn done(done: Erased) -> Self {
        Self {
            project_id: Some(ID(done.project.as_str().to_owned())),
            entries_erased: int(done.entries),
            versions_erased: int(done.versions),
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
    /// The id of the deleted milestone; null when there are userErrors.
    milestone_id: Option<ID>,
    /// Number of erased entries, deleted ones included.
    entries_erased: i32,
    /// Errors that the caller can correct; empty when the change was made.
    user_errors: Vec<VaultUserError>,
}

impl Payload for DeleteVaultMilestonePayload {
    type Done = (MilestoneId, i64);

    fn done((milestone, entries): (MilestoneId, i64)) -> Self {
        Self {
            milestone_id: Some(ID(milestone.as_str().to_owned())),
            entries_erased: int(entries),
            user_errors: vec![],
        }
    }

    fn refused(user_errors: Vec<VaultUserError>) -> Self {
        Self { milestone_id: None, entries_erased: 0, user_errors }
    }
}
