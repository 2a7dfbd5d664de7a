/** @import * as T from '../types/graphql' */
import { operation } from '../api.js';

/** @type {T.Operation<T.MilestonesQuery, T.MilestonesQueryVariables>} */
export const Milestones = operation(/* GraphQL */ `
  query Milestones($projectId: ID!, $list: Boolean!) {
    projectVault(projectId: $projectId) {
      milestones {
        id
        vaultPhase @include(if: $list) { open opensAt closesAt }
        vaultEntries(first: 0) @include(if: $list) { totalCount }
      }
    }
  }
`);

/** @type {T.Operation<T.CloseMilestoneMutation, T.CloseMilestoneMutationVariables>} */
export const CloseMilestone = operation(/* GraphQL */ `
  mutation CloseMilestone($id: ID!) {
    closeVaultMilestone(id: $id) {
      milestone { id vaultPhase { open opensAt closesAt } }
      userErrors { code field message }
    }
  }
`);

/** @type {T.Operation<T.PeopleQuery, T.PeopleQueryVariables>} */
export const People = operation(/* GraphQL */ `
  query People($projectId: ID!, $members: Boolean!, $agents: Boolean!, $list: Boolean!) {
    projectVault(projectId: $projectId) {
      environmentNames
      approvedNames @include(if: $list)
      participants { id }
      milestones { id }
      members @include(if: $members) { user { id } teamId role }
      agents @include(if: $agents) { agent { id } milestones { id } }
    }
  }
`);

/** @type {T.Operation<T.AssignRoleMutation, T.AssignRoleMutationVariables>} */
export const AssignRole = operation(/* GraphQL */ `
  mutation AssignRole($input: VaultRoleInput!) {
    assignVaultRole(input: $input) { member { role } userErrors { code field message } }
  }
`);

/** @type {T.Operation<T.RevokeRoleMutation, T.RevokeRoleMutationVariables>} */
export const RevokeRole = operation(/* GraphQL */ `
  mutation RevokeRole($input: VaultRoleInput!) {
    revokeVaultRole(input: $input) { member { role } userErrors { code field message } }
  }
`);

/** @type {T.Operation<T.AssignAgentMutation, T.AssignAgentMutationVariables>} */
export const AssignAgent = operation(/* GraphQL */ `
  mutation AssignAgent($input: VaultAgentInput!) {
    assignVaultAgent(input: $input) { assignment { agent { id } } userErrors { code field message } }
  }
`);

/** @type {T.Operation<T.UnassignAgentMutation, T.UnassignAgentMutationVariables>} */
export const UnassignAgent = operation(/* GraphQL */ `
  mutation UnassignAgent($input: VaultAgentInput!) {
    unassignVaultAgent(input: $input) { assignment { agent { id } } userErrors { code field message } }
  }
`);

/** @type {T.Operation<T.SetEnvironmentNamesMutation, T.SetEnvironmentNamesMutationVariables>} */
export const SetEnvironmentNames = operation(/* GraphQL */ `
  mutation SetEnvironmentNames($input: SetVaultEnvironmentNamesInput!) {
    setVaultEnvironmentNames(input: $input) {
      vault { environmentNames approvedNames }
      userErrors { code field message }
    }
  }
`);

/** @type {T.Operation<T.PreviewQuery, T.PreviewQueryVariables>} */
export const Preview = operation(/* GraphQL */ `
  query Preview($input: PreviewSecretsInput!) {
    previewSecrets(input: $input) {
      blockedBy
      secrets { name outcome scope expiresAt entry { id milestone { id } version } }
      leftOut { name reason }
    }
  }
`);
