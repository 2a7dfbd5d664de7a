/** The ways to sign in. */
import { config } from './config.js';
import { startSession } from './session.js';

/** @returns {Promise<typeof import('./oidc.js')>} it is large, and few installations of `dev` need it */
const oidc = () => import('./oidc.js');

/** Signs in as one of the people of a `dev` vault. @param {string} person */
export async function signInAs(person) {
  const response = await fetch('/dashboard/sign-in', {
    method: 'POST',
    redirect: 'error',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ person }),
    cache: 'no-store',
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  /** @type {{ token: string }} */
  const { token } = await response.json();
  startSession(token);
}

/**
 * Signs in with a token that the person pasted.
 * @param {string} token
 * @throws {TypeError} when it is no JWT
 */
export function signInWithToken(token) {
  startSession(token.trim());
}

/** Sends the person to the identity provider; `popup` keeps this page as it is. @param {boolean} popup */
export async function signInWithProvider(popup) {
  const { signIn } = config();
  if (signIn.kind !== 'oidc') return;
  await (await oidc()).signIn(signIn, popup);
}

/**
 * Takes the provider's answer out of the address, if it is there.
 * @returns {Promise<boolean>} whether this window was only there to sign in, and closes
 */
export async function finishSignIn() {
  const { signIn } = config();
  if (signIn.kind !== 'oidc') return false;
  const answer = new URLSearchParams(location.search);
  if (!answer.has('state') || !(answer.has('code') || answer.has('error'))) return false;
  return (await oidc()).finish(signIn, new URL(location.href));
}

/** Signs out at the provider too, where it offers that. */
export async function signOutAtProvider() {
  const { signIn } = config();
  if (signIn.kind === 'oidc') await (await oidc()).signOut(signIn);
}
