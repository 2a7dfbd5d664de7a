export type { Operation } from './operation';
export type Maybe<T> = T | null;
export type InputMaybe<T> = Maybe<T>;
export type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
export type MakeOptional<T, K extends keyof T> = Omit<T, K> & { [SubKey in K]?: Maybe<T[SubKey]> };
export type MakeMaybe<T, K extends keyof T> = Omit<T, K> & { [SubKey in K]: Maybe<T[SubKey]> };
export type MakeEmpty<T extends { [key: string]: unknown }, K extends keyof T> = { [_ in K]?: never };
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** All built-in and custom scalars, mapped to their actual values */
export type Scalars = {
  ID: { input: string; output: string; }
  String: { input: string; output: string; }
  Boolean: { input: boolean; output: boolean; }
  Int: { input: number; output: number; }
  Float: { input: number; output: number; }
  /** An instant in RFC 3339: UTC, with milliseconds, such as 2030-01-02T03:04:05.678Z. */
  DateTime: { input: string; output: string; }
  _FieldSet: { input: any; output: any; }
};

/** A new entry. */
export type CreateVaultEntryInput = {
  /** The kind of credential. It decides how the value is masked. */
  category: VaultCategory;
  /** A note for people, up to 2,000 characters. */
  description?: InputMaybe<Scalars['String']['input']>;
  /**
   * When the entry expires; it must be in the future. Left out or null: never. A CERTIFICATE
   * expires at its notAfter at the latest, which is the default.
   */
  expiresAt?: InputMaybe<Scalars['DateTime']['input']>;
  /** The milestone to scope the entry to. Left out: the entry belongs to the whole project. */
  milestoneId?: InputMaybe<Scalars['ID']['input']>;
  /**
   * The name agents ask for, and the environment variable that receives the value: 1 to 128
   * letters, digits and underscores that do not begin with a digit. It is case-sensitive, unique
   * in its scope and not reserved.
   */
  name: Scalars['String']['input'];
  /** The project the entry belongs to. */
  projectId: Scalars['ID']['input'];
  /**
   * How often the value should be replaced, in days: 1 to 3,650. Left out: rotation is never
   * due.
   */
  rotationIntervalDays?: InputMaybe<Scalars['Int']['input']>;
  /**
   * The value to store: 1 byte to 64 KiB of UTF-8 without NUL. For a CERTIFICATE it is PEM with
   * at least one certificate.
   */
  value: Scalars['String']['input'];
};

/** A .env text to import. */
export type ImportVaultEntriesInput = {
  /** The category of the entries to create. Default: SECRET. */
  category?: VaultCategory;
  /**
   * The .env text: one NAME=VALUE a line, with comments, quotes and `export` as usual. Variables
   * are not substituted. A bad line or a repeated name is INVALID_INPUT.
   */
  dotenv: Scalars['String']['input'];
  /** The milestone to scope the entries to. Left out: they belong to the whole project. */
  milestoneId?: InputMaybe<Scalars['ID']['input']>;
  /** What to do with a name that is already taken. Default: FAIL. */
  onConflict?: VaultImportConflict;
  /** The project the entries belong to. */
  projectId: Scalars['ID']['input'];
};

/** The agent to preview for, and the names it would ask for. */
export type PreviewSecretsInput = {
  /** The agent that would receive the secrets. */
  agentId: Scalars['ID']['input'];
  /** The milestone the agent would work on. Left out: only project-scoped entries apply. */
  milestoneId?: InputMaybe<Scalars['ID']['input']>;
  /**
   * The names to answer, at most 500. Left out: everything the agent may use, as at the start of
   * a coding session. An empty list: none.
   */
  names?: InputMaybe<Array<Scalars['String']['input']>>;
  /** The project the agent works on. */
  projectId: Scalars['ID']['input'];
  /**
   * Names the workspace already provides (BYOK), at most 10,000. They win: the vault neither
   * decrypts nor returns them.
   */
  providedNames?: InputMaybe<Array<Scalars['String']['input']>>;
};

/** A milestone and its phase. A bound left out or null is open. */
export type PutVaultMilestoneInput = {
  /** The first instant after the phase. */
  closesAt?: InputMaybe<Scalars['DateTime']['input']>;
  /** The id of the milestone. The id of another project's milestone is a CONFLICT. */
  id: Scalars['ID']['input'];
  /** The first instant of the phase. It must be before closesAt. */
  opensAt?: InputMaybe<Scalars['DateTime']['input']>;
  /** The project the milestone belongs to. */
  projectId: Scalars['ID']['input'];
};

