// What the vault has to do behind every gateway.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { parse } from 'graphql';
import { ask } from './vault.mjs';

const codes = (body) => (body.errors ?? []).map((error) => error.extensions?.code);

/** The root fields that the supergraph must not have, as operations that ask for them by name. */
function inaccessible(sdl) {
  const roots = parse(sdl).definitions.filter(({ name }) => ['Query', 'Mutation'].includes(name?.value));
  return roots.flatMap(({ name, fields }) => fields
    .filter(({ directives }) => directives.some((directive) => directive.name.value === 'inaccessible'))
    .map((field) => `${name.value.toLowerCase()} { ${field.name.value} { __typename } }`));
}

/** Declares the tests; `place()` gives the gateway's URL, the vault, and what stands between the two. */
export function behind(name, place) {
  const as = async (who, query, variables) => {
    const { url, vault } = place();
    const token = await vault.token(who);
    return (await ask(url, query, { token, variables })).body;
  };

  test(`${name}: a dashboard joins a project with its masked entries`, async () => {
    const body = await as('user:carol', `{ project(id: "demo") { title vault { status viewer { role }
      entries(first: 2) { totalCount nodes { name maskedValue createdBy { displayName } } }
      milestones { id title vaultPhase { open } } } } }`);
    assert.deepEqual(body.errors, undefined);
    const { project } = body.data;
    assert.equal(project.title, 'Project demo');
    assert.equal(project.vault.viewer.role, 'CONSULTED');
    assert.deepEqual(project.vault.entries.nodes[1], {
      name: 'GITHUB_TOKEN', maskedValue: 'gh-****s3Y', createdBy: { displayName: 'alice' },
    });
    assert.deepEqual(project.vault.milestones, [{ id: 'demo-launch', title: 'Milestone demo-launch', vaultPhase: { open: true } }]);
  });

  test(`${name}: milestones of another subgraph have their entries`, async () => {
    const body = await as('user:bob', '{ project(id: "demo") { milestones { title vaultEntries { nodes { name scope } } vaultPhase { open } } } }');
    assert.deepEqual(body.errors, undefined);
    assert.deepEqual(body.data.project.milestones, [{
      title: 'Milestone demo-launch',
      vaultEntries: { nodes: [{ name: 'DEPLOY_TOKEN', scope: 'MILESTONE' }] },
      vaultPhase: { open: true },
    }]);
  });

  test(`${name}: aliases become several fetches of entities`, async () => {
    const body = await as('user:dave', `{ a: project(id: "demo") { vault { status } } b: project(id: "demo") { vault { viewer { canList canWrite } } }
      projects { id vault { status } } }`);
    assert.deepEqual(body.errors, undefined);
    assert.deepEqual(body.data, {
      a: { vault: { status: 'ACTIVE' } },
      b: { vault: { viewer: { canList: true, canWrite: false } } },
      projects: [{ id: 'demo', vault: { status: 'ACTIVE' } }, { id: 'nowhere', vault: null }],
    });
    assert.ok(place().recorder.asked.some(({ query }) => query.includes('_entities')));
  });

  test(`${name}: a mutation is followed by a fetch of its entity`, async () => {
    const add = `mutation($input: CreateVaultEntryInput!) { createVaultEntry(input: $input) {
      entry { name maskedValue project { title } createdBy { displayName } } userErrors { code field } } }`;
    const input = { projectId: 'demo', name: `MADE_${name.toUpperCase()}`, value: 'sk-live-0123456789abc', category: 'API_KEY' };
    const body = await as('user:bob', add, { input });
    assert.deepEqual(body.errors, undefined);
    assert.deepEqual(body.data.createVaultEntry.entry, {
      name: input.name, maskedValue: 'sk-****abc', project: { title: 'Project demo' }, createdBy: { displayName: 'bob' },
    });
    const again = await as('user:bob', add, { input });
    assert.deepEqual(again.data.createVaultEntry, { entry: null, userErrors: [{ code: 'CONFLICT', field: null }] });
  });

  test(`${name}: an error of one field keeps its path and its code, and the rest stands`, async () => {
    const body = await as('user:dave', '{ project(id: "demo") { title vault { status entries(first: 1) { nodes { name maskedValue } } } } }');
    assert.equal(body.data.project.vault.entries.nodes[0].name, 'DEPLOY_TOKEN');
    assert.equal(body.data.project.vault.entries.nodes[0].maskedValue, null);
    assert.deepEqual(codes(body), ['FORBIDDEN']);
    assert.deepEqual(body.errors[0].path, ['project', 'vault', 'entries', 'nodes', 0, 'maskedValue']);
  });

  test(`${name}: who has no role sees bare stubs`, async () => {
    const body = await as('user:mallory', '{ project(id: "demo") { id title vault { status } milestones { id vaultPhase { open } vaultEntries { totalCount } } } }');
    assert.deepEqual(body.errors, undefined);
    assert.deepEqual(body.data.project, {
      id: 'demo', title: 'Project demo', vault: null, milestones: [{ id: 'demo-launch', vaultPhase: null, vaultEntries: null }],
    });
  });

  test(`${name}: a reference to an entry in another subgraph becomes the entry`, async () => {
    const known = await as('user:bob', '{ projectVault(projectId: "demo") { entry(name: "GITHUB_TOKEN") { id } } }');
    const variables = { id: known.data.projectVault.entry.id };
    const pin = 'mutation($id: ID!) { pinEntry(projectId: "demo", entryId: $id) { title pinnedEntry { id name maskedValue project { title } } } }';
    const body = await as('user:carol', pin, variables);
    assert.deepEqual(body.errors, undefined);
    assert.deepEqual(body.data.pinEntry, {
      title: 'Project demo',
      pinnedEntry: { id: variables.id, name: 'GITHUB_TOKEN', maskedValue: 'gh-****s3Y', project: { title: 'Project demo' } },
    });
    const stranger = await as('user:mallory', '{ project(id: "demo") { title pinnedEntry { name } } }');
    assert.deepEqual(stranger.data.project, { title: 'Project demo', pinnedEntry: null });
  });

  test(`${name}: what is inaccessible is refused by name, and not to be found`, async () => {
    const { vault } = place();
    const operations = inaccessible(await vault.sdl());
    assert.ok(operations.length >= 10 && operations.some((operation) => operation.includes('resolveSecrets')), operations.join('\n'));
    for (const operation of [
      ...operations,
      '{ resolveSecrets(input: { projectId: "demo", agentId: "builder", purpose: CODING_SESSION }) { secrets { value } } }',
      '{ project(id: "demo") { vault { resolveSecrets { secrets { value } } } } }',
    ]) {
      for (const who of ['runtime:acme-runtime', 'service:platform']) {
        const body = await as(who, operation);
        assert.equal(body.data ?? null, null, operation);
        assert.deepEqual([...new Set(codes(body))], ['GRAPHQL_VALIDATION_FAILED'], `${operation}: ${JSON.stringify(body)}`);
      }
    }
  });

  test(`${name}: without a good token nothing is told, and nothing of the inside`, async () => {
    const { url, recorder } = place();
    const inside = new URL(recorder.url).host;
    for (const token of [undefined, 'nonsense']) {
      const { body } = await ask(url, '{ project(id: "demo") { title vault { status } } }', { token });
      assert.equal(body.data?.project?.vault ?? null, null);
      assert.ok(codes(body).includes('UNAUTHENTICATED'), JSON.stringify(body));
      assert.ok(!JSON.stringify(body).includes(inside), JSON.stringify(body));
    }
  });

  // The last one: nothing is there after it.
  test(`${name}: a vault that does not answer is not betrayed, nor is what was sent to it`, async () => {
    const { recorder } = place();
    await recorder.stop();
    const add = 'mutation($input: CreateVaultEntryInput!) { createVaultEntry(input: $input) { userErrors { code } } }';
    const input = { projectId: 'demo', name: 'NEVER_SENT', value: 'sk-live-never-0123456789', category: 'API_KEY' };
    const body = await as('user:bob', add, { input });
    assert.equal(body.data?.createVaultEntry ?? null, null);
    assert.ok(body.errors.length > 0);
    for (const hidden of [input.value, input.name, new URL(recorder.url).host]) assert.ok(!JSON.stringify(body).includes(hidden), JSON.stringify(body));
  });
}
