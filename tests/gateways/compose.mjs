// Composition with the two implementations that gateways use.
import { composeServices } from '@apollo/composition';
import { composeServices as composeHive, compositionHasErrors } from '@theguild/federation-composition';
import { parse } from 'graphql';

/** The supergraph of these subgraphs, by Apollo; its errors and hints. */
export function composeApollo(subgraphs) {
  const services = subgraphs.map(({ name, url, sdl }) => ({ name, url, typeDefs: parse(sdl) }));
  const { supergraphSdl, errors = [], hints = [] } = composeServices(services);
  return {
    supergraphSdl,
    errors: errors.map((error) => error.message),
    hints: hints.map((hint) => `${hint.definition.code}: ${hint.message}`),
  };
}

/** The same by The Guild. */
export function composeGuild(subgraphs) {
  const result = composeHive(subgraphs.map(({ name, url, sdl }) => ({ name, url, typeDefs: parse(sdl) })));
  const errors = compositionHasErrors(result) ? result.errors.map((error) => error.message) : [];
  return { supergraphSdl: result.supergraphSdl, errors };
}
