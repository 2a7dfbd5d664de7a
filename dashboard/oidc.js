/**
 * OpenID Connect: authorization code with PKCE (RFC 7636), as a public client. The verifier waits in
 * sessionStorage while the person is at the provider; tokens are never stored.
 *
 * A first sign-in leaves the page. When a session has ended, a pop-up signs in, so that the page keeps
 * what was typed; it hands the provider's answer over by a BroadcastChannel, which also works where
 * Cross-Origin-Opener-Policy has cut the two windows apart.
 *
 * @typedef {{ issuer: string, clientId: string, scope: string, audience: string }} Provider the vault takes a
 *   token for a person's by its `audience`
 * @typedef {{ state: string, nonce: string, verifier: string, hash: string }} Pending
 */
import { readClaims, startSession } from './session.js';
import { text } from './text.js';
import * as oauth from './vendor/oauth4webapi.js';

const STORED = 'vault-sign-in';
const CHANNEL = 'vault-sign-in';

/** Waits for a pop-up's answer. @type {BroadcastChannel | undefined} */
let waiting;
/** @type {oauth.AuthorizationServer | undefined} */
let discovered;

/** Plain HTTP is for providers on this machine, in trials. @param {string} issuer */
function options(issuer) {
  const { protocol, hostname } = new URL(issuer);
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  return { [oauth.allowInsecureRequests]: protocol === 'http:' && local };
}

/** @param {Provider} provider */
async function discover({ issuer }) {
  const url = new URL(issuer);
  discovered ??= await oauth.processDiscoveryResponse(url,
    await oauth.discoveryRequest(url, options(issuer)));
  return discovered;
}

const redirectUri = () => `${location.origin}/`;

/** @param {Provider} provider @param {boolean} popup */
export async function signIn(provider, popup) {
  // A window that opens after an await would be blocked.
  const child = popup ? window.open('', '_blank', 'popup,width=480,height=680') : null;
  if (popup && !child) throw new Error(text.session.popupBlocked);
  const server = await discover(provider);
  if (!server.authorization_endpoint) throw new Error(text.session.failed);
  const verifier = oauth.generateRandomCodeVerifier();
  const pending = {
    state: `${popup ? 'popup' : 'page'}.${oauth.generateRandomState()}`,
    nonce: oauth.generateRandomNonce(),
    verifier,
    hash: location.hash,
  };
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    ...Object.fromEntries(url.searchParams),
    client_id: provider.clientId,
    redirect_uri: redirectUri(),
    response_type: 'code',
    scope: provider.scope,
    state: pending.state,
    nonce: pending.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }).toString();
  if (child) {
    const answer = awaitAnswer(child, pending.state);
    child.location.href = url.href;
    return exchange(provider, await answer, pending);
  }
  sessionStorage.setItem(STORED, JSON.stringify(pending));
  location.assign(url);
  // The page is about to go.
  return new Promise(() => {});
}

/**
 * The address that the provider sent the pop-up to. The promise stays open when the person closes the
 * pop-up, which this page cannot see; signing in again opens another one.
 * @param {Window} child
 * @param {string} state
 * @returns {Promise<URL>}
 */
function awaitAnswer(child, state) {
  waiting?.close();
  const channel = new BroadcastChannel(CHANNEL);
  waiting = channel;
  return new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      const answer = new URL(String(data));
      if (answer.searchParams.get('state') !== state) return;
      channel.close();
      child.close();
      resolve(answer);
    };
  });
}

/**
 * @param {Provider} provider
 * @param {URL} answer
 * @returns {Promise<boolean>} whether this window closes
 */
export async function finish(provider, answer) {
  if (answer.searchParams.get('state')?.startsWith('popup.')) {
    const channel = new BroadcastChannel(CHANNEL);
    channel.postMessage(answer.href);
    channel.close();
    window.close();
    return true;
  }
  const stored = sessionStorage.getItem(STORED);
  sessionStorage.removeItem(STORED);
  /** @type {Pending | null} */
  const pending = stored ? JSON.parse(stored) : null;
  // The code leaves the address and the history at once.
  history.replaceState(null, '', `/${pending?.hash ?? ''}`);
  if (!pending) return false;
  await exchange(provider, answer, pending);
  return false;
}

/** @param {Provider} provider @param {URL} answer @param {Pending} pending */
async function exchange(provider, answer, pending) {
  const server = await discover(provider);
  const client = { client_id: provider.clientId };
  const parameters = oauth.validateAuthResponse(server, client, answer, pending.state);
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, oauth.None(), parameters, redirectUri(), pending.verifier, options(provider.issuer),
  );
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
    expectedNonce: pending.nonce,
    requireIdToken: true,
  });
  accept(provider, tokens);
}

/** @param {Provider} provider @param {oauth.TokenEndpointResponse} tokens */
function accept(provider, tokens) {
  const refresh = tokens.refresh_token;
  startSession(forVault(provider, tokens), refresh ? renewer(provider, refresh) : null);
}

/**
 * Gets new tokens with a refresh token, which the provider may replace each time.
 * @param {Provider} provider
 * @param {string} refresh
 */
function renewer(provider, refresh) {
  return async () => {
    const server = await discover(provider);
    const client = { client_id: provider.clientId };
    const response =
      await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refresh, options(provider.issuer));
    const tokens = await oauth.processRefreshTokenResponse(server, client, response);
    refresh = tokens.refresh_token ?? refresh;
    return forVault(provider, tokens);
  };
}

/**
 * The token that names the vault as its audience.
 * @param {Provider} provider
 * @param {oauth.TokenEndpointResponse} tokens
 */
function forVault({ audience }, { access_token: access, id_token: id }) {
  const token = [access, id].find((token) => token && audiences(token).includes(audience));
  // One for another API is nothing that the vault or a gateway may see.
  if (!token) throw new Error(text.session.noToken(audience));
  return token;
}

/** @param {string} token @returns {unknown[]} */
function audiences(token) {
  try {
    return [readClaims(token).aud].flat();
  } catch {
    return [];
  }
}

/**
 * Ends the provider's session, after asking the person. A hint with their token would save the question,
 * but the token would be in an address.
 * @param {Provider} provider
 */
export async function signOut(provider) {
  const server = await discover(provider);
  if (!server.end_session_endpoint) return;
  const url = new URL(server.end_session_endpoint);
  url.searchParams.set('client_id', provider.clientId);
  url.searchParams.set('post_logout_redirect_uri', redirectUri());
  location.assign(url);
}