/** A project that gets a vault. */
export type RegisterProjectVaultInput = {
  /** The people who are Accountable, at least one. Duplicates are ignored. */
  accountableUserIds: Array<Scalars['ID']['input']>;
  /** The organizations that take part, at least one. Duplicates are ignored. */
  participantIds: Array<Scalars['ID']['input']>;
  /** The id of the project. An id that has, or ever had, a vault is a CONFLICT. */
  projectId: Scalars['ID']['input'];
  /** The project's initial status. Default: ACTIVE. */
  status?: VaultProjectStatus;
};

/** The agent to resolve for, and the names it needs. */
export type ResolveSecretsInput = {
  /** The agent that receives the secrets. */
  agentId: Scalars['ID']['input'];
  /** The milestone the agent is working on. Left out: only project-scoped entries apply. */
  milestoneId?: InputMaybe<Scalars['ID']['input']>;
  /**
   * The names to answer, at most 500. Left out: everything the agent may use, as at the start of
   * a coding session. An empty list: none.
   */
  names?: InputMaybe<Array<Scalars['String']['input']>>;
  /** The project the agent works on. */
  projectId: Scalars['ID']['input'];
  /**
   * Names the workspace already provides (BYOK), at most 10,000. They win: the vault neither
   * decrypts nor returns them.
   */
  providedNames?: InputMaybe<Array<Scalars['String']['input']>>;
  /** What the secrets are for; it is recorded. */
  purpose: VaultResolvePurpose;
  /**
   * An X25519 public key, 32 bytes in base64url without padding, made for this call. With it,
   * values come as sealedValue, and nobody between the vault and the key's owner can read them.
   */
  recipientKey?: InputMaybe<Scalars['String']['input']>;
  /**
   * An id that connects the access records of one coding session: 1 to 200 printable ASCII
   * characters.
   */
  sessionId?: InputMaybe<Scalars['String']['input']>;
  /** The tool that needs the secrets, for TOOL_EXECUTION: 1 to 200 printable ASCII characters. */
  tool?: InputMaybe<Scalars['String']['input']>;
};

/** The version of an entry to bring back. */
export type RollbackVaultEntryInput = {
  /**
   * The revision the change is based on. Any other current revision is a CONFLICT. Left out: not
   * checked.
   */
  expectedRevision?: InputMaybe<Scalars['Int']['input']>;
  /** The id of the entry to roll back. */
  id: Scalars['ID']['input'];
  /**
   * The number of the version whose value is brought back. The current version is INVALID_INPUT;
   * one that is not kept any more is NOT_FOUND.
   */
  version: Scalars['Int']['input'];
};

/** A new value for an entry. */
export type RotateVaultEntryInput = {
  /**
   * The revision the change is based on. Any other current revision is a CONFLICT. Left out: not
   * checked.
   */
  expectedRevision?: InputMaybe<Scalars['Int']['input']>;
  /**
   * When the entry expires; it must be in the future. Left out: unchanged, which is
   * INVALID_INPUT when the entry has expired. Null: never. For a CERTIFICATE, left out and null
   * mean the new certificate's notAfter.
   */
  expiresAt?: InputMaybe<Scalars['DateTime']['input']>;
  /** The id of the entry to rotate. */
  id: Scalars['ID']['input'];
  /**
   * The value to store: 1 byte to 64 KiB of UTF-8 without NUL. For a CERTIFICATE it is PEM with
   * at least one certificate.
   */
  value: Scalars['String']['input'];
};

/** Why a session does not receive an entry. A resolve that asks for the name still receives it. */
export type SecretLeftOutReason =
  /**
   * The project's environmentNames is SUFFIXED, and the name has none of the endings and is
   * not approved.
   */
  | 'NAME_NOT_SUFFIXED'
  /**
   * The name is reserved: it makes programs find, configure or run code, or decides where
   * they send data.
   */
  | 'RESERVED_NAME';

/**
 * The answer for one name. Names are answered one by one; a missing one never fails the
 * others.
 */
export type SecretOutcome =
  /** The name belongs to an expired entry only. */
  | 'EXPIRED'
  /** No entry for this agent has the name. */
  | 'NOT_FOUND'
  /** The workspace provides the name itself; the vault decrypts nothing for it. */
  | 'PROVIDED_BY_WORKSPACE'
  /** The agent receives a value. */
  | 'RESOLVED';

