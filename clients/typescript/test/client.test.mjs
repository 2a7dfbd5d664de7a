// Against the server that the settings name, with the secrets that the Rust tests put there.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Vault, VaultError, resolve, sessionEnv } from '../dist/index.js';

const VALUES = {
  KEY: '-----BEGIN KEY-----\nfirst0line1of2it\nshort\nsecond3line4of5it\n-----END KEY-----\n',
  PASSWORD: 'p\u00e4ss "w\u00f6rd" & more',
  SHORT: '12345',
  TOKEN: 'gh-7Qm2xVt9Lw4Zr8+/Kd1Bn6',
};

const fails = (work, reason) =>
  assert.rejects(work, (error) => error instanceof VaultError && error.reason === reason && !error.message.includes(VALUES.TOKEN));

test('a tool gets one value', async () => {
  for (const [name, value] of Object.entries(VALUES)) assert.equal(await resolve(name), value);
});

test('a session gets what the workspace leaves open', async () => {
  assert.deepEqual(await sessionEnv(), VALUES);
  const { TOKEN, ...left } = VALUES;
  assert.deepEqual(await new Vault().sessionEnv({ TOKEN: '', 'not a name': 'x' }), left);
});

test('what is not there has a reason of its own', async () => {
  await fails(resolve('NOWHERE'), 'NOT_FOUND');
  await fails(resolve('OLD'), 'EXPIRED');
  await fails(new Vault({ agent: 'deployer' }).resolve('TOKEN'), 'REFUSED');
  await fails(new Vault({ token: 'e30.e30.c2ln' }).resolve('TOKEN'), 'REFUSED');
  await fails(new Vault({ url: 'http://127.0.0.1:1/graphql', timeout: 500 }).resolve('TOKEN'), 'UNREACHABLE');
});

test('answers say everything, but neither print nor serialize a value', async () => {
  const secrets = await new Vault().answers(['TOKEN', 'OLD'], 'TOOL_EXECUTION');
  assert.deepEqual(secrets.map(({ outcome }) => outcome), ['RESOLVED', 'EXPIRED']);
  assert.deepEqual([secrets[0].version, secrets[0].scope, secrets[0].value], [1, 'PROJECT', VALUES.TOKEN]);
  assert.ok(!(JSON.stringify(secrets) + inspect(secrets)).includes(VALUES.TOKEN));
});

test('the token goes nowhere in the clear, and follows no redirect', async () => {
  for (const url of ['http://vault.example/', 'ftp://127.0.0.1/', 'https://user:pass@vault.example/', 'nowhere']) {
    assert.throws(() => new Vault({ url }), VaultError);
  }
  const seen = [];
  const server = createServer((request, response) => {
    seen.push(request.url);
    response.writeHead(307, { location: '/elsewhere' }).end();
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  await fails(new Vault({ url: `http://127.0.0.1:${server.address().port}/` }).resolve('TOKEN'), 'UNREACHABLE');
  server.close();
  assert.deepEqual(seen, ['/']);
});

test('an answer to another call, or under another name, is refused', async () => {
  const real = globalThis.fetch;
  let kept;
  try {
    globalThis.fetch = async (...args) => {
      kept ??= await (await real(...args)).text();
      return new Response(kept);
    };
    assert.equal(await resolve('TOKEN'), VALUES.TOKEN);
    await fails(resolve('TOKEN'), 'UNREACHABLE');
    const swapped = (text) => text.replace(/"(TOKEN|PASSWORD)"/g, (name) => (name === '"TOKEN"' ? '"PASSWORD"' : '"TOKEN"'));
    globalThis.fetch = async (...args) => new Response(swapped(await (await real(...args)).text()));
    await fails(new Vault().answers(['TOKEN', 'PASSWORD'], 'TOOL_EXECUTION'), 'UNREACHABLE');
  } finally {
    globalThis.fetch = real;
  }
});
