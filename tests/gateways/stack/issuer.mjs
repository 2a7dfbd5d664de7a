// A stand-in for an identity provider: `init` makes a key and its JWKS the first time, `token KIND:ID` prints a token for the vault.
import { createPrivateKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const AUDIENCES = { user: 'project-vault', service: 'project-vault-service', runtime: 'project-vault-runtime' };
const HOUR = 3600;

const { ISSUER, ISSUER_DIR } = process.env;
const keyFile = join(ISSUER_DIR, 'key.json');

function init() {
  if (existsSync(keyFile)) return;
  mkdirSync(ISSUER_DIR, { recursive: true });
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID() };
  const { d, ...open } = key;
  writeFileSync(join(ISSUER_DIR, 'jwks.json'), JSON.stringify({ keys: [{ ...open, alg: 'EdDSA', use: 'sig' }] }));
  writeFileSync(keyFile, JSON.stringify(key), { mode: 0o600 });
}

function token(whose = '') {
  const [kind, ...id] = whose.split(':');
  const aud = AUDIENCES[kind];
  if (!aud || !id.join(':')) throw new Error('name whose token it is: user:ID, service:ID or runtime:ID');
  const jwk = JSON.parse(readFileSync(keyFile, 'utf8'));
  const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const signed = `${encoded({ alg: 'EdDSA', kid: jwk.kid })}.${encoded({ iss: ISSUER, aud, sub: id.join(':'), iat: now, exp: now + HOUR })}`;
  return `${signed}.${sign(null, Buffer.from(signed), createPrivateKey({ key: jwk, format: 'jwk' })).toString('base64url')}`;
}

const [command, argument] = process.argv.slice(2);
if (command === 'init') init();
else if (command === 'token') console.log(token(argument));
else throw new Error('usage: issuer.mjs init | token KIND:ID');
