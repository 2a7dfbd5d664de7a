//! The inputs of mutations and lists.
#![allow(clippy::struct_field_names, reason = "the fields bear the names of the schema")]

use super::scalars::{
    DateTime, VaultCategory, VaultEntryOrderField, VaultEntryStatus, VaultEnvironmentNames, VaultImportConflict,
    VaultProjectStatus, VaultRole, VaultScope, VaultSortDirection,
};
use crate::domain::{Category, Phase};
use crate::vault::{
    AgentChange, Change, EntryChanges, EntryFilter, EntryOrder, EnvironmentChange, Import, NewEntry, NewMilestone,
    NewProject, RoleChange, Rollback, Rotation,
};
use async_graphql::{ID, InputObject, MaybeUndefined};
use secrecy::SecretString;

/// Selects entries. A field left out or null filters nothing; an empty list matches nothing.
#[derive(InputObject)]
pub(super) struct VaultEntryFilter {
    /// A part of the name, in any letter case. `%` and `_` stand for themselves.
    name_contains: Option<String>,
    /// Entries of one of these categories.
    categories: Option<Vec<VaultCategory>>,
    /// Entries of the project itself (PROJECT) or of milestones (MILESTONE).
    scope: Option<VaultScope>,
    /// Entries of this milestone.
    milestone_id: Option<ID>,
    /// Entries with one of these statuses. Left out: ACTIVE, EXPIRED and DISABLED. Only viewers who
    /// are Accountable get DELETED entries.
    statuses: Option<Vec<VaultEntryStatus>>,
    /// Entries that expire before this instant and are neither disabled nor deleted.
    expires_before: Option<DateTime>,
    /// True: entries whose name keeps them out of sessions. False: entries whose name does not.
    /// Neither matches DELETED entries.
    left_out_of_sessions: Option<bool>,
    /// Entries whose rotation is due before this instant and that are neither disabled nor deleted.
    rotation_due_before: Option<DateTime>,
    /// True: entries that no agent has ever received. False: entries that one has. FORBIDDEN below
    /// Consulted.
    never_resolved: Option<bool>,
}

impl From<VaultEntryFilter> for EntryFilter {
    fn from(filter: VaultEntryFilter) -> Self {
        Self {
            name_contains: filter.name_contains,
            categories: filter.categories.map(|all| all.into_iter().map(Into::into).collect()),
            scope: filter.scope.map(Into::into),
            milestone: filter.milestone_id.map(|id| id.0),
            statuses: filter.statuses.map(|all| all.into_iter().map(Into::into).collect()),
            expires_before: filter.expires_before.map(|at| at.0),
            left_out_of_sessions: filter.left_out_of_sessions,
            rotation_due_before: filter.rotation_due_before.map(|at| at.0),
            never_resolved: filter.never_resolved,
        }
    }
}

/// The order of a list of entries. Entries that compare equal are ordered by id.
#[derive(InputObject)]
pub(super) struct VaultEntryOrder {
    /// The property to sort by. Default: NAME.
    #[graphql(default_with = "VaultEntryOrderField::Name")]
    field: VaultEntryOrderField,
    /// The direction to sort in. Default: ASC.
    #[graphql(default_with = "VaultSortDirection::Asc")]
    direction: VaultSortDirection,
}

impl From<VaultEntryOrder> for EntryOrder {
    fn from(order: VaultEntryOrder) -> Self {
        Self { field: order.field.into(), descending: order.direction == VaultSortDirection::Desc }
    }
}

/// A new entry.
#[derive(InputObject)]
pub(super) struct CreateVaultEntryInput {
    /// The project the entry belongs to.
    project_id: ID,
    /// The name agents ask for, and the environment variable that receives the value: 1 to 128
    /// letters, digits and underscores that do not begin with a digit. It is case-sensitive, unique
    /// in its scope and not reserved.
    name: String,
    /// The value to store: 1 byte to 64 KiB of UTF-8 without NUL. For a CERTIFICATE it is PEM with
    /// at least one certificate.
    value: SecretString,
    /// The kind of credential. It decides how the value is masked.
    category: VaultCategory,
    /// A note for people, up to 2,000 characters.
    description: Option<String>,
    /// The milestone to scope the entry to. Left out: the entry belongs to the whole project.
    milestone_id: Option<ID>,
    /// When the entry expires; it must be in the future. Left out or null: never. A CERTIFICATE
    /// expires at its notAfter at the latest, which is the default.
    expires_at: Option<DateTime>,
    /// How often the value should be replaced, in days: 1 to 3,650. Left out: rotation is never
    /// due.
    rotation_interval_days: Option<i32>,
}

