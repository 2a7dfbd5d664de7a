// Cosmo's composition, by its own command; its router is no program that a package registry has.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sdl } from './projects.mjs';

const run = promisify(execFile);

test('Cosmo composes it, and its router would hide what is inaccessible', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'cosmo-'));
  try {
    await writeFile(join(dir, 'projects.graphql'), sdl);
    await writeFile(join(dir, 'vault.graphql'), (await run(process.env.VAULT_TEST_PROGRAM, ['schema'])).stdout);
    await writeFile(join(dir, 'graph.yaml'), `version: 1
subgraphs:
  - name: projects
    routing_url: http://127.0.0.1:4101/
    schema: { file: ./projects.graphql }
  - name: vault
    routing_url: http://127.0.0.1:4000/graphql
    schema: { file: ./vault.graphql }
`);
    const wgc = fileURLToPath(new URL('cosmo/node_modules/.bin/wgc', import.meta.url));
    await run(wgc, ['router', 'compose', '-i', 'graph.yaml', '-o', 'config.json'], { cwd: dir });
    const config = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
    const { graphqlSchema, graphqlClientSchema } = config.engineConfig;
    assert.match(graphqlSchema, /resolveSecrets/);
    assert.match(graphqlClientSchema, /projectVault/);
    for (const name of ['resolveSecrets', 'ResolvedSecret', 'deleteProjectVault', 'RegisterProjectVaultInput']) {
      assert.ok(!graphqlClientSchema.includes(name), name);
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
