// Apollo's gateway, as an operator of it would write it.
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { composeApollo } from './compose.mjs';

/** When a subgraph answers 401, the gateway tells the client its internal URL and its body: this keeps the code alone. */
export function withoutInside({ extensions: { response, serviceName, ...extensions } = {}, ...error }) {
  const [inner] = response?.body?.errors ?? [];
  return inner ? { ...error, message: inner.message, extensions: inner.extensions } : { ...error, extensions };
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
