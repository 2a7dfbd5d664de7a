//! Enums of audit events and of resolving.

use super::text_enum;

text_enum! {
    /// The action that an audit event records, done or attempted.
    pub enum AuditAction {
        /// An entry was created.
        EntryCreated = "ENTRY_CREATED",
        /// An entry's properties were changed.
        EntryUpdated = "ENTRY_UPDATED",
        /// An entry got a new value.
        EntryRotated = "ENTRY_ROTATED",
        /// An entry got an old value again.
        EntryRolledBack = "ENTRY_ROLLED_BACK",
        /// An entry was switched off.
        EntryDisabled = "ENTRY_DISABLED",
        /// An entry was switched on again.
        EntryEnabled = "ENTRY_ENABLED",
        /// An entry was deleted; it can be restored.
        EntryDeleted = "ENTRY_DELETED",
        /// A deleted entry was restored.
        EntryRestored = "ENTRY_RESTORED",
        /// A deleted entry was erased.
        EntryPurged = "ENTRY_PURGED",
        /// An agent received a value, or was refused one.
        SecretResolved = "SECRET_RESOLVED",
        /// A caller asked what an agent would receive.
        SecretsPreviewed = "SECRETS_PREVIEWED",
        /// A person asked what an import would change.
        ImportPreviewed = "IMPORT_PREVIEWED",
        /// A person got a role.
        RoleAssigned = "ROLE_ASSIGNED",
        /// A person lost a role.
        RoleRevoked = "ROLE_REVOKED",
        /// An agent was assigned to a project or milestone.
        AgentAssigned = "AGENT_ASSIGNED",
        /// An agent's assignment was removed.
        AgentUnassigned = "AGENT_UNASSIGNED",
        /// A project got its vault.
        ProjectRegistered = "PROJECT_REGISTERED",
        /// A project's status was changed.
        ProjectStatusChanged = "PROJECT_STATUS_CHANGED",
        /// The rule for the names that reach a project's sessions was changed.
        ProjectEnvironmentChanged = "PROJECT_ENVIRONMENT_CHANGED",
        /// A project's vault was erased.
        ProjectDeleted = "PROJECT_DELETED",
        /// An organization joined.
        ParticipantAdded = "PARTICIPANT_ADDED",
        /// An organization left.
        ParticipantRemoved = "PARTICIPANT_REMOVED",
        /// A milestone was created or its phase set.
        MilestonePut = "MILESTONE_PUT",
        /// A milestone's phase was ended.
        MilestoneClosed = "MILESTONE_CLOSED",
        /// A milestone was deleted with its entries.
        MilestoneDeleted = "MILESTONE_DELETED",
        /// An agent was registered or moved.
        AgentRegistered = "AGENT_REGISTERED",
        /// An agent was unregistered.
        AgentUnregistered = "AGENT_UNREGISTERED",
        /// A runtime was registered or moved.
        RuntimeRegistered = "RUNTIME_REGISTERED",
        /// A runtime was unregistered.
        RuntimeUnregistered = "RUNTIME_UNREGISTERED",
        /// A service may manage projects from now on.
        RegistrarAdded = "REGISTRAR_ADDED",
        /// A service may no longer manage projects.
        RegistrarRemoved = "REGISTRAR_REMOVED",
        /// A principal may read every audit log from now on.
        AuditorAdded = "AUDITOR_ADDED",
        /// A principal may no longer read every audit log.
        AuditorRemoved = "AUDITOR_REMOVED",
        /// An operator had a change of permissions tried again that was set aside.
        AccessChangeRetried = "ACCESS_CHANGE_RETRIED",
        /// An operator discarded a change of permissions that was set aside.
        AccessChangeDiscarded = "ACCESS_CHANGE_DISCARDED",
        /// Keys were replaced.
        KeysRotated = "KEYS_ROTATED",
    }
}

text_enum! {
    /// How the action ended.
    pub enum AuditOutcome {
        /// The action was done.
        Allowed = "ALLOWED",
        /// The caller lacks the permission.
        Denied = "DENIED",
        /// The caller has the permission, but the action failed.
        Failed = "FAILED",
    }
}

text_enum! {
    /// The purpose of a resolve.
    pub enum Purpose {
        /// The environment of a sandbox.
        CodingSession = "CODING_SESSION",
        /// The execution of one tool.
        ToolExecution = "TOOL_EXECUTION",
    }
}

text_enum! {
    /// The outcome of a resolve for one name (`product.md`, section 4).
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    pub enum SecretOutcome {
        /// A live entry bears the name.
        Resolved = "RESOLVED",
        /// Only an expired entry bears the name.
        Expired = "EXPIRED",
        /// The workspace provides the name itself, so the vault's value is not opened.
        ProvidedByWorkspace = "PROVIDED_BY_WORKSPACE",
        /// No entry for agents bears the name.
        NotFound = "NOT_FOUND",
    }
}

impl SecretOutcome {
    /// Whether an entry decided it: its value is there, or would be if it had not expired.
    #[must_use]
    pub const fn is_of_entry(self) -> bool {
        match self {
            Self::Resolved | Self::Expired => true,
            Self::ProvidedByWorkspace | Self::NotFound => false,
        }
    }
}
