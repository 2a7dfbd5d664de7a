// What docs/gateway.md quotes is what the tests run.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test('every quotation of docs/gateway.md is in its file, and the example of composition is all of it', async () => {
  const page = await read('docs/gateway.md');
  const quoted = [...page.matchAll(/^```\w+ title="([^"]+)"\n([^]*?)^```$/gm)];
  assert.ok(quoted.length >= 5, `${quoted.length}`);
  for (const [, path, text] of quoted) assert.ok((await read(path)).includes(text), `${path} has not:\n${text}`);
  const [, , example] = quoted.find(([, path]) => path.endsWith('projects.graphql'));
  assert.equal(example, await read('tests/gateways/projects.graphql'));
});

test('every file that docs/gateway.md links to is there', async () => {
  for (const [, path] of (await read('docs/gateway.md')).matchAll(/\]\(\.\.\/([^)#]+)\)/g)) await read(path);
});
