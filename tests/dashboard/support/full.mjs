// The full shape: `serve` with PostgreSQL, OpenFGA and an OpenID provider.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../gateways/free-port.mjs';
import { start } from '../../gateways/vault.mjs';
import pg from 'pg';
import { withToken } from './page.mjs';
import { CLIENT, startProvider } from './provider.mjs';
import { unique, World } from './world.mjs';

const program = process.env.VAULT_TEST_PROGRAM;
const run = promisify(execFile);

async function makeDatabase(name) {
  const server = process.env.VAULT_TEST_POSTGRES;
  if (!server)
    throw new Error('VAULT_TEST_POSTGRES is not set: run the tests with scripts/test, which starts a server');
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  return Object.assign(new URL(server), { pathname: `/${name}` }).href;
}

/** Starts it. Its `provider` is the OpenID provider. */
export async function startFull() {
  const name = unique('dashboard_');
  const origin = `http://127.0.0.1:${await freePort()}`;
  const [dir, database, provider] = await Promise.all([
    mkdtemp(join(tmpdir(), 'dashboard-')),
    makeDatabase(name),
    startProvider(origin),
  ]);
  const remove = () => Promise.all([provider.stop(), rm(dir, { recursive: true, force: true })]);
  try {
    const keyring = join(dir, 'keyring.toml');
    const env = {
      PATH: process.env.PATH,
      DATABASE_URL: database,
      OPENFGA_URL: process.env.VAULT_TEST_OPENFGA,
      OPENFGA_STORE: name,
      VAULT_KEYRING_FILE: keyring,
      VAULT_JWT_ISSUER: provider.issuer,
      VAULT_JWKS_URL: `${provider.issuer}/jwks`,
      VAULT_OIDC_CLIENT_ID: CLIENT,
      VAULT_LISTEN: new URL(origin).host,
    };
    await writeFile(keyring, (await run(program, ['keys', 'generate'], { env })).stdout, { mode: 0o600 });
    await run(program, ['migrate'], { env });
    await run(program, ['registrar', 'add', 'platform'], { env });
    await run(program, ['auditor', 'add', 'user:audrey'], { env });
    const { stop } = await start(program, ['serve'], /listening/, { env });
    const world = new World({
      shape: 'full',
      origin,
      token: async (whose, wishes) => provider.token(whose, wishes),
      signIn: async (page, person) => {
        await withToken(page, provider.token(`user:${person}`));
      },
      command: (...command) => run(program, command, { env }),
      stop: () => stop().then(remove),
    });
    world.provider = provider;
    world.origins = [provider.issuer];
    return world;
  } catch (error) {
    await remove();
    throw error;
  }
}
