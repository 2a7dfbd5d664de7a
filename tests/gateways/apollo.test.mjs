// Behind Apollo's gateway.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { startApollo } from './apollo.mjs';
import { behind } from './behind.mjs';
import { sdl, startProjects } from './projects.mjs';
import { startRecorder } from './record.mjs';
import { ask, startVault } from './vault.mjs';

// The caller's token goes to every subgraph.
const headers = ({ context }) => (context.authorization ? { authorization: context.authorization } : {});

let vault, projects, recorder, gateway, subgraphs;
before(async () => {
  [vault, projects] = await Promise.all([startVault(), startProjects()]);
  recorder = await startRecorder(vault.url);
  subgraphs = [
    { name: 'projects', url: projects.url, sdl },
    { name: 'vault', url: recorder.url, sdl: await vault.sdl() },
  ];
  gateway = await startApollo(subgraphs, { headers });
});
after(() => Promise.all([gateway, recorder, vault, projects].map((part) => part?.stop())));

test('apollo: as it comes it tells a client where the vault is, once its token is refused', async () => {
  const bare = await startApollo(subgraphs, { headers, formatError: undefined });
  try {
    const { body } = await ask(bare.url, '{ project(id: "demo") { vault { status } } }');
    assert.equal(body.errors[0].extensions.response.url, recorder.url);
  } finally {
    await bare.stop();
  }
});

behind('apollo', () => ({ url: gateway.url, vault, recorder }));
