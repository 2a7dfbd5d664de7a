// Schemathesis sends random operations to GraphQL, whose schema it reads by introspection. Whatever it sends,
// the answers are those of a vault that knows what it refuses.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask, startVault } from './vault.mjs';

const program = process.env.VAULT_TEST_SCHEMATHESIS;
const SETTINGS = `color = false
seed = 1
max-time = 20
[generation]
max-examples = 4
[checks]
enabled = false
`;
// INTERNAL is not among them.
const CODES = ['BAD_USER_INPUT', 'CONFLICT', 'FORBIDDEN', 'GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'INVALID_INPUT', 'LIMIT_EXCEEDED',
  'NOT_FOUND', 'RATE_LIMITED', 'UNAVAILABLE'];

let vault;
let dir;
before(async () => {
  vault = await startVault();
  dir = await mkdtemp(join(tmpdir(), 'hostile-'));
});
after(async () => {
  await vault?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

for (const who of ['user:alice', 'service:platform', 'runtime:acme-runtime']) {
  test(`random operations of ${who} are answered with documented codes`, async () => {
    assert.ok(program, 'VAULT_TEST_SCHEMATHESIS is not set: run the tests with scripts/test, which installs it');
    const config = join(dir, 'schemathesis.toml');
    const report = join(dir, 'report.har');
    await writeFile(config, SETTINGS);
    const token = await vault.token(who);
    const args = ['--config-file', config, 'run', vault.url, '--report-har-path', report, '--header', `Authorization: Bearer ${token}`];
    const options = { cwd: dir, env: { PATH: process.env.PATH, HOME: dir, NO_COLOR: '1' }, timeout: 120_000, maxBuffer: 1 << 26 };
    // It counts every error of GraphQL as a failure, also one that it asked for, so its own verdict says nothing.
    const out = await new Promise((resolve) => { execFile(program, args, options, (_, text, err) => resolve(text + err)); });
    const { log } = JSON.parse(await readFile(report, 'utf8').catch(() => assert.fail(out)));
    const answers = log.entries.filter(({ response }) => response.status > 0);
    assert.ok(answers.length >= 10, `${answers.length} answers\n${out}`);
    for (const { request, response } of answers) {
      const context = `${request.postData?.text}\n${response.status} ${response.content.text}`;
      assert.ok([200, 400].includes(response.status), context);
      const { errors = [] } = JSON.parse(response.content.text);
      for (const { message, extensions } of errors) {
        assert.ok(CODES.includes(extensions?.code), context);
        assert.doesNotMatch(message, /panicked|diesel|sqlite|\.rs\b/i, context);
      }
    }
    const { status, body } = await ask(vault.url, '{ __typename }');
    assert.deepEqual([status, body], [200, { data: { __typename: 'Query' } }], 'it goes on');
  });
}
