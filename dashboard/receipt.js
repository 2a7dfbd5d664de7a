/**
 * Verifies receipts in the page: compact JWS (RFC 7515) signed with Ed25519 (RFC 8037), as docs/security.md
 * describes them.
 */
import { config } from './config.js';
import { text } from './text.js';

/**
 * @typedef {{ good: true, kind: string, kid: string, claims: Record<string, unknown> } | { good: false,
 *   reason: keyof typeof text.receipt.reasons }} Verdict
 */

/** @param {string} part @returns {Uint8Array<ArrayBuffer>} @throws when it is not base64url */
function decode(part) {
  if (!/^[\w-]+$/.test(part)) throw new TypeError('not base64url');
  return Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (char) => char.charCodeAt(0));
}

/** @param {string} part */
const decodeJson = (part) => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(decode(part)));

/**
 * @param {string} receipt
 * @returns {{ header: Record<string, unknown>, claims: Record<string, unknown>, signed: string, signature:
 *   Uint8Array<ArrayBuffer> } | null}
 */
function parse(receipt) {
  const parts = receipt.replace(/\s+/g, '').split('.');
  const [header, payload, signature] = parts;
  if (parts.length !== 3 || !header || !payload || !signature) return null;
  try {
    return { header: decodeJson(header), claims: decodeJson(payload), signed: `${header}.${payload}`,
      signature: decode(signature) };
  } catch {
    return null;
  }
}

/** @returns {Promise<(JsonWebKey & { kid?: string })[]>} */
async function readKeys() {
  const response = await fetch(config().keys, { cache: 'no-store', credentials: 'omit' });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return (await response.json()).keys;
}

/** @param {string} receipt @returns {Promise<Verdict>} */
export async function verifyReceipt(receipt) {
  const parsed = parse(receipt);
  const kind = String(parsed?.header.typ);
  if (!parsed || parsed.header.alg !== 'EdDSA' || !(kind in text.receipt.kinds)) return { good: false,
    reason: 'form' };
  let keys;
  try {
    keys = await readKeys();
  } catch {
    return { good: false, reason: 'keys' };
  }
  const jwk = keys.find((key) => key.kid === parsed.header.kid && key.kty === 'OKP' && key.crv === 'Ed25519');
  if (!jwk) return { good: false, reason: 'key' };
  let valid;
  try {
    const key =
      await crypto.subtle.importKey('jwk', { kty: 'OKP', crv: 'Ed25519', x: jwk.x }, 'Ed25519', false,
        ['verify']);
    valid = await crypto.subtle.verify('Ed25519', key, parsed.signature,
      new TextEncoder().encode(parsed.signed));
  } catch {
    return { good: false, reason: 'unsupported' };
  }
  return valid ? { good: true, kind, kid: String(jwk.kid), claims: parsed.claims }
    : { good: false, reason: 'signature' };
}
