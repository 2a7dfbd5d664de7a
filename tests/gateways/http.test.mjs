// The audits of the GraphQL over HTTP working group's reference implementation.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { auditServer } from 'graphql-http';
import { startVault } from './vault.mjs';

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
