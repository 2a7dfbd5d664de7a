// The embedded shape: `project-vault dev`, which signs in by a click on a name.
import { mkdtemp, rm } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { start } from '../../gateways/vault.mjs';
import { World } from './world.mjs';

const program = process.env.VAULT_TEST_PROGRAM;
const run = promisify(execFile);

/** Starts it; `env` has more settings. */
export async function startEmbedded({ env = {} } = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'dashboard-'));
  const remove = () => rm(dir, { recursive: true, force: true });
  try {
    const args = ['dev', '--data-dir', dir, '--listen', '127.0.0.1:0'];
    const { match, stop } = await start(program, args, /(http:\/\/[\d.:]+)\/graphql\n/, {
      env: { ...process.env, ...env },
    });
    return new World({
      shape: 'embedded',
      origin: match[1],
      token: async (whose, { ttl = 3600, project, agent } = {}) => {
        const narrowing = [
          ['--project', project],
          ['--agent', agent],
        ]
          .filter(([, value]) => value)
          .flat();
        return (
          await run(program, ['token', '--data-dir', dir, '--ttl', `${ttl}s`, ...narrowing, whose])
        ).stdout.trim();
      },
      signIn: (page, person) =>
        page.getByRole('list', { name: 'Choose a person' }).getByRole('button', { name: person }).click(),
      command: (...command) => run(program, command),
      stop: () => stop().then(remove),
    });
  } catch (error) {
    await remove();
    throw error;
  }
}