/** Why a resolve would be refused as a whole. */
export type SecretsBlock =
  /**
   * The agent is unknown or not assigned to the project, or its organization does not take
   * part.
   */
  | 'AGENT_NOT_ASSIGNED'
  /** The agent is not assigned to the milestone, or the project has no such milestone. */
  | 'AGENT_NOT_ON_MILESTONE'
  /** The project's status is not ACTIVE. */
  | 'PROJECT_NOT_ACTIVE';

/** The new status of a project. */
export type SetProjectVaultStatusInput = {
  /** The project to change. */
  projectId: Scalars['ID']['input'];
  /** The status to set. Agents receive values only while it is ACTIVE. */
  status: VaultProjectStatus;
};

/** Which entry names reach a project's sessions. */
export type SetVaultEnvironmentNamesInput = {
  /**
   * Names that reach sessions whatever they end in: at most 100, none of them reserved. Left out
   * or null: unchanged. An empty list: none.
   */
  approvedNames?: InputMaybe<Array<Scalars['String']['input']>>;
  /** The rule that decides which names reach sessions. */
  environmentNames: VaultEnvironmentNames;
  /** The project to change. */
  projectId: Scalars['ID']['input'];
};

/**
 * Changes of an entry. A field left out keeps its value; null clears it where it is optional. The
 * category cannot change to or from CERTIFICATE.
 */
export type UpdateVaultEntryInput = {
  /** The new category. Null is INVALID_INPUT. The value's mask is never loosened by it. */
  category?: InputMaybe<VaultCategory>;
  /** The new note, up to 2,000 characters. Null removes it. */
  description?: InputMaybe<Scalars['String']['input']>;
  /**
   * The revision the change is based on. Any other current revision is a CONFLICT. Left out: not
   * checked.
   */
  expectedRevision?: InputMaybe<Scalars['Int']['input']>;
  /** When the entry expires. An instant in the past expires it now; null means never. */
  expiresAt?: InputMaybe<Scalars['DateTime']['input']>;
  /** The id of the entry to change. */
  id: Scalars['ID']['input'];
  /** The new name, by the rules of CreateVaultEntryInput.name. Null is INVALID_INPUT. */
  name?: InputMaybe<Scalars['String']['input']>;
  /** How often the value should be replaced, in days: 1 to 3,650. Null: rotation is never due. */
  rotationIntervalDays?: InputMaybe<Scalars['Int']['input']>;
};

/** An agent's assignment to a project or to one of its milestones. */
export type VaultAgentInput = {
  /** The agent to assign or to unassign. */
  agentId: Scalars['ID']['input'];
  /**
   * The milestone the agent works on. Assigning an agent to a milestone also assigns it to the
   * project. Left out: assign to the project only, or unassign from the project and all its
   * milestones.
   */
  milestoneId?: InputMaybe<Scalars['ID']['input']>;
  /** The project the agent works on. */
  projectId: Scalars['ID']['input'];
};

/** An agent and the organization it belongs to. */
export type VaultAgentRegistrationInput = {
  /** The agent to register. */
  agentId: Scalars['ID']['input'];
  /** The organization the agent belongs to. */
  organizationId: Scalars['ID']['input'];
};

