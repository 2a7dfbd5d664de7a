// The audits of the GraphQL over HTTP working group's reference implementation.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { auditServer } from 'graphql-http';
import { ask, startVault } from './vault.mjs';

let vault;
before(async () => { vault = await startVault(); });
after(() => vault?.stop());

for (const who of ['without a token', 'with a token']) {
  test(`every audit of GraphQL over HTTP passes, ${who}`, async () => {
    const headers = who === 'with a token' ? { authorization: `Bearer ${await vault.token('user:alice')}` } : {};
    const results = await auditServer({
      url: vault.url,
      fetchFn: (url, init = {}) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
    });
    const failed = results.filter((result) => result.status !== 'ok');
    console.log(`${results.length} audits, ${failed.length} failed`);
    assert.deepEqual(failed.map(({ id, name, status, reason }) => ({ id, name, status, reason })), []);
    assert.equal(results.length, 61);
  });
}

test('the deepest documents that are accepted are answered, and the next ones refused', async () => {
  const token = await vault.token('user:alice');
  const headers = { 'apollo-federation-include-trace': 'ftv1' };
  // A way down through the schema, repeated; each step in so many fragments.
  const deep = (levels, way, leaves, fragments) => {
    let query = leaves[(levels - 3) % way.length];
    for (let level = levels - 3; level >= 0; level--) {
      const field = way[level % way.length];
      query = `${field} { ${'... { '.repeat(fragments)}${query}${' }'.repeat(fragments)} }`;
    }
    return `{ projectVault(projectId: "demo") { ${query} } }`;
  };
  for (const [way, leaves] of [
    [['project', 'vault'], ['id', 'status']],
    [['entry(name: "GITHUB_TOKEN")', 'project', 'vault'], ['maskedValue', 'id', 'status']],
    [['entries(first: 1)', 'edges', 'node', 'project', 'vault'], ['totalCount', 'cursor', 'maskedValue', 'id', 'status']],
  ]) {
    for (const fragments of [0, 3]) {
      const inside = await ask(vault.url, deep(16, way, leaves, fragments), { token, headers });
      assert.equal(inside.body.errors, undefined, JSON.stringify(inside.body.errors));
      const beyond = await ask(vault.url, deep(17, way, leaves, fragments), { token, headers });
      assert.equal(beyond.body.errors[0].extensions.code, 'LIMIT_EXCEEDED');
    }
  }
});
