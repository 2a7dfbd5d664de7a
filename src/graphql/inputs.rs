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

/// The conditions an entry of the list meets, all of them. A condition left out holds for every
/// entry; an empty list holds for none.
#[derive(InputObject)]
pub(super) struct VaultEntryFilter {
    /// Part of the entry's name, in upper or lower case.
    name_contains: Option<String>,
    /// The entry has one of these categories.
    categories: Option<Vec<VaultCategory>>,
    /// The entry belongs to the whole project, or to any milestone.
    scope: Option<VaultScope>,
    /// The entry belongs to this milestone.
    milestone_id: Option<ID>,
    /// The entry has one of these statuses; by default ACTIVE, EXPIRED or DISABLED. Only
    /// Accountable viewers see DELETED entries.
    statuses: Option<Vec<VaultEntryStatus>>,
    /// The entry expires before this time, and is neither disabled nor deleted.
    expires_before: Option<DateTime>,
    /// Whether sessions leave the entry out because of its name. DELETED entries match neither
    /// value.
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

/// The order of a list of entries. Entries that are equal are ordered by id.
#[derive(InputObject)]
pub(super) struct VaultEntryOrder {
    /// The property to sort by.
    #[graphql(default_with = "VaultEntryOrderField::Name")]
    field: VaultEntryOrderField,
    /// The direction to sort in.
    #[graphql(default_with = "VaultSortDirection::Asc")]
    direction: VaultSortDirection,
}

impl From<VaultEntryOrder> for EntryOrder {
    fn from(order: VaultEntryOrder) -> Self {
        Self { field: order.field.into(), descending: order.direction == VaultSortDirection::Desc }
    }
}

/// The entry to create.
#[derive(InputObject)]
pub(super) struct CreateVaultEntryInput {
    /// The project's id.
    project_id: ID,
    /// The name agents ask for, which is also the environment variable it becomes in a session.
    name: String,
    /// The secret value: 1 byte to 64 KiB of text without NUL. It can never be read back in full.
    value: SecretString,
    /// The kind of credential it is; it decides how the value is masked.
    category: VaultCategory,
    /// A note, up to 2,000 characters.
    description: Option<String>,
    /// The milestone the entry belongs to; without it, the entry belongs to the whole project.
    milestone_id: Option<ID>,
    /// When the entry expires; by default never, or at a CERTIFICATE's notAfter, which is also its
    /// upper bound.
    expires_at: Option<DateTime>,
    /// The number of days after which the value should be rotated: 1 to 3,650. Nothing expires by
    /// it.
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

/// The properties of an entry to change. A property that is left out stays as it is; null clears an
/// optional one. The category cannot change to or from CERTIFICATE.
#[derive(InputObject)]
pub(super) struct UpdateVaultEntryInput {
    /// The entry's id.
    id: ID,
    /// The new name.
    name: MaybeUndefined<String>,
    /// The new note: up to 2,000 characters.
    description: MaybeUndefined<String>,
    /// The new kind of credential.
    category: MaybeUndefined<VaultCategory>,
    /// When the entry expires; a time in the past expires it at once.
    expires_at: MaybeUndefined<DateTime>,
    /// The number of days after which the value should be rotated: 1 to 3,650. Nothing expires by
    /// it.
    rotation_interval_days: MaybeUndefined<i32>,
    /// The revision the caller has seen. The change fails with CONFLICT when the entry has another
    /// one by now.
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
    /// The entry's id.
    id: ID,
    /// The new secret value: 1 byte to 64 KiB of text without NUL.
    value: SecretString,
    /// When the new value expires; null for never. Left out, the expiry stays as it is, which fails
    /// for an entry that has expired.
    expires_at: MaybeUndefined<DateTime>,
    /// The revision the caller has seen. The change fails with CONFLICT when the entry has another
    /// one by now.
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

/// The earlier value an entry gets back.
#[derive(InputObject)]
pub(super) struct RollbackVaultEntryInput {
    /// The entry's id.
    id: ID,
    /// The number of the version whose value it gets.
    version: i32,
    /// The revision the caller has seen. The change fails with CONFLICT when the entry has another
    /// one by now.
    expected_revision: Option<i32>,
}

impl From<RollbackVaultEntryInput> for Rollback {
    fn from(input: RollbackVaultEntryInput) -> Self {
        Self { id: input.id.0, version: input.version, expected_revision: input.expected_revision }
    }
}

/// A .env text to import, and how.
#[derive(InputObject)]
pub(super) struct ImportVaultEntriesInput {
    /// The id of the project to import into.
    project_id: ID,
    /// The milestone the entries belong to; without it, they belong to the whole project.
    milestone_id: Option<ID>,
    /// The .env text: one NAME=VALUE per line.
    dotenv: SecretString,
    /// The category of the entries that are created.
    #[graphql(default_with = "VaultCategory::Secret")]
    category: VaultCategory,
    /// What to do with a name that exists already in the same scope.
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

/// A person and the role to assign or revoke.
#[derive(InputObject)]
pub(super) struct VaultRoleInput {
    /// The project's id.
    project_id: ID,
    /// The person's id.
    user_id: ID,
    /// The role to assign or revoke.
    role: VaultRole,
}

impl From<VaultRoleInput> for RoleChange {
    fn from(input: VaultRoleInput) -> Self {
        Self { project: input.project_id.0, user: input.user_id.0, role: input.role.into() }
    }
}

/// An agent and where it works: the project, and with milestoneId that milestone as well.
#[derive(InputObject)]
pub(super) struct VaultAgentInput {
    /// The project's id.
    project_id: ID,
    /// The agent's id.
    agent_id: ID,
    /// A milestone of the project; see the mutation for what leaving it out means.
    milestone_id: Option<ID>,
}

impl From<VaultAgentInput> for AgentChange {
    fn from(input: VaultAgentInput) -> Self {
        Self { project: input.project_id.0, agent: input.agent_id.0, milestone: input.milestone_id.map(|id| id.0) }
    }
}

/// The rule for the names that reach a project's sessions.
#[derive(InputObject)]
pub(super) struct SetVaultEnvironmentNamesInput {
    /// The project's id.
    project_id: ID,
    /// The new rule.
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

/// A project and an organization to add to it or remove from it.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct VaultParticipantInput {
    /// The project's id.
    pub project_id: ID,
    /// The organization's id.
    pub organization_id: ID,
}

/// A milestone to create or change. A bound of its phase that is left out is open.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct PutVaultMilestoneInput {
    /// The milestone's id.
    id: ID,
    /// The id of the project it belongs to; a milestone never moves to another.
    project_id: ID,
    /// The first instant of its phase; without it, the phase has no beginning.
    opens_at: Option<DateTime>,
    /// The first instant after its phase; without it, the phase has no end.
    closes_at: Option<DateTime>,
}

impl From<PutVaultMilestoneInput> for NewMilestone {
    fn from(input: PutVaultMilestoneInput) -> Self {
        let phase = Phase { opens_at: input.opens_at.map(|at| at.0), closes_at: input.closes_at.map(|at| at.0) };
        Self { id: input.id.0, project: input.project_id.0, phase }
    }
}

/// The project that gets a vault.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct RegisterProjectVaultInput {
    /// The project's id, which no project, even a deleted one, has had before.
    project_id: ID,
    /// The ids of the organizations that take part: at least one.
    participant_ids: Vec<ID>,
    /// The ids of the people who become Accountable: at least one.
    accountable_user_ids: Vec<ID>,
    /// The project's status; agents receive secrets only while it is ACTIVE.
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

/// A project and its new status.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct SetProjectVaultStatusInput {
    /// The project's id.
    pub project_id: ID,
    /// The new status.
    pub status: VaultProjectStatus,
}

/// An agent and the organization it belongs to.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct VaultAgentRegistrationInput {
    /// The agent's id.
    pub agent_id: ID,
    /// The organization's id.
    pub organization_id: ID,
}

/// A runtime and the organization whose agents it serves.
#[derive(InputObject)]
#[graphql(inaccessible)]
pub(super) struct VaultRuntimeRegistrationInput {
    /// The runtime's id.
    pub runtime_id: ID,
    /// The organization's id.
    pub organization_id: ID,
}