impl From<CreateVaultEntryInput> for NewEntry {
    fn from(input: CreateVaultEntryInput) -> Self {
        Self {
            project: input.project_id.0,
            name: input.name,
            value: input.value,
            category: input.category.into(),
            description: input.description,
            milestone: input.milestone_id.map(|id| id.0),
            expires_at: input.expires_at.map(|at| at.0),
            rotation_interval_days: input.rotation_interval_days,
        }
    }
}

fn change<T, U>(field: MaybeUndefined<T>, of: impl FnOnce(T) -> U) -> Change<U> {
    match field {
        MaybeUndefined::Undefined => Change::Keep,
        MaybeUndefined::Null => Change::Clear,
        MaybeUndefined::Value(value) => Change::Set(of(value)),
    }
}

/// Changes of an entry. A field left out keeps its value; null clears it where it is optional. The
/// category cannot change to or from CERTIFICATE.
#[derive(InputObject)]
pub(super) struct UpdateVaultEntryInput {
    /// The id of the entry to change.
    id: ID,
    /// The new name, by the rules of CreateVaultEntryInput.name. Null is INVALID_INPUT.
    name: MaybeUndefined<String>,
    /// The new note, up to 2,000 characters. Null removes it.
    description: MaybeUndefined<String>,
    /// The new category. Null is INVALID_INPUT. The value's mask is never loosened by it.
    category: MaybeUndefined<VaultCategory>,
    /// When the entry expires. An instant in the past expires it now; null means never.
    expires_at: MaybeUndefined<DateTime>,
    /// How often the value should be replaced, in days: 1 to 3,650. Null: rotation is never due.
    rotation_interval_days: MaybeUndefined<i32>,
    /// The revision the change is based on. Any other current revision is a CONFLICT. Left out: not
    /// checked.
    expected_revision: Option<i32>,
}

impl From<UpdateVaultEntryInput> for EntryChanges {
    fn from(input: UpdateVaultEntryInput) -> Self {
        Self {
            id: input.id.0,
            name: change(input.name, |name| name),
            description: change(input.description, |text| text),
            category: change(input.category, Category::from),
            expires_at: change(input.expires_at, |at| at.0),
            rotation_interval_days: change(input.rotation_interval_days, |days| days),
            expected_revision: input.expected_revision,
        }
    }
}

/// A new value for an entry.
#[derive(InputObject)]
pub(super) struct RotateVaultEntryInput {
    /// The id of the entry to rotate.
    id: ID,
    /// The value to store: 1 byte to 64 KiB of UTF-8 without NUL. For a CERTIFICATE it is PEM with
    /// at least one certificate.
    value: SecretString,
    /// When the entry expires; it must be in the future. Left out: unchanged, which is
    /// INVALID_INPUT when the entry has expired. Null: never. For a CERTIFICATE, left out and null
    /// mean the new certificate's notAfter.
    expires_at: MaybeUndefined<DateTime>,
    /// The revision the change is based on. Any other current revision is a CONFLICT. Left out: not
    /// checked.
    expected_revision: Option<i32>,
}

impl From<RotateVaultEntryInput> for Rotation {
    fn from(input: RotateVaultEntryInput) -> Self {
        Self {
            id: input.id.0,
            value: input.value,
            expires_at: change(input.expires_at, |at| at.0),
            expected_revision: input.expected_revision,
        }
    }
}

/// The version of an entry to bring back.
#[derive(InputObject)]
pub(super) struct RollbackVaultEntryInput {
    /// The id of the entry to roll back.
    id: ID,
    /// The number of the version whose value is brought back. The current version is INVALID_INPUT;
    /// one that is not kept any more is NOT_FOUND.
    version: i32,
    /// The revision the change is based on. Any other current revision is a CONFLICT. Left out: not
    /// checked.
    expected_revision: Option<i32>,
}

impl From<RollbackVaultEntryInput> for Rollback {
    fn from(input: RollbackVaultEntryInput) -> Self {
        Self { id: input.id.0, version: input.version, expected_revision: input.expected_revision }
    }
}

/// A .env text to import.
#[derive(InputObject)]
pub(super) struct ImportVaultEntriesInput {
    /// The project the entries belong to.
    project_id: ID,
    /// The milestone to scope the entries to. Left out: they belong to the whole project.
    milestone_id: Option<ID>,
    /// The .env text: one NAME=VALUE a line, with comments, quotes and `export` as usual. Variables
    /// are not substituted. A bad line or a repeated name is INVALID_INPUT.
    dotenv: SecretString,
    /// The category of the entries to create. Default: SECRET.
    #[graphql(default_with = "VaultCategory::Secret")]
    category: VaultCategory,
    /// What to do with a name that is already taken. Default: FAIL.
    #[graphql(default_with = "VaultImportConflict::Fail")]
    on_conflict: VaultImportConflict,
}

