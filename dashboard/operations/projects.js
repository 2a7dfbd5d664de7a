/** @import * as T from '../types/graphql' */
import { operation } from '../api.js';

const viewer = /* GraphQL */ `
  fragment Viewer on VaultViewer { role canList canViewMasked canWrite canAdminister canAudit }
`;

const summary = /* GraphQL */ `
  fragment SummaryFields on VaultSummary {
    active expired disabled expiring rotationDue leftOutOfSessions
    deleted @include(if: $administer)
    neverUsed @include(if: $masked)
  }
`;

/** @type {T.Operation<T.ProjectsQuery, T.ProjectsQueryVariables>} */
export const Projects = operation(/* GraphQL */ `
  query Projects($after: String) {
    vaultProjects(first: 50, after: $after) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes {
        project { id }
        status
        viewer { ...Viewer }
      }
    }
  }
  ${viewer}
`);

/** @type {T.Operation<T.ProjectQuery, T.ProjectQueryVariables>} */
export const Project = operation(/* GraphQL */ `
  query Project($projectId: ID!) {
    projectVault(projectId: $projectId) {
      project { id }
      status
      viewer { ...Viewer }
      milestones { id }
      participants { id }
    }
  }
  ${viewer}
`);

/** @type {T.Operation<T.SummaryQuery, T.SummaryQueryVariables>} */
export const Summary = operation(/* GraphQL */ `
  query Summary($projectId: ID!, $masked: Boolean!, $administer: Boolean!) {
    projectVault(projectId: $projectId) {
      summary { ...SummaryFields }
    }
  }
  ${summary}
`);
