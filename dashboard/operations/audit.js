/** @import * as T from '../types/graphql' */
import { operation } from '../api.js';

const event = /* GraphQL */ `
  fragment AuditEvent on VaultAuditEvent {
    id occurredAt projectId action outcome reason count actor subject role
    agent { id }
    entryId entryName entryVersion milestoneId purpose sessionId tool requestId
  }
`;

/** @type {T.Operation<T.ProjectAuditQuery, T.ProjectAuditQueryVariables>} */
export const ProjectAudit = operation(/* GraphQL */ `
  query ProjectAudit($projectId: ID!, $first: Int!, $after: String, $filter: VaultAuditFilter) {
    projectVault(projectId: $projectId) {
      auditEvents(first: $first, after: $after, filter: $filter) {
        pageInfo { hasNextPage endCursor }
        nodes { ...AuditEvent }
      }
    }
  }
  ${event}
`);

/** @type {T.Operation<T.InstallationAuditQuery, T.InstallationAuditQueryVariables>} */
export const InstallationAudit = operation(/* GraphQL */ `
  query InstallationAudit($first: Int!, $after: String, $filter: VaultAuditFilter) {
    vaultAuditEvents(first: $first, after: $after, filter: $filter) {
      pageInfo { hasNextPage endCursor }
      nodes { ...AuditEvent }
    }
  }
  ${event}
`);

/** @type {T.Operation<T.InstallationQuery, T.InstallationQueryVariables>} */
export const Installation = operation(/* GraphQL */ `
  query Installation {
    vaultInstallation {
      version
      parts { name ready }
      accessChangesSetAside
      keys { kind state count }
      heads { chainId seq signedAt }
      lastVerifiedAt
      lastVerifiedIntact
    }
  }
`);
