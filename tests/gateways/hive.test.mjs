// Behind Hive's gateway, a process of its own, configured as an operator would.
import { after, before } from 'node:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { behind } from './behind.mjs';
import { composeGuild } from './compose.mjs';
import { freePort } from './free-port.mjs';
import { sdl, startProjects } from './projects.mjs';
import { start, startVault } from './vault.mjs';

let vault, projects, gateway, url, dir;
before(async () => {
  [vault, projects] = await Promise.all([startVault(), startProjects()]);
  const { supergraphSdl } = composeGuild([
    { name: 'projects', url: projects.url, sdl },
    { name: 'vault', url: vault.url, sdl: await vault.sdl() },
  ]);
  const here = fileURLToPath(new URL('.', import.meta.url));
  dir = await mkdtemp(join(here, '.hive-'));
  await writeFile(join(dir, 'supergraph.graphql'), supergraphSdl);
  // The caller's token goes to every subgraph, and an error's code to the client.
  await writeFile(join(dir, 'gateway.config.mjs'), `
    import { defineConfig } from '@graphql-hive/gateway';
    export const gatewayConfig = defineConfig({
      maskedErrors: false,
      propagateHeaders: { fromClientToSubgraphs: ({ request }) => ({ authorization: request.headers.get('authorization') }) },
    });
  `);
  const port = await freePort();
  url = `http://127.0.0.1:${port}/graphql`;
  const program = join(here, 'node_modules/.bin/hive-gateway');
  const args = ['supergraph', './supergraph.graphql', '--config-path', './gateway.config.mjs', '--host', '127.0.0.1', '--port', String(port), '--fork', '1'];
  gateway = await start(program, args, /[Ll]istening on|Serving|Started/, { cwd: dir, env: { ...process.env, LOG_LEVEL: 'info' } });
});
after(async () => {
  await gateway?.stop();
  await Promise.all([vault?.stop(), projects?.stop()]);
  if (dir) await rm(dir, { recursive: true, force: true });
});

behind('hive', () => ({ url, vault }));
