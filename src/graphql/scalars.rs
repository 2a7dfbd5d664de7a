//! Scalars and enumerations of the schema.

use crate::{domain, vault};
use async_graphql::{Enum, InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// An instant: RFC 3339, UTC, millisecond precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DateTime(pub domain::Timestamp);

/// An instant: RFC 3339, UTC, millisecond precision.
#[Scalar]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => domain::Timestamp::parse(text).map(Self),
            _ => None,
        }
        .ok_or_else(|| InputValueError::custom("an instant is written as RFC 3339, such as 2030-01-02T03:04:05.678Z"))
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if domain::Timestamp::parse(text).is_some())
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339())
    }
}

impl From<domain::Timestamp> for DateTime {
    fn from(at: domain::Timestamp) -> Self {
        Self(at)
    }
}

/// Declares an enumeration of the schema for one of the vault's: the same values, with words for them.
macro_rules! enumeration {
    ($(#[$meta:meta])* $name:ident for $of:path { $($(#[$vmeta:meta])* $value:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
        pub(super) enum $name { $($(#[$vmeta])* $value),+ }

        impl From<$of> for $name {
            fn from(of: $of) -> Self {
                match of { $(<$of>::$value => Self::$value),+ }
            }
        }
        impl From<$name> for $of {
            fn from(of: $name) -> Self {
                match of { $($name::$value => Self::$value),+ }
            }
        }
    };
}

enumeration! {
    /// A RACI role in a project.
    VaultRole for domain::Role {
        /// Creates and changes entries, and does all that a Consulted person does.
        Responsible,
        /// Administers the vault: deletes entries, manages roles and agents, reads audit events;
        /// and does all that a Responsible person does.
        Accountable,
        /// Sees masked values and versions, and does all that an Informed person does.
        Consulted,
        /// Lists entries, without their values.
        Informed,
    }
}
enumeration! {
    /// What kind of credential an entry holds.
    VaultCategory for domain::Category {
        /// A key for an API.
        ApiKey,
        /// A token that grants access, such as a personal access token.
        AccessToken,
        /// A secret without a more precise kind.
        Secret,
        /// A PEM certificate, with or without its private key.
        Certificate,
        /// A password: nothing of it is ever shown.
        Password,
        /// A secret that signs or checks webhooks.
        WebhookSecret,
        /// Any other credential.
        Other,
    }
}
enumeration! {
    /// What an entry belongs to.
    VaultScope for domain::Scope {
        /// The whole project.
        Project,
        /// One milestone; its agents see the entry only during its phase.
        Milestone,
    }
}
enumeration! {
    /// Whether agents receive an entry, and if not why.
    VaultEntryStatus for domain::EntryStatus {
        /// Agents receive it.
        Active,
        /// Its expiry has passed; agents receive null.
        Expired,
        /// A person disabled it; it does not exist for agents.
        Disabled,
        /// Deleted; it can be restored until the retention period ends.
        Deleted,
    }
}
enumeration! {
    /// The status of a project, which the platform keeps. Agents receive values only while it is
    /// ACTIVE.
    VaultProjectStatus for domain::ProjectStatus {
        /// Work has not begun.
        Planning,
        /// Work is under way; agents receive values.
        Active,
        /// Work is interrupted.
        Paused,
        /// Work is complete.
        Completed,
        /// The project was given up.
        Cancelled,
    }
}
enumeration! {
    /// The outcome of an audited action.
    VaultAuditOutcome for domain::AuditOutcome {
        /// The action was done.
        Allowed,
        /// The caller was not allowed to do it.
        Denied,
        /// The caller was allowed to do it, but it could not be done.
        Failed,
    }
}
enumeration! {
    /// An action that was done or attempted.
    VaultAuditAction for domain::AuditAction {
        /// An entry was created.
        EntryCreated,
        /// An entry's properties were changed.
        EntryUpdated,
        /// An entry got a new value.
        EntryRotated,
        /// An entry got an old value again.
        EntryRolledBack,
        /// An entry was disabled.
        EntryDisabled,
        /// An entry was enabled again.
        EntryEnabled,
        /// An entry was deleted; it can be restored.
        EntryDeleted,
        /// A deleted entry was restored.
        EntryRestored,
        /// A deleted entry was erased.
        EntryPurged,
        /// An agent received a value, or was refused one.
        SecretResolved,
        /// Somebody asked what an agent would receive.
        SecretsPreviewed,
        /// A person got a role.
        RoleAssigned,
        /// A person lost a role.
        RoleRevoked,
        /// An agent was assigned to a project or milestone.
        AgentAssigned,
        /// An agent was unassigned from a project or milestone.
        AgentUnassigned,
        /// A project got its vault.
        ProjectRegistered,
        /// A project's status was changed.
        ProjectStatusChanged,
        /// The rule for the names that reach a project's sessions was changed.
        ProjectEnvironmentChanged,
        /// A project's vault was erased.
        ProjectDeleted,
        /// An organization joined.
        ParticipantAdded,
        /// An organization left.
        ParticipantRemoved,
        /// A milestone was created or its phase set.
        MilestonePut,
        /// A milestone's phase was ended.
        MilestoneClosed,
        /// A milestone was deleted with its entries.
        MilestoneDeleted,
        /// An agent was registered or moved.
        AgentRegistered,
        /// An agent was unregistered.
        AgentUnregistered,
        /// A runtime was registered or moved.
        RuntimeRegistered,
        /// A runtime was unregistered.
        RuntimeUnregistered,
        /// A service may manage projects from now on.
        RegistrarAdded,
        /// A service may no longer manage projects.
        RegistrarRemoved,
        /// A principal may read every audit log from now on.
        AuditorAdded,
        /// A principal may no longer read every audit log.
        AuditorRemoved,
        /// Keys were replaced.
        KeysRotated,
    }
}
enumeration! {
    /// Why secrets are resolved, for the access records.
    VaultResolvePurpose for domain::Purpose {
        /// The environment of a sandbox, at the start of a coding session.
        CodingSession,
        /// A tool that asks for secrets by name.
        ToolExecution,
    }
}
enumeration! {
    /// What became of one name. A missing name never fails the others.
    SecretOutcome for domain::SecretOutcome {
        /// The agent receives the value.
        Resolved,
        /// The only entry of this name has expired.
        Expired,
        /// The workspace provides this name itself; the vault's value was not decrypted.
        ProvidedByWorkspace,
        /// There is no entry of this name for this agent.
        NotFound,
    }
}
enumeration! {
    /// Why a resolve would be refused as a whole.
    SecretsBlock for vault::Block {
        /// The project is not ACTIVE.
        ProjectNotActive,
        /// The agent is unknown, not on the project, or its organization does not take part.
        AgentNotAssigned,
        /// The agent is not on the milestone, or there is no such milestone in the project.
        AgentNotOnMilestone,
    }
}
enumeration! {
    /// Which names of entries reach the sessions of a project: its resolves without names.
    VaultEnvironmentNames for domain::EnvironmentNames {
        /// Every name that is not reserved.
        Any,
        /// Names that end in _KEY, _TOKEN, _SECRET, _PASSWORD, _PAT, _CERT, _URL, _USER, _ID and the
        /// like, and approved names.
        Suffixed,
    }
}
enumeration! {
    /// Why a session does not receive an entry. A resolve that names it does.
    SecretLeftOutReason for domain::LeftOutReason {
        /// The name is reserved: programs find, configure or run code by it, or send data where it
        /// says.
        ReservedName,
        /// The project's environmentNames is SUFFIXED, and the name has no such ending and is not
        /// approved.
        NameNotSuffixed,
    }
}
enumeration! {
    /// What an import does with a name that exists already in the same scope.
    VaultImportConflict for vault::OnConflict {
        /// The import fails, and nothing is imported.
        Fail,
        /// The line is skipped.
        Skip,
        /// The existing entry gets the line's value as a new version.
        Rotate,
    }
}
enumeration! {
    /// The property entries are sorted by.
    VaultEntryOrderField for vault::OrderField {
        /// The name, compared byte by byte.
        Name,
        /// The time of creation.
        CreatedAt,
        /// The time of the last change.
        UpdatedAt,
        /// The time of expiry; entries that never expire come last in either direction.
        ExpiresAt,
    }
}

/// The direction a list is sorted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum VaultSortDirection {
    /// Smallest or oldest first.
    Asc,
    /// Largest or newest first.
    Desc,
}