/** An action that the vault records. */
export type VaultAuditAction =
  /** An operator discarded a change of permissions that was set aside. */
  | 'ACCESS_CHANGE_DISCARDED'
  /** An operator had a change of permissions tried again that was set aside. */
  | 'ACCESS_CHANGE_RETRIED'
  /** An agent was assigned to a project or milestone. */
  | 'AGENT_ASSIGNED'
  /** An agent was registered or moved. */
  | 'AGENT_REGISTERED'
  /** An agent was unassigned from a project or milestone. */
  | 'AGENT_UNASSIGNED'
  /** An agent was unregistered. */
  | 'AGENT_UNREGISTERED'
  /** A principal got the permission to read every audit event. */
  | 'AUDITOR_ADDED'
  /** A principal lost the permission to read every audit event. */
  | 'AUDITOR_REMOVED'
  /** An entry was created. */
  | 'ENTRY_CREATED'
  /** An entry was deleted; it can be restored. */
  | 'ENTRY_DELETED'
  /** An entry was disabled. */
  | 'ENTRY_DISABLED'
  /** A disabled entry was enabled. */
  | 'ENTRY_ENABLED'
  /** A deleted entry was erased. */
  | 'ENTRY_PURGED'
  /** A deleted entry was restored. */
  | 'ENTRY_RESTORED'
  /** An entry got the value of an earlier version again. */
  | 'ENTRY_ROLLED_BACK'
  /** An entry got a new value. */
  | 'ENTRY_ROTATED'
  /** An entry's properties were changed. */
  | 'ENTRY_UPDATED'
  /** A person asked what an import would change. */
  | 'IMPORT_PREVIEWED'
  /** Data keys or master keys were rotated. */
  | 'KEYS_ROTATED'
  /** A milestone's phase was ended. */
  | 'MILESTONE_CLOSED'
  /** A milestone was deleted with its entries. */
  | 'MILESTONE_DELETED'
  /** A milestone was created or its phase set. */
  | 'MILESTONE_PUT'
  /** An organization was added to a project. */
  | 'PARTICIPANT_ADDED'
  /** An organization was removed from a project. */
  | 'PARTICIPANT_REMOVED'
  /** A project's vault was erased. */
  | 'PROJECT_DELETED'
  /** The rule for names in a project's sessions, or its approved names, changed. */
  | 'PROJECT_ENVIRONMENT_CHANGED'
  /** A project got its vault. */
  | 'PROJECT_REGISTERED'
  /** A project's status was changed. */
  | 'PROJECT_STATUS_CHANGED'
  /** A service got the permission to manage projects. */
  | 'REGISTRAR_ADDED'
  /** A service lost the permission to manage projects. */
  | 'REGISTRAR_REMOVED'
  /** A person got a role. */
  | 'ROLE_ASSIGNED'
  /** A person lost a role. */
  | 'ROLE_REVOKED'
  /** A runtime was registered or moved. */
  | 'RUNTIME_REGISTERED'
  /** A runtime was unregistered. */
  | 'RUNTIME_UNREGISTERED'
  /** A person or a runtime asked what an agent would receive. */
  | 'SECRETS_PREVIEWED'
  /** An agent received a value or was refused one. */
  | 'SECRET_RESOLVED';

/** Selects audit events. A field left out or null filters nothing; an empty list matches nothing. */
export type VaultAuditFilter = {
  /** Events with one of these actions. */
  actions?: InputMaybe<Array<VaultAuditAction>>;
  /**
   * Events by one of these actors, each as in VaultAuditEvent.actor, such as user:alice; at most
   * 100.
   */
  actors?: InputMaybe<Array<Scalars['String']['input']>>;
  /** Events about this entry. */
  entryId?: InputMaybe<Scalars['ID']['input']>;
  /** Events with one of these outcomes. */
  outcomes?: InputMaybe<Array<VaultAuditOutcome>>;
  /** Events at or after this instant. */
  since?: InputMaybe<Scalars['DateTime']['input']>;
  /** Events before this instant. */
  until?: InputMaybe<Scalars['DateTime']['input']>;
};

/** How an audited action ended. */
export type VaultAuditOutcome =
  /** The action was done. */
  | 'ALLOWED'
  /** The caller had no permission for the action. */
  | 'DENIED'
  /** The caller had the permission, but the action could not be done. */
  | 'FAILED';

/** The kind of credential an entry holds. It decides how the value is masked. */
export type VaultCategory =
  /** A token that grants access, such as a personal access token. */
  | 'ACCESS_TOKEN'
  /** A key for an API. */
  | 'API_KEY'
  /** A PEM certificate, with or without its private key. It is always masked as `****`. */
  | 'CERTIFICATE'
  /** Any other kind of credential. */
  | 'OTHER'
  /** A password. It is always masked as `****`. */
  | 'PASSWORD'
  /** A secret of no more precise kind. */
  | 'SECRET'
  /** A secret that signs or checks webhooks. */
  | 'WEBHOOK_SECRET';

