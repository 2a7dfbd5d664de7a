/**
 * @typedef {{ kind: 'people', people: { id: string, about: string }[] }
 *   | { kind: 'oidc', issuer: string, clientId: string, scope: string, audience: string }
 *   | { kind: 'token' }} SignIn how people sign in here
 * @typedef {{ graphql: string, version: string, keys: string, signIn: SignIn }} Config what the
 *   server says about itself; `graphql` and `keys` are URLs
 */

/** @type {Config | undefined} */
let loaded;

/** @returns {Promise<Config>} */
export async function loadConfig() {
  const response = await fetch('/dashboard/config.json', { cache: 'no-store' });
  if (!response.ok) throw new Error(`config.json: HTTP ${response.status}`);
  loaded = await response.json();
  return config();
}

/** The configuration; `loadConfig` has ended before any view is drawn. */
export function config() {
  if (!loaded) throw new Error('the configuration is not loaded');
  return loaded;
}
