// What docker/compose.yaml starts, from end to end.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { startStack } from './stack/native.mjs';
import { ask } from './vault.mjs';

let stack;
before(async () => {
  const { VAULT_TEST_PROGRAM: program, VAULT_TEST_OPENFGA_BIN: openfga } = process.env;
  stack = await startStack({ program, openfga });
});
after(() => stack?.stop());

const as = async (whose, url, query, variables) => (await ask(url, query, { token: await stack.token(whose), variables })).body;
const at = (service, port) => `http://127.0.0.1:${stack.port(service, port)}/graphql`;
const done = (body, name) => {
  assert.equal(body.errors, undefined, JSON.stringify(body.errors));
  assert.deepEqual(body.data[name].userErrors, []);
  return body.data[name];
};

test('a project is registered by the service, filled by a person through the gateway, and used by a runtime', async () => {
  const [gateway, platform, runtimes] = [at('gateway', 4000), at('vault', 4000), at('vault', 4001)];
  for (const [name, input] of [
    ['registerProjectVault', { projectId: 'demo', participantIds: ['acme'], accountableUserIds: ['alice'] }],
    ['setProjectVaultStatus', { projectId: 'demo', status: 'ACTIVE' }],
    ['registerVaultAgent', { agentId: 'builder', organizationId: 'acme' }],
    ['registerVaultRuntime', { runtimeId: 'acme-runtime', organizationId: 'acme' }],
  ]) {
    const type = `${name[0].toUpperCase()}${name.slice(1)}Input`.replace(/RegisterVault(Agent|Runtime)Input/, 'Vault$1RegistrationInput');
    done(await as('service:platform', platform, `mutation($input: ${type}!) { ${name}(input: $input) { userErrors { message } } }`, { input }), name);
  }

  const assign = 'mutation { assignVaultAgent(input: { projectId: "demo", agentId: "builder" }) { userErrors { message } } }';
  done(await as('user:alice', gateway, assign), 'assignVaultAgent');
  const create = `mutation { createVaultEntry(input: { projectId: "demo", name: "API_KEY", value: "sk-live-0123456789abc", category: API_KEY }) {
    entry { maskedValue project { title } createdBy { displayName } } userErrors { message } } }`;
  assert.deepEqual(done(await as('user:alice', gateway, create), 'createVaultEntry').entry, {
    maskedValue: 'sk-****abc', project: { title: 'Project demo' }, createdBy: { displayName: 'alice' },
  });
  const dashboard = '{ project(id: "demo") { title vault { status entries { nodes { name maskedValue } } } } }';
  assert.deepEqual((await as('user:alice', gateway, dashboard)).data.project, {
    title: 'Project demo', vault: { status: 'ACTIVE', entries: { nodes: [{ name: 'API_KEY', maskedValue: 'sk-****abc' }] } },
  });

  const resolve = '{ resolveSecrets(input: { projectId: "demo", agentId: "builder", purpose: CODING_SESSION }) { secrets { name value outcome } } }';
  assert.deepEqual((await as('runtime:acme-runtime', runtimes, resolve)).data.resolveSecrets.secrets, [
    { name: 'API_KEY', value: 'sk-live-0123456789abc', outcome: 'RESOLVED' },
  ]);
  const { body } = await ask(gateway, resolve, { token: await stack.token('runtime:acme-runtime') });
  assert.equal(body.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED', 'the gateway knows no resolveSecrets');
  assert.equal((await as('user:alice', runtimes, '{ __typename }')).errors[0].extensions.code, 'FORBIDDEN');
  assert.equal((await as('runtime:acme-runtime', platform, '{ __typename }')).errors[0].extensions.code, 'FORBIDDEN');
});

test('nothing of a value is in what the services log', () => {
  assert.ok(stack.logs.vault.includes('answered'), 'the log is read');
  for (const [name, log] of Object.entries(stack.logs)) assert.ok(!log.includes('0123456789abc'), name);
});

test('what is logged of a request names its trace', async () => {
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  const headers = { traceparent: `00-${trace}-00f067aa0ba902b7-01`, 'x-request-id': 'from-the-client' };
  await ask(at('gateway', 4000), '{ project(id: "demo") { vault { status } } }', { token: await stack.token('user:alice'), headers });
  const lines = stack.logs.vault.split('\n').filter((line) => line.includes('from-the-client'));
  assert.ok(lines.length > 0 && lines.every((line) => JSON.parse(line).span.trace_id === trace), lines.join('\n'));
});
