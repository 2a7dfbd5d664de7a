// Behind Apollo's gateway.
import { after, before } from 'node:test';
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { behind } from './behind.mjs';
import { composeApollo } from './compose.mjs';
import { sdl, startProjects } from './projects.mjs';
import { startVault } from './vault.mjs';

let vault, projects, server, url;
before(async () => {
  [vault, projects] = await Promise.all([startVault(), startProjects()]);
  const { supergraphSdl } = composeApollo([
    { name: 'projects', url: projects.url, sdl },
    { name: 'vault', url: vault.url, sdl: await vault.sdl() },
  ]);
  const gateway = new ApolloGateway({
    supergraphSdl,
    // The caller's token goes to every subgraph.
    buildService: ({ url }) => new RemoteGraphQLDataSource({
      url,
      willSendRequest: ({ request, context }) => {
        if (context.authorization) request.http.headers.set('authorization', context.authorization);
      },
    }),
  });
  server = new ApolloServer({ gateway });
  ({ url } = await startStandaloneServer(server, {
    listen: { port: 0, host: '127.0.0.1' },
    context: async ({ req }) => ({ authorization: req.headers.authorization }),
  }));
});
after(async () => {
  await server?.stop();
  await Promise.all([vault?.stop(), projects?.stop()]);
});

behind('apollo', () => ({ url, vault }));
