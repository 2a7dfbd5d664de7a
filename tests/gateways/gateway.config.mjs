// Hive's gateway in front of the vault.
import { defineConfig } from '@graphql-hive/gateway';

export const gatewayConfig = defineConfig({
  // The caller's token goes to every subgraph: the vault decides by it, not by the gateway.
  propagateHeaders: {
    fromClientToSubgraphs: ({ request }) => ({
      authorization: request.headers.get('authorization'),
      'x-request-id': request.headers.get('x-request-id'),
      traceparent: request.headers.get('traceparent'),
    }),
  },
  // Errors reach the client as the subgraphs tell them, with their codes; the vault's hold nothing of its inside.
  maskedErrors: false,
});
