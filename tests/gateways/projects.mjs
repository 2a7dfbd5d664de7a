// The subgraph of the platform that owns projects, as small as it can be.
import { readFileSync } from 'node:fs';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';

export const sdl = readFileSync(new URL('projects.graphql', import.meta.url), 'utf8');

const named = (id) => ({ id, displayName: id });
const milestone = (id) => ({ id, title: `Milestone ${id}` });
const pinned = new Map();
const project = (id) => ({
  id,
  title: `Project ${id}`,
  milestones: id === 'demo' ? [milestone('demo-launch')] : [],
  pinnedEntry: pinned.has(id) ? { id: pinned.get(id) } : null,
});
const pin = (projectId, entryId) => {
  pinned.set(projectId, entryId);
  return project(projectId);
};
const entity = (make) => ({ __resolveReference: ({ id }) => make(id) });

/** Starts it, on a free port of the loopback address unless another is named. */
export async function startProjects({ host = '127.0.0.1', port = 0 } = {}) {
  const resolvers = {
    Query: { project: (_, { id }) => project(id), projects: () => ['demo', 'nowhere'].map(project) },
    Mutation: { pinEntry: (_, { projectId, entryId }) => pin(projectId, entryId) },
    Project: entity(project),
    Milestone: entity(milestone),
    User: entity(named),
    Agent: entity(named),
    Organization: entity(named),
  };
  const server = new ApolloServer({ schema: buildSubgraphSchema({ typeDefs: parse(sdl), resolvers }) });
  const { url } = await startStandaloneServer(server, { listen: { port, host } });
  return { url, stop: () => server.stop() };
}
