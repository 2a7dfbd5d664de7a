/** @import * as T from '../types/graphql' */
import { operation } from '../api.js';

/** What a row of the grid and the head of an entry's page show. */
const row = /* GraphQL */ `
  fragment EntryRow on VaultEntry {
    id
    name
    category
    scope
    milestone { id }
    status
    expiresAt
    version
    revision
    rotationIntervalDays
    rotationDueAt
    updatedAt
    updatedBy { id }
    leftOutOfSessions
    maskedValue @include(if: $masked)
    lastResolvedAt @include(if: $masked)
    resolveCount @include(if: $masked)
  }
`;

/** @type {T.Operation<T.EntriesQuery, T.EntriesQueryVariables>} */
export const Entries = operation(/* GraphQL */ `
  query Entries(
    $projectId: ID!, $first: Int!, $after: String, $filter: VaultEntryFilter, $orderBy: VaultEntryOrder,
    $masked: Boolean!
  ) {
    projectVault(projectId: $projectId) {
      entries(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
        totalCount
        pageInfo { hasNextPage endCursor }
        nodes { ...EntryRow }
      }
    }
  }
  ${row}
`);

/** @type {T.Operation<T.EntryQuery, T.EntryQueryVariables>} */
export const Entry = operation(/* GraphQL */ `
  query Entry($id: ID!, $masked: Boolean!, $administer: Boolean!) {
    vaultEntry(id: $id) {
      ...EntryRow
      project { id }
      description
      createdAt
      createdBy { id }
      certificate { subject issuer notBefore notAfter fingerprint }
      versions(first: 10) @include(if: $masked) {
        nodes { version maskedValue createdAt createdBy { id } restoredFrom }
      }
      exposures @include(if: $administer) { agent { id } since lastReceivedAt }
    }
  }
  ${row}
`);

/** The payload's fields after a change: enough for a message and the next expectedRevision. */
const changed = /* GraphQL */ `
  fragment ChangedEntry on VaultEntryPayload {
    entry { id name version revision status }
    userErrors { code field message }
  }
`;

/** @type {T.Operation<T.CreateEntryMutation, T.CreateEntryMutationVariables>} */
export const CreateEntry = operation(/* GraphQL */ `
  mutation CreateEntry($input: CreateVaultEntryInput!) { createVaultEntry(input: $input) { ...ChangedEntry } }
  ${changed}
`);

/** @type {T.Operation<T.UpdateEntryMutation, T.UpdateEntryMutationVariables>} */
export const UpdateEntry = operation(/* GraphQL */ `
  mutation UpdateEntry($input: UpdateVaultEntryInput!) { updateVaultEntry(input: $input) { ...ChangedEntry } }
  ${changed}
`);

/** @type {T.Operation<T.RotateEntryMutation, T.RotateEntryMutationVariables>} */
export const RotateEntry = operation(/* GraphQL */ `
  mutation RotateEntry($input: RotateVaultEntryInput!) { rotateVaultEntry(input: $input) { ...ChangedEntry } }
  ${changed}
`);

/** @type {T.Operation<T.RollbackEntryMutation, T.RollbackEntryMutationVariables>} */
export const RollbackEntry = operation(/* GraphQL */ `
  mutation RollbackEntry($input: RollbackVaultEntryInput!) {
    rollbackVaultEntry(input: $input) { ...ChangedEntry }
  }
  ${changed}
`);

/** @type {T.Operation<T.DisableEntryMutation, T.DisableEntryMutationVariables>} */
export const DisableEntry = operation(/* GraphQL */ `
  mutation DisableEntry($id: ID!) { disableVaultEntry(id: $id) { ...ChangedEntry } }
  ${changed}
`);

/** @type {T.Operation<T.EnableEntryMutation, T.EnableEntryMutationVariables>} */
export const EnableEntry = operation(/* GraphQL */ `
  mutation EnableEntry($id: ID!) { enableVaultEntry(id: $id) { ...ChangedEntry } }
  ${changed}
`);

/** @type {T.Operation<T.DeleteEntryMutation, T.DeleteEntryMutationVariables>} */
export const DeleteEntry = operation(/* GraphQL */ `
  mutation DeleteEntry($id: ID!) { deleteVaultEntry(id: $id) { ...ChangedEntry } }
  ${changed}
`);

/** @type {T.Operation<T.RestoreEntryMutation, T.RestoreEntryMutationVariables>} */
export const RestoreEntry = operation(/* GraphQL */ `
  mutation RestoreEntry($id: ID!) { restoreVaultEntry(id: $id) { ...ChangedEntry } }
  ${changed}
`);

/** @type {T.Operation<T.PurgeEntryMutation, T.PurgeEntryMutationVariables>} */
export const PurgeEntry = operation(/* GraphQL */ `
  mutation PurgeEntry($id: ID!) { purgeVaultEntry(id: $id) { id userErrors { code field message } } }
`);
