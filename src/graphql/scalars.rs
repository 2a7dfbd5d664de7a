//! Scalars and enumerations of the schema.

use crate::{domain, vault};
use async_graphql::{Enum, InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// An instant in RFC 3339: UTC, with milliseconds, such as 2030-01-02T03:04:05.678Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DateTime(pub domain::Timestamp);

/// An instant in RFC 3339: UTC, with milliseconds, such as 2030-01-02T03:04:05.678Z.
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

/// A number as GraphQL's `Int`, which has 32 bits; a larger one is the largest of them.
pub(super) fn int(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// Declares an enumeration of the schema for one of the vault's: the same values, with words for
/// them.
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
    /// A RACI role in a project. Strongest first, each includes the ones after it: Accountable,
    /// Responsible, Consulted, Informed.
    VaultRole for domain::Role {
        /// Creates and changes entries, and sees what agents would receive.
        Responsible,
        /// Deletes and restores entries, manages roles and agents, and reads audit events.
        Accountable,
        /// Sees masked values, versions and usage.
        Consulted,
        /// Lists entries without their values.
        Informed,
    }
}
enumeration! {
    /// The kind of credential an entry holds. It decides how the value is masked.
    VaultCategory for domain::Category {
        /// A key for an API.
        ApiKey,
        /// A token that grants access, such as a personal access token.
        AccessToken,
        /// A secret of no more precise kind.
        Secret,
        /// A PEM certificate, with or without its private key. It is always masked as `****`.
        Certificate,
        /// A password. It is always masked as `****`.
        Password,
        /// A secret that signs or checks webhooks.
        WebhookSecret,
        /// Any other kind of credential.
        Other,
    }
}
enumeration! {
    /// Whether an entry belongs to a whole project or to one milestone.
    VaultScope for domain::Scope {
        /// The entry belongs to the whole project.
        Project,
        /// The entry belongs to one milestone, whose agents receive it during its phase only.
        Milestone,
    }
}
enumeration! {
    /// Whether agents can receive an entry, and if not why.
    VaultEntryStatus for domain::EntryStatus {
        /// Agents can receive the entry.
        Active,
        /// The entry's expiresAt has passed.
        Expired,
        /// A person disabled the entry.
        Disabled,
        /// The entry was deleted. It can be restored until the retention period ends (30 days by
        /// default).
        Deleted,
    }
}
enumeration! {
    /// The platform's status of a project. Agents receive values only while it is ACTIVE.
    VaultProjectStatus for domain::ProjectStatus {
        /// Work has not begun.
        Planning,
        /// Work is going on.
        Active,
        /// Work is interrupted.
        Paused,
        /// Work is done.
        Completed,
        /// Work was given up.
        Cancelled,
    }
}
enumeration! {
    /// How an audited action ended.
    VaultAuditOutcome for domain::AuditOutcome {
        /// The action was done.
        Allowed,
        /// The caller had no permission for the action.
        Denied,
        /// The caller had the permission, but the action could not be done.
        Failed,
    }
}
enumeration! {
    /// An action that the vault records.
    VaultAuditAction for domain::AuditAction {
        /// An entry was created.
        EntryCreated,
        /// An entry's properties were changed.
        EntryUpdated,
        /// An entry got a new value.
        EntryRotated,
        /// An entry got the value of an earlier version again.
        EntryRolledBack,
        /// An entry was disabled.
        EntryDisabled,
        /// A disabled entry was enabled.
        EntryEnabled,
        /// An entry was deleted; it can be restored.
        EntryDeleted,
        /// A deleted entry was restored.
        EntryRestored,
        /// A deleted entry was erased.
        EntryPurged,
        /// An agent received a value or was refused one.
        SecretResolved,
        /// A person or a runtime asked what an agent would receive.
        SecretsPreviewed,
        /// A person asked what an import would change.
        ImportPreviewed,
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
        /// The rule for names in a project's sessions, or its approved names, changed.
        ProjectEnvironmentChanged,
        /// A project's vault was erased.
        ProjectDeleted,
        /// An organization was added to a project.
        ParticipantAdded,
        /// An organization was removed from a project.
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
        /// A service got the permission to manage projects.
        RegistrarAdded,
        /// A service lost the permission to manage projects.
        RegistrarRemoved,
        /// A principal got the permission to read every audit event.
        AuditorAdded,
        /// A principal lost the permission to read every audit event.
        AuditorRemoved,
        /// An operator had a change of permissions tried again that was set aside.
        AccessChangeRetried,
        /// An operator discarded a change of permissions that was set aside.
        AccessChangeDiscarded,
        /// Data keys or master keys were rotated.
        KeysRotated,
    }
}
enumeration! {
    /// The purpose of a resolve.
    VaultResolvePurpose for domain::Purpose {
        /// The environment of a sandbox, at the start of a coding session.
        CodingSession,
        /// The secrets that one tool needs.
        ToolExecution,
    }
}
enumeration! {
    /// The answer for one name. Names are answered one by one; a missing one never fails the
    /// others.
    SecretOutcome for domain::SecretOutcome {
        /// The agent receives a value.
        Resolved,
        /// The name belongs to an expired entry only.
        Expired,
        /// The workspace provides the name itself; the vault decrypts nothing for it.
        ProvidedByWorkspace,
        /// No entry for this agent has the name.
        NotFound,
    }
}
enumeration! {
    /// Why a resolve would be refused as a whole.
    SecretsBlock for vault::Block {
        /// The project's status is not ACTIVE.
        ProjectNotActive,
        /// The agent is unknown or not assigned to the project, or its organization does not take
        /// part.
        AgentNotAssigned,
        /// The agent is not assigned to the milestone, or the project has no such milestone.
        AgentNotOnMilestone,
    }
}
enumeration! {
    /// Which entry names reach a project's sessions, which are resolves without names.
    VaultEnvironmentNames for domain::EnvironmentNames {
        /// Every name that is not reserved.
        Any,
        /// Approved names, and names that end in _KEY, _TOKEN, _SECRET, _PASSWORD, _PAT, _CERT,
        /// _URL, _USER, _ID and the like.
        Suffixed,
    }
}
enumeration! {
    /// Why a session does not receive an entry. A resolve that asks for the name still receives it.
    SecretLeftOutReason for domain::LeftOutReason {
        /// The name is reserved: it makes programs find, configure or run code, or decides where
        /// they send data.
        ReservedName,
        /// The project's environmentNames is SUFFIXED, and the name has none of the endings and is
        /// not approved.
        NameNotSuffixed,
    }
}
enumeration! {
    /// What an import does with a name that is already taken.
    VaultImportConflict for vault::OnConflict {
        /// Nothing is imported, and the import is a CONFLICT.
        Fail,
        /// The existing entry stays unchanged.
        Skip,
        /// The existing entry gets the line's value as a new version. An expired entry is
        /// INVALID_INPUT.
        Rotate,
    }
}
enumeration! {
    /// What an import would do with a line.
    VaultImportChange for vault::ImportChange {
        /// The line creates an entry.
        Create,
        /// The line gives the entry of its name its value, as a new version.
        Rotate,
        /// As ROTATE; the value has the masked value of the entry, so it is probably the same.
        SameMask,
        /// The name is taken, and the line is left out.
        Skip,
        /// The line is refused, and with it the whole import.
        Refused,
    }
}
enumeration! {
    /// A kind of key.
    VaultKeyKind for vault::KeyKind {
        /// A master key, which wraps the other keys.
        Master,
        /// A data key, which encrypts the values of one project.
        Data,
        /// The key that signs receipts and audit heads.
        Signing,
    }
}
enumeration! {
    /// The property that entries are sorted by.
    VaultEntryOrderField for vault::OrderField {
        /// The name, byte by byte.
        Name,
        /// The instant of creation.
        CreatedAt,
        /// The instant of the last change.
        UpdatedAt,
        /// The instant of expiry; entries without one come last in either direction.
        ExpiresAt,
    }
}

/// The direction that a list is sorted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum VaultSortDirection {
    /// Smallest or oldest first.
    Asc,
    /// Largest or newest first.
    Desc,
}
