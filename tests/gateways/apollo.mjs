// Apollo's gateway, as an operator of it would write it.
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { composeApollo } from './compose.mjs';

/**
 * What clients are told of an error. As it comes, the gateway tells them a subgraph's internal URL and body when it answers 401, and its
 * address when it does not answer: this keeps to what the subgraph itself says.
 */
export function withoutInside({ extensions: { response, serviceName, ...extensions } = {}, ...error }) {
  const [told] = response?.body?.errors ?? [];
  if (told) return { ...error, message: told.message, extensions: told.extensions };
  if (extensions.code === 'INTERNAL_SERVER_ERROR') return { ...error, message: 'A part of the graph does not answer; try again.', extensions };
  return { ...error, extensions };
}

/** Starts it over these subgraphs; `headers` says what each is sent. */
export async function startApollo(subgraphs, { headers, ...options }) {
  const { supergraphSdl, errors } = composeApollo(subgraphs);
  if (errors.length) throw new Error(errors.join('\n'));
  const gateway = new ApolloGateway({
    supergraphSdl,
    buildService: ({ url }) => new RemoteGraphQLDataSource({
      url,
      willSendRequest: ({ request, context }) => {
        for (const [name, value] of Object.entries(headers({ url, context }))) request.http.headers.set(name, value);
      },
    }),
  });
  const server = new ApolloServer({ gateway, formatError: withoutInside, includeStacktraceInErrorResponses: false, ...options });
  const { url } = await startStandaloneServer(server, {
    listen: { port: 0, host: '127.0.0.1' },
    context: async ({ req }) => ({ authorization: req.headers.authorization }),
  });
  return { url, stop: () => server.stop() };
}
