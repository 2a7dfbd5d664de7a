/**
 * Who is signed in. The token lives in this module's memory alone: a reload signs out.
 *
 * @typedef {{ person: string, expiresAt: number | null, generation: number }} Session `person` is the
 *   token's subject; `expiresAt` is in milliseconds; `generation` grows with every sign-in
 * @typedef {{ session: Session | null, expired: boolean }} SessionState `expired` says that the session
 *   ended by itself, so that signing in again continues where it was
 * @typedef {() => Promise<string>} Renew gets the next token
 */

/** How long before its end a session is renewed, in milliseconds. */
const RENEW_BEFORE = 60_000;
/** The longest delay of a timer, in milliseconds; a longer one would fire at once. */
const MAX_DELAY = 2 ** 31 - 1;

/** @type {string | null} */
let token = null;
/** @type {SessionState} */
let state = { session: null, expired: false };
/** @type {Renew | null} */
let renew = null;
let generation = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @type {Set<() => void>} */
const listeners = new Set();

export const currentToken = () => token;
export const sessionState = () => state;

/** @param {() => void} listener @returns {() => void} ends the subscription */
export function onSession(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * Starts a session with a token.
 * @param {string} next a JWT; its signature is the server's to check
 * @param {Renew | null} [how] gets the next token without asking the person
 * @throws {TypeError} when it is not a JWT
 */
export function startSession(next, how = null) {
  const claims = readClaims(next);
  token = next;
  renew = how;
  const expiresAt = expiryOf(claims);
  const person = String(claims.sub ?? '');
  generation += 1;
  set({ session: { person, expiresAt, generation }, expired: false });
  schedule(expiresAt);
}

/** Ends the session because its token is not accepted any more. */
export function expireSession() {
  if (!token && state.expired) return;
  stop();
  set({ session: state.session, expired: true });
}

/** Ends the session because the person asked to. */
export function signOut() {
  stop();
  set({ session: null, expired: false });
}

/**
 * The claims of a JWT, unverified: to show whose it is and when it ends.
 * @param {string} jwt
 * @returns {Record<string, unknown>}
 */
export function readClaims(jwt) {
  const [, payload, ...rest] = jwt.split('.');
  if (!payload || rest.length !== 1) throw new TypeError('not a JWT');
  try {
    const bytes =
      Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    if (claims && typeof claims === 'object') return claims;
  } catch {
    // Answered below.
  }
  throw new TypeError('not a JWT');
}

/**
 * When a token expires, in milliseconds; null when it does not say.
 * @param {Record<string, unknown>} claims
 */
function expiryOf(claims) {
  return typeof claims.exp === 'number' ? claims.exp * 1000 : null;
}

/** @param {number | null} expiresAt */
function schedule(expiresAt) {
  clearTimeout(timer);
  if (expiresAt === null) return;
  const before = renew ? RENEW_BEFORE : 0;
  const delay = Math.min(MAX_DELAY, Math.max(0, expiresAt - Date.now() - before));
  timer = setTimeout(() => (renew ? renewSession(renew) : expireSession()), delay);
}

/** @param {Renew} how */
async function renewSession(how) {
  const was = generation;
  try {
    const next = await how();
    if (generation !== was || !token) return;
    const claims = readClaims(next);
    token = next;
    const expiresAt = expiryOf(claims);
    // The generation stays: what is on the screen is still right.
    if (state.session) set({ session: { ...state.session, expiresAt }, expired: false });
    // A provider whose tokens end at once would be asked without a pause.
    schedule(expiresAt === null ? null : Math.max(expiresAt, Date.now() + 2 * RENEW_BEFORE));
  } catch {
    if (generation === was) {
      renew = null;
      schedule(state.session?.expiresAt ?? null);
    }
  }
}

function stop() {
  clearTimeout(timer);
  token = null;
  renew = null;
}

/** @param {SessionState} next */
function set(next) {
  state = next;
  for (const listener of listeners) listener();
}
