// Schemathesis holds the REST view against its description: statuses, headers and bodies, whether
// good input is taken and bad input refused, methods, and tokens.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startVault } from './vault.mjs';

const program = process.env.VAULT_TEST_SCHEMATHESIS;
const config = new URL('schemathesis.toml', import.meta.url);
// The parts of the path of the demo.
const DEMO = '[parameters]\nproject = "demo"\nagent = "builder"\n';

let vault;
let dir;
before(async () => {
  vault = await startVault();
  dir = await mkdtemp(join(tmpdir(), 'schemathesis-'));
});
after(async () => {
  await vault?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

/** Runs Schemathesis with more settings; gives its exit status and what it wrote. */
const schemathesis = async (settings, args) => {
  const file = join(dir, 'schemathesis.toml');
  await writeFile(file, `${await readFile(config, 'utf8')}\n${settings}`);
  const options = { cwd: dir, env: { PATH: process.env.PATH, HOME: dir, NO_COLOR: '1' }, timeout: 120_000 };
  return new Promise((resolve) => {
    execFile(program, ['--config-file', file, 'run', ...args], options, (error, out, err) =>
      resolve({ status: error ? (error.code ?? error.signal) : 0, out: `${out}${err}` }));
  });
};

for (const [where, settings] of [['of any agent', ''], ['of the agent of the demo', DEMO]]) {
  test(`every check of Schemathesis passes, on secrets ${where}`, async () => {
    assert.ok(program, 'VAULT_TEST_SCHEMATHESIS is not set: run the tests with scripts/test, which installs it');
    const url = new URL('/v1/openapi.json', vault.url).href;
    const token = await vault.token('runtime:acme-runtime');
    const { status, out } = await schemathesis(settings, [url, '--header', `Authorization: Bearer ${token}`]);
    assert.equal(status, 0, out);
    const [generated] = /\d+ generated[^\n]*/.exec(out) ?? assert.fail(out);
    console.log(generated);
    assert.match(out, /Tested: 1\b/, out);
  });
}
