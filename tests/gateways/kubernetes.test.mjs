// The manifests of docs/kubernetes.md, tried by a stand-in of External Secrets Operator (kubernetes/),
// and its commands.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ask, startVault } from './vault.mjs';

const GITHUB = 'gh-demo-7Qm2xVt9Lw4Zr8Kd1Bn6Hs3Y';
const STRIPE = 'sk-demo-51Nf0Rb7Xc2Wq9Tz4Gm8Jp6Ke';
const EXISTING = { GITHUB_TOKEN: 'old', LEGACY_API_KEY: 'old' };

let vault;
let server;
let token;
let page;
let dir;
let operator;
before(async () => {
  page = await readFile(new URL('../../docs/kubernetes.md', import.meta.url), 'utf8');
  dir = await mkdtemp(join(tmpdir(), 'kubernetes-'));
  operator = join(dir, 'operator');
  const source = fileURLToPath(new URL('kubernetes', import.meta.url));
  execFileSync('go', ['build', '-o', operator, '.'], { cwd: source, stdio: 'inherit' });
  vault = await startVault();
  server = new URL(vault.url).origin;
  token = await vault.token('runtime:acme-runtime', '--project', 'demo', '--agent', 'builder');
});
after(async () => {
  await vault?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

/** The blocks of code of one language. */
const blocks = (language) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, text]) => text);

/** Lets a program run to its end; gives what it printed. */
const run = (program, args, { input = '', env = {} } = {}) =>
  new Promise((resolve, reject) => {
    const child = execFile(program, args, { env: { PATH: process.env.PATH, ...env } }, (error, out, err) =>
      error ? reject(new Error(`${error.message}\n${out}${err}`)) : resolve(out));
    child.stdin.end(input);
  });

/** What the operator makes of the Kubernetes secret. */
const synced = async (job = {}) => {
  const manifests = blocks('yaml').find((text) => text.includes('kind: SecretStore'));
  const asked = { manifests, server, token, existing: EXISTING, ...job };
  return JSON.parse(await run(operator, [], { input: JSON.stringify(asked) }));
};

test('the operator copies the secrets that the page asks for', async () => {
  assert.deepEqual(await synced(), { data: { GITHUB_TOKEN: GITHUB, STRIPE_API_KEY: STRIPE } });
  const audrey = await vault.token('user:audrey');
  const query = '{ vaultAuditEvents(first: 1, filter: { actions: [SECRET_RESOLVED] }) { nodes { tool entryName purpose } } }';
  const { body } = await ask(vault.url, query, { token: audrey });
  assert.deepEqual(body.data.vaultAuditEvents.nodes,
    [{ tool: 'external-secrets', entryName: 'STRIPE_API_KEY', purpose: 'TOOL_EXECUTION' }]);
});

for (const [policy, outcome] of [
  ['Merge', { data: { GITHUB_TOKEN: GITHUB } }],
  ['Delete', { data: { GITHUB_TOKEN: GITHUB } }],
  ['Retain', { error: 'Secret does not exist', data: EXISTING }],
]) {
  test(`a secret that is not there: ${policy}`, async () => {
    assert.deepEqual(await synced({ keys: ['NO_SUCH_KEY', 'GITHUB_TOKEN'], deletionPolicy: policy }), outcome);
  });

  test(`what is no secret leaves all copies as they are: ${policy}`, async () => {
    const expired = await synced({ keys: ['GITHUB_TOKEN', 'LEGACY_API_KEY'], deletionPolicy: policy });
    assert.deepEqual(expired, { error: 'endpoint gave error 410 Gone', data: EXISTING });
    const other = await synced({ token: await vault.token('runtime:globex-runtime'), deletionPolicy: policy });
    assert.deepEqual(other, { error: 'endpoint gave error 403 Forbidden', data: EXISTING });
    const bad = await synced({ token: 'e30.e30.e30', deletionPolicy: policy });
    assert.deepEqual(bad, { error: 'endpoint gave error 401 Unauthorized', data: EXISTING });
  });
}

test('when all secrets are gone, Delete deletes the copy', async () => {
  assert.deepEqual(await synced({ keys: ['NO_SUCH_KEY'], deletionPolicy: 'Delete' }), { data: null });
  assert.deepEqual(await synced({ keys: ['NO_SUCH_KEY'], deletionPolicy: 'Merge' }), { data: {} });
});

test('the command of curl prints what the page shows', async () => {
  const [command] = blocks('bash');
  const told = JSON.parse(await run('sh', ['-c', command], { env: { TOKEN: token, VAULT: server } }));
  const [shown] = blocks('json').map((text) => JSON.parse(text));
  assert.deepEqual({ ...told, value: shown.value, entryId: shown.entryId }, shown);
  assert.equal(told.value, GITHUB);
});

test('the init container writes the answers, and fails when one is missing', async () => {
  const pod = blocks('yaml').find((text) => text.includes('kind: Pod'));
  const [, indented] = /args:\n +- \|\n((?: {10,}.*\n)+)/.exec(pod);
  const tokens = join(dir, 'token');
  await run('sh', ['-c', 'printf %s "$TOKEN" >"$FILE"'], { env: { TOKEN: token, FILE: tokens } });
  const script = indented.replaceAll('/var/run/vault/token', tokens).replaceAll('/secrets/', `${dir}/`)
    .replaceAll(`builder${dir}/`, 'builder/secrets/');
  await run('sh', ['-euc', script], { env: { VAULT: server } });
  for (const [name, value] of [['GITHUB_TOKEN', GITHUB], ['STRIPE_API_KEY', STRIPE]]) {
    assert.equal(JSON.parse(await readFile(join(dir, `${name}.json`), 'utf8')).value, value);
  }
  const missing = script.replace('GITHUB_TOKEN', 'LEGACY_API_KEY');
  await assert.rejects(run('sh', ['-euc', missing], { env: { VAULT: server } }), /410/);
});