/** Selects entries. A field left out or null filters nothing; an empty list matches nothing. */
export type VaultEntryFilter = {
  /** Entries of one of these categories. */
  categories?: InputMaybe<Array<VaultCategory>>;
  /** Entries that expire before this instant and are neither disabled nor deleted. */
  expiresBefore?: InputMaybe<Scalars['DateTime']['input']>;
  /**
   * True: entries whose name keeps them out of sessions. False: entries whose name does not.
   * Neither matches DELETED entries.
   */
  leftOutOfSessions?: InputMaybe<Scalars['Boolean']['input']>;
  /** Entries of this milestone. */
  milestoneId?: InputMaybe<Scalars['ID']['input']>;
  /** A part of the name, in any letter case. `%` and `_` stand for themselves. */
  nameContains?: InputMaybe<Scalars['String']['input']>;
  /**
   * True: entries that no agent has ever received. False: entries that one has. FORBIDDEN below
   * Consulted.
   */
  neverResolved?: InputMaybe<Scalars['Boolean']['input']>;
  /** Entries whose rotation is due before this instant and that are neither disabled nor deleted. */
  rotationDueBefore?: InputMaybe<Scalars['DateTime']['input']>;
  /** Entries of the project itself (PROJECT) or of milestones (MILESTONE). */
  scope?: InputMaybe<VaultScope>;
  /**
   * Entries with one of these statuses. Left out: ACTIVE, EXPIRED and DISABLED. Only viewers who
   * are Accountable get DELETED entries.
   */
  statuses?: InputMaybe<Array<VaultEntryStatus>>;
};

/** The order of a list of entries. Entries that compare equal are ordered by id. */
export type VaultEntryOrder = {
  /** The direction to sort in. Default: ASC. */
  direction?: VaultSortDirection;
  /** The property to sort by. Default: NAME. */
  field?: VaultEntryOrderField;
};

/** The property that entries are sorted by. */
export type VaultEntryOrderField =
  /** The instant of creation. */
  | 'CREATED_AT'
  /** The instant of expiry; entries without one come last in either direction. */
  | 'EXPIRES_AT'
  /** The name, byte by byte. */
  | 'NAME'
  /** The instant of the last change. */
  | 'UPDATED_AT';

/** Whether agents can receive an entry, and if not why. */
export type VaultEntryStatus =
  /** Agents can receive the entry. */
  | 'ACTIVE'
  /**
   * The entry was deleted. It can be restored until the retention period ends (30 days by
   * default).
   */
  | 'DELETED'
  /** A person disabled the entry. */
  | 'DISABLED'
  /** The entry's expiresAt has passed. */
  | 'EXPIRED';

/** Which entry names reach a project's sessions, which are resolves without names. */
export type VaultEnvironmentNames =
  /** Every name that is not reserved. */
  | 'ANY'
  /**
   * Approved names, and names that end in _KEY, _TOKEN, _SECRET, _PASSWORD, _PAT, _CERT,
   * _URL, _USER, _ID and the like.
   */
  | 'SUFFIXED';

/** What an import would do with a line. */
export type VaultImportChange =
  /** The line creates an entry. */
  | 'CREATE'
  /** The line is refused, and with it the whole import. */
  | 'REFUSED'
  /** The line gives the entry of its name its value, as a new version. */
  | 'ROTATE'
  /** As ROTATE; the value has the masked value of the entry, so it is probably the same. */
  | 'SAME_MASK'
  /** The name is taken, and the line is left out. */
  | 'SKIP';

/** What an import does with a name that is already taken. */
export type VaultImportConflict =
  /** Nothing is imported, and the import is a CONFLICT. */
  | 'FAIL'
  /**
   * The existing entry gets the line's value as a new version. An expired entry is
   * INVALID_INPUT.
   */
  | 'ROTATE'
  /** The existing entry stays unchanged. */
  | 'SKIP';

/** A kind of key. */
export type VaultKeyKind =
  /** A data key, which encrypts the values of one project. */
  | 'DATA'
  /** A master key, which wraps the other keys. */
  | 'MASTER'
  /** The key that signs receipts and audit heads. */
  | 'SIGNING';

/** An organization to add to a project, or to remove from it. */
export type VaultParticipantInput = {
  /** The organization to add or to remove. */
  organizationId: Scalars['ID']['input'];
  /** The project the organization takes part in. */
  projectId: Scalars['ID']['input'];
};

/** The platform's status of a project. Agents receive values only while it is ACTIVE. */
export type VaultProjectStatus =
  /** Work is going on. */
  | 'ACTIVE'
  /** Work was given up. */
  | 'CANCELLED'
  /** Work is done. */
  | 'COMPLETED'
  /** Work is interrupted. */
  | 'PAUSED'
  /** Work has not begun. */
  | 'PLANNING';

/** The purpose of a resolve. */
export type VaultResolvePurpose =
  /** The environment of a sandbox, at the start of a coding session. */
  | 'CODING_SESSION'
  /** The secrets that one tool needs. */
  | 'TOOL_EXECUTION';

/**
 * A RACI role in a project. Strongest first, each includes the ones after it: Accountable,
 * Responsible, Consulted, Informed.
 */
