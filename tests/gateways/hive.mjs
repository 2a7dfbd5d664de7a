// Hive's gateway, a process of its own, with the configuration of docker/gateway.
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { composeGuild } from './compose.mjs';
import { freePort } from './free-port.mjs';
import { start } from './vault.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Starts it over these subgraphs. */
export async function startHive(subgraphs) {
  const { supergraphSdl, errors } = composeGuild(subgraphs);
  if (errors.length) throw new Error(errors.join('\n'));
  // Beside node_modules, where the configuration finds the gateway's package.
  const dir = await mkdtemp(join(here, '.hive-'));
  const remove = () => rm(dir, { recursive: true, force: true });
  try {
    await writeFile(join(dir, 'supergraph.graphql'), supergraphSdl);
    await copyFile(join(here, '../../docker/gateway/gateway.config.mjs'), join(dir, 'gateway.config.mjs'));
    const port = await freePort();
    const args = ['supergraph', './supergraph.graphql', '--config-path', './gateway.config.mjs', '--host', '127.0.0.1', '--port', String(port), '--fork', '1'];
    const options = { cwd: dir, env: { ...process.env, LOG_LEVEL: 'info' } };
    const { stop } = await start(join(here, 'node_modules/.bin/hive-gateway'), args, /[Ll]istening on|Serving|Started/, options);
    return { url: `http://127.0.0.1:${port}/graphql`, stop: () => stop().then(remove) };
  } catch (error) {
    await remove();
    throw error;
  }
}
