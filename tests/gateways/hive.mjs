// Hive's gateway, a process of its own, with the configuration that docker/compose.yaml gives it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { composeGuild } from './compose.mjs';
import { freePort } from './free-port.mjs';
import { start } from './vault.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Starts it over these subgraphs, on a free port unless one is named. */
export async function startHive(subgraphs, options = {}) {
  const { supergraphSdl, errors } = composeGuild(subgraphs);
  if (errors.length) throw new Error(errors.join('\n'));
  const dir = await mkdtemp(join(tmpdir(), 'hive-'));
  const remove = () => rm(dir, { recursive: true, force: true });
  try {
    const supergraph = join(dir, 'supergraph.graphql');
    await writeFile(supergraph, supergraphSdl);
    const port = options.port ?? await freePort();
    const args = ['supergraph', supergraph, '--config-path', 'gateway.config.mjs', '--host', '127.0.0.1', '--port', String(port), '--fork', '1'];
    const surroundings = { cwd: here, env: { ...process.env, LOG_LEVEL: 'info' } };
    const { stop } = await start(join(here, 'node_modules/.bin/hive-gateway'), args, /[Ll]istening on|Serving|Started/, surroundings);
    return { url: `http://127.0.0.1:${port}/graphql`, stop: () => stop().then(remove) };
  } catch (error) {
    await remove();
    throw error;
  }
}
