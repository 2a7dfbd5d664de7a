// Federated tracing, read by Apollo's own decoder and by its gateway.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Trace } from '@apollo/usage-reporting-protobuf';
import { startApollo } from './apollo.mjs';
import { sdl, startProjects } from './projects.mjs';
import { ask, startVault } from './vault.mjs';

const SECRET = 'sk-live-7f3a9c2e5b8d';

let vault;
before(async () => { vault = await startVault(); });
after(() => vault?.stop());

const asked = async (who, query, variables, format = 'ftv1') => {
  const options = { token: await vault.token(who), variables, headers: { 'apollo-federation-include-trace': format } };
  const { body } = await ask(vault.url, query, options);
  const bytes = body.extensions && Buffer.from(body.extensions.ftv1, 'base64');
  return { ...body, bytes, trace: bytes && Trace.decode(bytes) };
};

/** The nodes of a trace by their paths. */
const nodes = (node, path = '', found = {}) => {
  found[path] = node;
  for (const child of node.child) nodes(child, `${path}/${child.responseName || child.index}`, found);
  return found;
};

test('a trace tells of each field its name, types and times', async () => {
  const query = '{ p: projectVault(projectId: "demo") { status entries(first: 2) { nodes { title: name maskedValue } } } }';
  const { data, errors, trace } = await asked('user:carol', query);
  assert.equal(errors, undefined);
  const plain = await ask(vault.url, query, { token: await vault.token('user:carol') });
  assert.deepEqual(plain.body, { data }, 'without the header the answer is the same, and has no trace');
  const found = nodes(trace.root);
  assert.deepEqual(Object.keys(found).sort(), ['', '/p', '/p/entries', '/p/entries/nodes', '/p/entries/nodes/0', '/p/entries/nodes/0/maskedValue',
    '/p/entries/nodes/0/title', '/p/entries/nodes/1', '/p/entries/nodes/1/maskedValue', '/p/entries/nodes/1/title', '/p/status']);
  const { originalFieldName, type, parentType } = found['/p/entries/nodes/1/title'];
  assert.deepEqual({ originalFieldName, type, parentType }, { originalFieldName: 'name', type: 'String!', parentType: 'VaultEntry' });
  assert.equal(found['/p/status'].originalFieldName, '');
  assert.equal(found['/p/entries/nodes'].type, '[VaultEntry!]!');
  for (const [path, node] of Object.entries(found).filter(([path]) => !/^$|\d$/.test(path))) {
    assert.ok(Number(node.startTime) <= Number(node.endTime) && Number(node.endTime) <= Number(trace.durationNs), path);
  }
  assert.ok(Math.abs(trace.startTime.seconds - Date.now() / 1000) < 60 && trace.endTime.seconds >= trace.startTime.seconds);
});

test('a trace holds no value, no argument and no message', async () => {
  const add = `mutation($input: CreateVaultEntryInput!) { createVaultEntry(input: $input) { entry { id name maskedValue } userErrors { message } } }`;
  const input = { projectId: 'demo', name: 'TRACED_TOKEN', value: SECRET, category: 'API_KEY', description: 'a note that is traced by nobody' };
  const made = await asked('user:bob', add, { input });
  assert.equal(made.data.createVaultEntry.entry.maskedValue, 'sk-****b8d');
  const resolve = `{ resolveSecrets(input: { projectId: "demo", agentId: "builder", names: ["TRACED_TOKEN"], purpose: TOOL_EXECUTION }) { secrets { name value } } }`;
  const resolved = await asked('runtime:acme-runtime', resolve);
  assert.equal(resolved.data.resolveSecrets.secrets[0].value, SECRET);
  const refused = await asked('user:dave', '{ projectVault(projectId: "demo") { entry(name: "TRACED_TOKEN") { maskedValue } } }');
  const broken = await asked('user:dave', `{ projectVault(projectId: "${SECRET} ${SECRET}") { status } }`);
  assert.equal(broken.errors.length, 1);
  for (const { bytes, errors } of [made, resolved, refused, broken]) {
    for (const encoding of ['latin1', 'base64']) {
      const text = bytes.toString(encoding);
      for (const hidden of [SECRET, 'sk-****b8d', 'TRACED_TOKEN', 'traced by nobody', 'demo', ...(errors ?? []).map(({ message }) => message)]) {
        assert.ok(!text.includes(hidden), hidden);
      }
    }
  }
  const [error] = nodes(refused.trace.root)['/projectVault/entry/maskedValue'].error;
  assert.equal(error.message, '<masked>');
  assert.deepEqual(JSON.parse(error.json), { message: '<masked>', extensions: { code: 'FORBIDDEN' } });
});

test('errors stay at their paths and entities at their indices while they are traced', async () => {
  const query = `query($r: [_Any!]!) { _entities(representations: $r) { ... on Project { vault { status auditEvents { nodes { id } } } } } }`;
  const r = ['demo', 'nowhere', ' '].map((id) => ({ __typename: 'Project', id }));
  const { data, errors, trace } = await asked('user:dave', query, { r });
  const plain = await ask(vault.url, query, { token: await vault.token('user:dave'), variables: { r } });
  const told = ({ path, extensions: { code } }) => [path.join('/'), code];
  assert.deepEqual({ data, errors: errors.map(told) }, { data: plain.body.data, errors: plain.body.errors.map(told) });
  const found = nodes(trace.root);
  assert.equal(found['/_entities/0/vault/auditEvents'].error.length, 1);
  assert.equal(found['/_entities/2'].error.length, 1);
});

test('who asks for no trace, or in another format, gets none', async () => {
  assert.equal((await asked('user:dave', '{ __typename }', undefined, 'ftv2')).extensions, undefined);
  assert.deepEqual(Object.keys((await asked('user:dave', '{ __typename }')).extensions), ['ftv1']);
  const unread = await asked('user:dave', '{');
  assert.equal(unread.extensions, undefined, 'what is not executed has no trace');
});

test("Apollo's gateway makes it a part of its own", async () => {
  const projects = await startProjects();
  let traced;
  const gateway = await startApollo([
    { name: 'projects', url: projects.url, sdl },
    { name: 'vault', url: vault.url, sdl: await vault.sdl() },
  ], {
    headers: ({ context }) => ({ authorization: context.authorization }),
    // What its reporting of usage does, without anybody to report to.
    plugins: [{
      requestDidStart: async ({ metrics }) => {
        metrics.captureTraces = true;
        return { willSendResponse: async () => { traced = metrics.queryPlanTrace; } };
      },
    }],
  });
  try {
    const token = await vault.token('user:carol');
    const { body } = await ask(gateway.url, '{ project(id: "demo") { title vault { status } } }', { token });
    assert.equal(body.data.project.vault.status, 'ACTIVE');
    const fetches = JSON.stringify(traced.toJSON());
    const vaults = traced.sequence.nodes.map((node) => node.fetch ?? node.flatten.node.fetch).find(({ serviceName }) => serviceName === 'vault');
    assert.equal(vaults.traceParsingFailed, false, fetches);
    assert.equal(nodes(vaults.trace.root)['/_entities/0/vault/status'].type, 'VaultProjectStatus!', fetches);
  } finally {
    await Promise.all([gateway.stop(), projects.stop()]);
  }
});