export type VaultRole =
  /** Deletes and restores entries, manages roles and agents, and reads audit events. */
  | 'ACCOUNTABLE'
  /** Sees masked values, versions and usage. */
  | 'CONSULTED'
  /** Lists entries without their values. */
  | 'INFORMED'
  /** Creates and changes entries, and sees what agents would receive. */
  | 'RESPONSIBLE';

/** A person's role in a project, to assign or to revoke. */
export type VaultRoleInput = {
  /** The project the role is held in. */
  projectId: Scalars['ID']['input'];
  /** The role to assign or to revoke. */
  role: VaultRole;
  /** The person who gets or loses the role. */
  userId: Scalars['ID']['input'];
};

/** A runtime and the organization whose agents it serves. */
export type VaultRuntimeRegistrationInput = {
  /** The organization whose agents the runtime serves. */
  organizationId: Scalars['ID']['input'];
  /** The runtime to register: the `sub` of its tokens. */
  runtimeId: Scalars['ID']['input'];
};

/** Whether an entry belongs to a whole project or to one milestone. */
export type VaultScope =
  /** The entry belongs to one milestone, whose agents receive it during its phase only. */
  | 'MILESTONE'
  /** The entry belongs to the whole project. */
  | 'PROJECT';

/** The direction that a list is sorted in. */
export type VaultSortDirection =
  /** Smallest or oldest first. */
  | 'ASC'
  /** Largest or newest first. */
  | 'DESC';

/** The kind of an error that the caller can correct. */
export type VaultUserErrorCode =
  /** The current state does not allow the change, such as a name that is taken. */
  | 'CONFLICT'
  /** An input breaks a rule. */
  | 'INVALID_INPUT'
  /** The input or its result exceeds a limit. */
  | 'LIMIT_EXCEEDED'
  /** The object does not exist, or the caller may not see it. */
  | 'NOT_FOUND';

export type AuditEventFragment = { id: string, occurredAt: string, projectId: string | null, action: VaultAuditAction, outcome: VaultAuditOutcome, reason: string | null, count: number, actor: string, subject: string | null, role: VaultRole | null, entryId: string | null, entryName: string | null, entryVersion: number | null, milestoneId: string | null, purpose: VaultResolvePurpose | null, sessionId: string | null, tool: string | null, requestId: string, agent: { id: string } | null };

export type ProjectAuditQueryVariables = Exact<{
  projectId: Scalars['ID']['input'];
  first: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<VaultAuditFilter>;
}>;


export type ProjectAuditQuery = { projectVault: { auditEvents: { pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ id: string, occurredAt: string, projectId: string | null, action: VaultAuditAction, outcome: VaultAuditOutcome, reason: string | null, count: number, actor: string, subject: string | null, role: VaultRole | null, entryId: string | null, entryName: string | null, entryVersion: number | null, milestoneId: string | null, purpose: VaultResolvePurpose | null, sessionId: string | null, tool: string | null, requestId: string, agent: { id: string } | null }> } | null } | null };

export type InstallationAuditQueryVariables = Exact<{
  first: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<VaultAuditFilter>;
}>;


export type InstallationAuditQuery = { vaultAuditEvents: { pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ id: string, occurredAt: string, projectId: string | null, action: VaultAuditAction, outcome: VaultAuditOutcome, reason: string | null, count: number, actor: string, subject: string | null, role: VaultRole | null, entryId: string | null, entryName: string | null, entryVersion: number | null, milestoneId: string | null, purpose: VaultResolvePurpose | null, sessionId: string | null, tool: string | null, requestId: string, agent: { id: string } | null }> } | null };

export type InstallationQueryVariables = Exact<{ [key: string]: never; }>;


export type InstallationQuery = { vaultInstallation: { version: string, accessChangesSetAside: number, lastVerifiedAt: string | null, lastVerifiedIntact: boolean | null, parts: Array<{ name: string, ready: boolean }>, keys: Array<{ kind: VaultKeyKind, state: string, count: number }>, heads: Array<{ chainId: string, seq: string, signedAt: string }> } | null };

export type EntryRowFragment = { id: string, name: string, category: VaultCategory, scope: VaultScope, status: VaultEntryStatus, expiresAt: string | null, version: number, revision: number, rotationIntervalDays: number | null, rotationDueAt: string | null, updatedAt: string, leftOutOfSessions: SecretLeftOutReason | null, maskedValue?: string | null, lastResolvedAt?: string | null, resolveCount?: number | null, milestone: { id: string } | null, updatedBy: { id: string } };

