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
  // maskedErrors stays on, as it is by default: errors that the vault answers pass with their codes, and when it does not answer, clients
  // are told neither where it is nor what was sent, which may be a secret.
});
