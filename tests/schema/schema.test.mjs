// schema.graphql keeps its promises and its form, in the judgement of others' tools.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ESLint } from 'eslint';

const run = promisify(execFile);
const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path) => readFile(join(root, path), 'utf8');
const git = async (...args) => (await run('git', args, { cwd: root })).stdout;

let dir, ours;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'schema-'));
  ours = await read('schema.graphql');
});
after(() => rm(dir, { recursive: true, force: true }));

/** What graphql-inspector says of a change: whether it lets it pass, and why. */
async function diff(from, to) {
  // It knows GraphQL alone.
  const federation = await read('tests/schema/federation.graphql');
  await Promise.all([['from', from], ['to', to]].map(([name, sdl]) => writeFile(join(dir, `${name}.graphql`), federation + sdl)));
  const inspector = join(here, 'node_modules/.bin/graphql-inspector');
  return run(inspector, ['diff', join(dir, 'from.graphql'), join(dir, 'to.graphql')]).then(
    ({ stdout }) => ({ passes: true, told: stdout }),
    ({ stdout, stderr }) => ({ passes: false, told: stdout + stderr }),
  );
}

/** The newest committed schema that differs from the one here, which is what clients of the last version have. */
async function previous() {
  const commits = (await git('log', '--format=%H', '--', 'schema.graphql')).split('\n').filter(Boolean);
  for (const commit of commits) {
    const sdl = await git('show', `${commit}:schema.graphql`).catch(() => ours);
    if (sdl !== ours) return { commit, sdl };
  }
  return null;
}

test('it breaks nothing of the version before it', async (t) => {
  const last = await previous();
  if (!last) return t.skip('no other version is committed');
  const { passes, told } = await diff(last.sdl, ours);
  assert.ok(passes, `compared with ${last.commit}: ${told}`);
});

test('it breaks nothing of the contract', async () => {
  const { passes, told } = await diff(await read('tests/corpus/contract.graphql'), ours);
  assert.ok(passes, told);
});

test('a change that breaks clients would be refused, and one that adds something would not', async () => {
  for (const [from, to] of [
    [/\tresolveCount: Int\n/, '\tresolved: Int\n'],
    [/\tmaskedValue: String\n/, '\tmaskedValue: Int\n'],
    [/\tprojectId: ID!\n/, '\tprojectId: ID!\n\tmore: String!\n'],
    [/\tCONSULTED\n/, ''],
  ]) {
    const broken = ours.replace(from, to);
    assert.notEqual(broken, ours, `${from} is not in the schema`);
    assert.equal((await diff(ours, broken)).passes, false, String(from));
  }
  const more = ours.replace(/\tresolveCount: Int\n/, '$&\tmore(of: Int): Int\n');
  assert.equal((await diff(ours, more)).passes, true);
});

/** Each description with what it describes, such as ['The entry to create.', 'input: CreateVaultEntryInput!']. */
function descriptions(sdl) {
  const found = sdl.matchAll(/"""\n([^]*?)\n\s*"""\n\s*(.*)/g);
  return Array.from(found, ([, text, of]) => [text.replace(/\s+/g, ' ').trim(), of]);
}

/** Descriptions that leave out what they are about, such as 'Which one.' and 'By whom.'. */
const isEmpty = (text) => text.split(' ').length < 3 || /^(What|Which|Whose|Whom|By|In|To|Of) [^.:;]{0,24}\.$/.test(text);

test('every description says what it describes', () => {
  const all = descriptions(ours);
  assert.ok(all.length > 400, `the descriptions were not read: ${all.length}`);
  assert.deepEqual(all.filter(([text]) => isEmpty(text)), []);
  for (const text of ['Which one.', 'By whom.', 'What is to be done.', 'In which project.', 'The name.']) {
    assert.ok(isEmpty(text), text);
  }
});

test('it obeys the rules of eslint.config.js', async () => {
  const eslint = new ESLint({ cwd: here, overrideConfigFile: join(here, 'eslint.config.js') });
  const lint = async (sdl) => {
    const [{ messages }] = await eslint.lintText(sdl, { filePath: join(here, 'schema.graphql') });
    return messages.map(({ line, message, ruleId }) => `${line}: ${message} (${ruleId})`);
  };
  assert.deepEqual(await lint(ours), []);
  const undescribed = await lint(`${ours}\nenum Bare { ONE }\n`);
  assert.equal(undescribed.filter((message) => message.includes('require-description')).length, 2, 'a bare type and a bare value');
});