export type EntriesQueryVariables = Exact<{
  projectId: Scalars['ID']['input'];
  first: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<VaultEntryFilter>;
  orderBy?: InputMaybe<VaultEntryOrder>;
  masked: Scalars['Boolean']['input'];
}>;


export type EntriesQuery = { projectVault: { entries: { totalCount: number, pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ id: string, name: string, category: VaultCategory, scope: VaultScope, status: VaultEntryStatus, expiresAt: string | null, version: number, revision: number, rotationIntervalDays: number | null, rotationDueAt: string | null, updatedAt: string, leftOutOfSessions: SecretLeftOutReason | null, maskedValue?: string | null, lastResolvedAt?: string | null, resolveCount?: number | null, milestone: { id: string } | null, updatedBy: { id: string } }> } | null } | null };

export type EntryQueryVariables = Exact<{
  id: Scalars['ID']['input'];
  masked: Scalars['Boolean']['input'];
  administer: Scalars['Boolean']['input'];
}>;


export type EntryQuery = { vaultEntry: { description: string | null, createdAt: string, id: string, name: string, category: VaultCategory, scope: VaultScope, status: VaultEntryStatus, expiresAt: string | null, version: number, revision: number, rotationIntervalDays: number | null, rotationDueAt: string | null, updatedAt: string, leftOutOfSessions: SecretLeftOutReason | null, maskedValue?: string | null, lastResolvedAt?: string | null, resolveCount?: number | null, project: { id: string }, createdBy: { id: string }, certificate: { subject: string, issuer: string, notBefore: string, notAfter: string, fingerprint: string } | null, versions?: { nodes: Array<{ version: number, maskedValue: string, createdAt: string, restoredFrom: number | null, createdBy: { id: string } }> } | null, exposures?: Array<{ since: string, lastReceivedAt: string, agent: { id: string } }> | null, milestone: { id: string } | null, updatedBy: { id: string } } | null };

export type ChangedEntryFragment = { entry: { id: string, name: string, version: number, revision: number, status: VaultEntryStatus } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> };

export type CreateEntryMutationVariables = Exact<{
  input: CreateVaultEntryInput;
}>;