impl From<ImportVaultEntriesInput> for Import {
    fn from(input: ImportVaultEntriesInput) -> Self {
        Self {
            project: input.project_id.0,
            milestone: input.milestone_id.map(|id| id.0),
            dotenv: input.dotenv,
            category: input.category.into(),
            on_conflict: input.on_conflict.into(),
        }
    }
}

/// A person's role in a project, to assign or to revoke.
#[derive(InputObject)]
pub(super) struct VaultRoleInput {
    /// The project the role is held in.
    project_id: ID,
    /// The person who gets or loses the role.
    user_id: ID,
    /// The role to assign or to revoke.
    role: VaultRole,
}

impl From<VaultRoleInput> for RoleChange {
    fn from(input: VaultRoleInput) -> Self {
        Self { project: input.project_id.0, user: input.user_id.0, role: input.role.into() }
    }
}

/// An agent's assignment to a project or to one of its milestones.
#[derive(InputObject)]
pub(super) struct VaultAgentInput {
    /// The project the agent works on.
    project_id: ID,
    /// The agent to assign or to unassign.
    agent_id: ID,
    /// The milestone the agent works on. Assigning an agent to a milestone also assigns it to the
    /// project. Left out: assign to the project only, or unassign from the project and all its
    /// milestones.
    milestone_id: Option<ID>,
}

impl From<VaultAgentInput> for AgentChange {
    fn from(input: VaultAgentInput) -> Self {
        Self { project: input.project_id.0, agent: input.agent_id.0, milestone: input.milestone_id.map(|id| id.0) }
    }
}

/// Which entry names reach a project's sessions.
#[derive(InputObject)]
pub(super) struct SetVaultEnvironmentNamesInput {
    /// The project to change.
    project_id: ID,
    /// The rule that decides which names reach sessions.
    environment_names: VaultEnvironmentNames,
    /// Names that reach sessions whatever they end in: at most 100, none of them reserved. Left out
    /// or null: unchanged. An empty list: none.
    approved_names: Option<Vec<String>>,
}

impl From<SetVaultEnvironmentNamesInput> for EnvironmentChange {
    fn from(input: SetVaultEnvironmentNamesInput) -> Self {
        Self { project: input.project_id.0, names: input.environment_names.into(), approved: input.approved_names }
    }
}

/// An organization to add to a project, or to remove from it.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct VaultParticipantInput {
    /// The project the organization takes part in.
    pub project_id: ID,
    /// The organization to add or to remove.
    pub organization_id: ID,
}

/// A milestone and its phase. A bound left out or null is open.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct PutVaultMilestoneInput {
    /// The id of the milestone. The id of another project's milestone is a CONFLICT.
    id: ID,
    /// The project the milestone belongs to.
    project_id: ID,
    /// The first instant of the phase. It must be before closesAt.
    opens_at: Option<DateTime>,
    /// The first instant after the phase.
    closes_at: Option<DateTime>,
}

impl From<PutVaultMilestoneInput> for NewMilestone {
    fn from(input: PutVaultMilestoneInput) -> Self {
        let phase = Phase { opens_at: input.opens_at.map(|at| at.0), closes_at: input.closes_at.map(|at| at.0) };
        Self { id: input.id.0, project: input.project_id.0, phase }
    }
}

/// A project that gets a vault.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct RegisterProjectVaultInput {
    /// The id of the project. An id that has, or ever had, a vault is a CONFLICT.
    project_id: ID,
    /// The organizations that take part, at least one. Duplicates are ignored.
    participant_ids: Vec<ID>,
    /// The people who are Accountable, at least one. Duplicates are ignored.
    accountable_user_ids: Vec<ID>,
    /// The project's initial status. Default: ACTIVE.
    #[graphql(default_with = "VaultProjectStatus::Active")]
    status: VaultProjectStatus,
}

impl From<RegisterProjectVaultInput> for NewProject {
    fn from(input: RegisterProjectVaultInput) -> Self {
        Self {
            project: input.project_id.0,
            participants: input.participant_ids.into_iter().map(|id| id.0).collect(),
            accountable: input.accountable_user_ids.into_iter().map(|id| id.0).collect(),
            status: input.status.into(),
        }
    }
}

/// The new status of a project.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct SetProjectVaultStatusInput {
    /// The project to change.
    pub project_id: ID,
    /// The status to set. Agents receive values only while it is ACTIVE.
    pub status: VaultProjectStatus,
}

/// An agent and the organization it belongs to.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct VaultAgentRegistrationInput {
    /// The agent to register.
    pub agent_id: ID,
    /// The organization the agent belongs to.
    pub organization_id: ID,
}

/// A runtime and the organization whose agents it serves.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct VaultRuntimeRegistrationInput {
    /// The runtime to register: the `sub` of its tokens.
    pub runtime_id: ID,
    /// The organization whose agents the runtime serves.
    pub organization_id: ID,
}
