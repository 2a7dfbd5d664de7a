// Apollo's own tests of subgraphs, against a schema of theirs that is built with the vault's library and served by its HTTP handler.
// Their two other subgraphs run as they come; in front of all three is Apollo's gateway.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startApollo } from './apollo.mjs';
import { freePort } from './free-port.mjs';
import { ask, start } from './vault.mjs';

const run = promisify(execFile);
const here = new URL('compatibility/', import.meta.url);
const suite = new URL('node_modules/@apollo/federation-subgraph-compatibility-tests/', here);
const products = process.env.VAULT_TEST_PRODUCTS;

let stops = [], env;
before(async () => {
  if (!products) throw new Error('VAULT_TEST_PRODUCTS is not set: run the tests with scripts/test, which builds the program');
  const { match: [, url, token], stop } = await start(products, [], /(http:\S+) (\S+)\n/);
  stops.push(stop);
  const theirs = async (name) => {
    const port = await freePort();
    const dir = new URL(`dist/subgraphs/${name}/`, suite);
    const args = ['--require', fileURLToPath(new URL('loopback.cjs', here)), 'index.js'];
    const options = { cwd: fileURLToPath(dir), env: { ...process.env, [`${name.toUpperCase()}_PORT`]: String(port) } };
    const { stop } = await start(process.execPath, args, /ready|listening|running/i, options);
    stops.push(stop);
    return { name, url: `http://127.0.0.1:${port}/`, sdl: await readFile(new URL(`${name}.graphql`, dir), 'utf8') };
  };
  const sdl = (await ask(url, '{ _service { sdl } }')).body.data._service.sdl;
  const gateway = await startApollo([{ name: 'products', url, sdl }, await theirs('users'), await theirs('inventory')], {
    headers: ({ url: to }) => (to === url ? { authorization: `Bearer ${token}` } : {}),
  });
  stops.push(gateway.stop);
  env = { ...process.env, ROUTER_URL: gateway.url, PRODUCTS_URL: url, PRODUCTS_TOKEN: token };
});
after(() => Promise.all(stops.map((stop) => stop())));

test('every test of federation-subgraph-compatibility passes', async () => {
  const jest = fileURLToPath(new URL('node_modules/jest/bin/jest.js', here));
  const args = [jest, '--ci', '--json', '--config', fileURLToPath(new URL('jest.config.cjs', here))];
  const { stdout } = await run(process.execPath, args, { env, maxBuffer: 1 << 26 }).catch((failed) => failed);
  const results = JSON.parse(stdout);
  const tests = results.testResults.flatMap(({ assertionResults }) => assertionResults);
  console.log(`${results.numPassedTests} of ${results.numTotalTests} compatibility tests pass`);
  assert.deepEqual(tests.filter(({ status }) => status !== 'passed').map(({ fullName, failureMessages }) => ({ fullName, failureMessages })), []);
  assert.equal(results.numPassedTests, 23);
});