export type CreateEntryMutation = { createVaultEntry: { entry: { id: string, name: string, version: number, revision: number, status: VaultEntryStatus } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type UpdateEntryMutationVariables = Exact<{
  input: UpdateVaultEntryInput;
}>;


export type UpdateEntryMutation = { updateVaultEntry: { entry: { id: string, name: string, version: number, revision: number, status: VaultEntryStatus } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type RotateEntryMutationVariables = Exact<{
  input: RotateVaultEntryInput;
}>;


export type RotateEntryMutation = { rotateVaultEntry: { entry: { id: string, name: string, version: number, revision: number, status: VaultEntryStatus } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type RollbackEntryMutationVariables = Exact<{
  input: RollbackVaultEntryInput;
}>;


export type RollbackEntryMutation = { rollbackVaultEntry: { entry: { id: string, name: string, version: number, revision: number, status: VaultEntryStatus } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type DisableEntryMutationVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type DisableEntryMutation = { disableVaultEntry: { entry: { id: string, name: string, version: number, revision: number, status: VaultEntryStatus } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type EnableEntryMutationVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type EnableEntryMutation = { enableVaultEntry: { entry: { id: string, name: string, version: number, revision: number, status: VaultEntryStatus } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type DeleteEntryMutationVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type DeleteEntryMutation = { deleteVaultEntry: { entry: { id: string, name: string, version: number, revision: number, status: VaultEntryStatus } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type RestoreEntryMutationVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type RestoreEntryMutation = { restoreVaultEntry: { entry: { id: string, name: string, version: number, revision: number, status: VaultEntryStatus } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type PurgeEntryMutationVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type PurgeEntryMutation = { purgeVaultEntry: { id: string | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type PreviewImportMutationVariables = Exact<{
  input: ImportVaultEntriesInput;
}>;


export type PreviewImportMutation = { previewVaultImport: { lines: Array<{ line: number, name: string | null, change: VaultImportChange | null, message: string | null, entry: { id: string, version: number, status: VaultEntryStatus } | null }>, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type ImportMutationVariables = Exact<{
  input: ImportVaultEntriesInput;
}>;


export type ImportMutation = { importVaultEntries: { skipped: Array<string>, created: Array<{ id: string }>, rotated: Array<{ id: string }>, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type MilestonesQueryVariables = Exact<{
  projectId: Scalars['ID']['input'];
  list: Scalars['Boolean']['input'];
}>;


export type MilestonesQuery = { projectVault: { milestones: Array<{ id: string, vaultPhase?: { open: boolean, opensAt: string | null, closesAt: string | null } | null, vaultEntries?: { totalCount: number } | null }> } | null };

export type CloseMilestoneMutationVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type CloseMilestoneMutation = { closeVaultMilestone: { milestone: { id: string, vaultPhase: { open: boolean, opensAt: string | null, closesAt: string | null } | null } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type PeopleQueryVariables = Exact<{
  projectId: Scalars['ID']['input'];
  members: Scalars['Boolean']['input'];
  agents: Scalars['Boolean']['input'];
  list: Scalars['Boolean']['input'];
}>;


export type PeopleQuery = { projectVault: { environmentNames: VaultEnvironmentNames, approvedNames?: Array<string> | null, participants: Array<{ id: string }>, milestones: Array<{ id: string }>, members?: Array<{ teamId: string | null, role: VaultRole, user: { id: string } | null }> | null, agents?: Array<{ agent: { id: string }, milestones: Array<{ id: string }> }> | null } | null };

export type AssignRoleMutationVariables = Exact<{
  input: VaultRoleInput;
}>;


export type AssignRoleMutation = { assignVaultRole: { member: { role: VaultRole } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type RevokeRoleMutationVariables = Exact<{
  input: VaultRoleInput;
}>;


export type RevokeRoleMutation = { revokeVaultRole: { member: { role: VaultRole } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type AssignAgentMutationVariables = Exact<{
  input: VaultAgentInput;
}>;


export type AssignAgentMutation = { assignVaultAgent: { assignment: { agent: { id: string } } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type UnassignAgentMutationVariables = Exact<{
  input: VaultAgentInput;
}>;


export type UnassignAgentMutation = { unassignVaultAgent: { assignment: { agent: { id: string } } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type SetEnvironmentNamesMutationVariables = Exact<{
  input: SetVaultEnvironmentNamesInput;
}>;


export type SetEnvironmentNamesMutation = { setVaultEnvironmentNames: { vault: { environmentNames: VaultEnvironmentNames, approvedNames: Array<string> | null } | null, userErrors: Array<{ code: VaultUserErrorCode, field: Array<string> | null, message: string }> } | null };

export type PreviewQueryVariables = Exact<{
  input: PreviewSecretsInput;
}>;


export type PreviewQuery = { previewSecrets: { blockedBy: Array<SecretsBlock>, secrets: Array<{ name: string, outcome: SecretOutcome, scope: VaultScope | null, expiresAt: string | null, entry: { id: string, version: number, milestone: { id: string } | null } | null }>, leftOut: Array<{ name: string, reason: SecretLeftOutReason }> } | null };

export type ViewerFragment = { role: VaultRole | null, canList: boolean, canViewMasked: boolean, canWrite: boolean, canAdminister: boolean, canAudit: boolean };

export type SummaryFieldsFragment = { active: number, expired: number, disabled: number, expiring: number, rotationDue: number, leftOutOfSessions: number, deleted?: number | null, neverUsed?: number | null };

export type ProjectsQueryVariables = Exact<{
  after?: InputMaybe<Scalars['String']['input']>;
}>;


export type ProjectsQuery = { vaultProjects: { totalCount: number, pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ status: VaultProjectStatus, project: { id: string }, viewer: { role: VaultRole | null, canList: boolean, canViewMasked: boolean, canWrite: boolean, canAdminister: boolean, canAudit: boolean } }> } | null };

export type ProjectQueryVariables = Exact<{
  projectId: Scalars['ID']['input'];
}>;


export type ProjectQuery = { projectVault: { status: VaultProjectStatus, project: { id: string }, viewer: { role: VaultRole | null, canList: boolean, canViewMasked: boolean, canWrite: boolean, canAdminister: boolean, canAudit: boolean }, milestones: Array<{ id: string }>, participants: Array<{ id: string }> } | null };

export type SummaryQueryVariables = Exact<{
  projectId: Scalars['ID']['input'];
  masked: Scalars['Boolean']['input'];
  administer: Scalars['Boolean']['input'];
}>;


export type SummaryQuery = { projectVault: { summary: { active: number, expired: number, disabled: number, expiring: number, rotationDue: number, leftOutOfSessions: number, deleted?: number | null, neverUsed?: number | null } | null } | null };
