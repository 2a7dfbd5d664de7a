//! What mutations and lists take.
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

/// Which entries are listed. A field left out filters nothing, an empty list matches nothing.
#[derive(InputObject)]
pub(super) struct VaultEntryFilter {
    /// Case-insensitive part of the name.
    name_contains: Option<String>,
    /// Of one of these kinds.
    categories: Option<Vec<VaultCategory>>,
    /// Of the project itself, or of milestones.
    scope: Option<VaultScope>,
    /// Of this milestone.
    milestone_id: Option<ID>,
    /// Left out: ACTIVE, EXPIRED and DISABLED. DELETED ones exist for Accountable viewers only.
    statuses: Option<Vec<VaultEntryStatus>>,
    /// Entries that expire before this instant and are neither disabled nor deleted.
    expires_before: Option<DateTime>,
    /// Whether sessions leave the entry out because of its name. DELETED entries match neither.
    left_out_of_sessions: Option<bool>,
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
        }
    }
}

/// In which order entries are listed; ties by id.
#[derive(InputObject)]
pub(super) struct VaultEntryOrder {
    /// By what.
    #[graphql(default_with = "VaultEntryOrderField::Name")]
    field: VaultEntryOrderField,
    /// In which direction.
    #[graphql(default_with = "VaultSortDirection::Asc")]
    direction: VaultSortDirection,
}

impl From<VaultEntryOrder> for EntryOrder {
    fn from(order: VaultEntryOrder) -> Self {
        Self { field: order.field.into(), descending: order.direction == VaultSortDirection::Desc }
    }
}

/// An entry that is to be created.
#[derive(InputObject)]
pub(super) struct CreateVaultEntryInput {
    /// In which project.
    project_id: ID,
    /// The environment variable it becomes.
    name: String,
    /// 1 byte to 64 KiB of text without NUL.
    value: SecretString,
    /// What kind of credential it is.
    category: VaultCategory,
    /// A note, up to 2,000 characters.
    description: Option<String>,
    /// Scope MILESTONE when given, PROJECT otherwise.
    milestone_id: Option<ID>,
    /// For a CERTIFICATE never later than its notAfter, which is the default.
    expires_at: Option<DateTime>,
    /// How often the value should be replaced: 1 to 3,650 days.
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

/// A field left out stays as it is; null clears it where it is optional. The category cannot change to or from CERTIFICATE.
#[derive(InputObject)]
pub(super) struct UpdateVaultEntryInput {
    /// Which entry.
    id: ID,
    /// A new name.
    name: MaybeUndefined<String>,
    /// A new note.
    description: MaybeUndefined<String>,
    /// Another kind.
    category: MaybeUndefined<VaultCategory>,
    /// An instant in the past expires the entry now.
    expires_at: MaybeUndefined<DateTime>,
    /// How often the value should be replaced: 1 to 3,650 days.
    rotation_interval_days: MaybeUndefined<i32>,
    /// A conflict when the entry has another revision by now.
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
    /// Which entry.
    id: ID,
    /// 1 byte to 64 KiB of text without NUL.
    value: SecretString,
    /// Left out: kept, and required when the entry has expired. null: never expires.
    expires_at: MaybeUndefined<DateTime>,
    /// A conflict when the entry has another revision by now.
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

/// An old value that an entry is to have again.
#[derive(InputObject)]
pub(super) struct RollbackVaultEntryInput {
    /// Which entry.
    id: ID,
    /// The version that has it.
    version: i32,
    /// A conflict when the entry has another revision by now.
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
    /// Into which project.
    project_id: ID,
    /// Into which milestone; into the project's own scope when left out.
    milestone_id: Option<ID>,
    /// The text: one NAME=VALUE a line.
    dotenv: SecretString,
    /// The kind of the entries that are created.
    #[graphql(default_with = "VaultCategory::Secret")]
    category: VaultCategory,
    /// What happens with names that are taken.
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

/// A role that a person is to have, or to lose.
#[derive(InputObject)]
pub(super) struct VaultRoleInput {
    /// In which project.
    project_id: ID,
    /// Who.
    user_id: ID,
    /// Which role.
    role: VaultRole,
}

impl From<VaultRoleInput> for RoleChange {
    fn from(input: VaultRoleInput) -> Self {
        Self { project: input.project_id.0, user: input.user_id.0, role: input.role.into() }
    }
}

/// With milestoneId: the agent works on that milestone, and on the project.
#[derive(InputObject)]
pub(super) struct VaultAgentInput {
    /// Which project.
    project_id: ID,
    /// Which agent.
    agent_id: ID,
    /// Which milestone.
    milestone_id: Option<ID>,
}

impl From<VaultAgentInput> for AgentChange {
    fn from(input: VaultAgentInput) -> Self {
        Self { project: input.project_id.0, agent: input.agent_id.0, milestone: input.milestone_id.map(|id| id.0) }
    }
}

/// Which names of entries are to reach a project's sessions.
#[derive(InputObject)]
pub(super) struct SetVaultEnvironmentNamesInput {
    /// The project.
    project_id: ID,
    /// Which names reach its sessions.
    environment_names: VaultEnvironmentNames,
    /// The names that reach sessions whatever they end in: at most 100, none of them reserved. Left out
    /// or null: kept as they are. An empty list: none.
    approved_names: Option<Vec<String>>,
}

impl From<SetVaultEnvironmentNamesInput> for EnvironmentChange {
    fn from(input: SetVaultEnvironmentNamesInput) -> Self {
        Self { project: input.project_id.0, names: input.environment_names.into(), approved: input.approved_names }
    }
}

/// An organization that is to take part, or no longer.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct VaultParticipantInput {
    /// In which project.
    pub project_id: ID,
    /// Which organization.
    pub organization_id: ID,
}

/// A milestone that is to exist with this phase. A bound left out is open.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct PutVaultMilestoneInput {
    /// Its id.
    id: ID,
    /// Whose it is.
    project_id: ID,
    /// The first instant of its phase.
    opens_at: Option<DateTime>,
    /// The first instant after it.
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
    /// Its id; none that was ever used.
    project_id: ID,
    /// The organizations that take part, at least one.
    participant_ids: Vec<ID>,
    /// The people who are Accountable, at least one.
    accountable_user_ids: Vec<ID>,
    /// Its status.
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

/// A project's new status.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct SetProjectVaultStatusInput {
    /// Which project.
    pub project_id: ID,
    /// Its status.
    pub status: VaultProjectStatus,
}

/// An agent and the organization it belongs to.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct VaultAgentRegistrationInput {
    /// Which agent.
    pub agent_id: ID,
    /// Which organization.
    pub organization_id: ID,
}

/// A runtime and the organization whose agents it serves.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct VaultRuntimeRegistrationInput {
    /// Which runtime.
    pub runtime_id: ID,
    /// Which organization.
    pub organization_id: ID,
}
