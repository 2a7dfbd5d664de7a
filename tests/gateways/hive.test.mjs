// Behind Hive's gateway.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { behind } from './behind.mjs';
import { startHive } from './hive.mjs';
import { sdl, startProjects } from './projects.mjs';
import { startRecorder } from './record.mjs';
import { ask, startVault } from './vault.mjs';

let vault, projects, recorder, gateway;
before(async () => {
  [vault, projects] = await Promise.all([startVault(), startProjects()]);
  recorder = await startRecorder(vault.url);
  gateway = await startHive([
    { name: 'projects', url: projects.url, sdl },
    { name: 'vault', url: recorder.url, sdl: await vault.sdl() },
  ]);
});
after(() => Promise.all([gateway, recorder, vault, projects].map((part) => part?.stop())));

test('hive: the fetches of one step come as one operation of many aliased _entities', async () => {
  const token = await vault.token('user:carol');
  recorder.asked.length = 0;
  const many = Array.from({ length: 40 }, (_, i) => `p${i}: project(id: "demo") { vault { entries(first: ${i}) { totalCount nodes { name } } } }`);
  const { body } = await ask(gateway.url, `{ ${many.join(' ')} }`, { token });
  assert.equal(body.errors, undefined, JSON.stringify(body.errors));
  assert.equal(body.data.p3.vault.entries.nodes.length, 3);
  const merged = recorder.asked.map(({ query }) => query.match(/_entities/g)?.length ?? 0);
  assert.ok(Math.max(...merged) > 30, `${merged}: more aliases than another operation may have`);
});

behind('hive', () => ({ url: gateway.url, vault, recorder }));
