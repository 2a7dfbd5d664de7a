// A vault with the demo in it, for one test file.
import { spawn, execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const program = process.env.VAULT_TEST_PROGRAM;
if (!program) throw new Error('VAULT_TEST_PROGRAM is not set: run the tests with scripts/test, which builds the program');

/** Runs a program until it prints what `ready` finds; gives the match and a way to stop it. */
export async function start(command, args, ready, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let output = '';
  const found = new Promise((resolve, reject) => {
    const look = (chunk) => {
      output += chunk;
      const match = ready.exec(output);
      if (match) resolve(match);
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${command} ended with ${code}:\n${output}`)));
    setTimeout(() => reject(new Error(`${command} is not ready:\n${output}`)), 60_000).unref();
  });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await gone;
    clearTimeout(kill);
  };
  try {
    return { match: await found, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts `dev` on a free port; `token('user:alice')` makes tokens for it. */
export async function startVault() {
  const dir = await mkdtemp(join(tmpdir(), 'vault-'));
  const args = ['dev', '--data-dir', dir, '--listen', '127.0.0.1:0'];
  const { match, stop } = await start(program, args, /(http:\/\/[\d.:]+\/graphql)\n/);
  const run = promisify(execFile);
  return {
    url: match[1],
    token: async (...whose) => (await run(program, ['token', '--data-dir', dir, ...whose])).stdout.trim(),
    sdl: async () => (await run(program, ['schema'])).stdout,
    stop: async () => {
      await stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Asks over HTTP; gives status, headers and body. */
export async function ask(url, query, { token, variables, headers } = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }), ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}
