// The pictures of the README and of docs/, made on request: DASHBOARD_SCREENSHOTS=1 scripts/test dashboard
import assert from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { inDays } from '../support/world.mjs';

const FOLDER = new URL('../../../docs/dashboard/', import.meta.url);
const MAX_BYTES = 150_000;
const PROJECT = 'demo';

/** More than the demo has, so that there is something of everything to see. */
async function fill(world) {
  const { projectVault } = await world.do(
    'user:alice',
    `{ projectVault(projectId: "${PROJECT}") { entries { nodes { id name } } } }`,
  );
  const idOf = (name) => projectVault.entries.nodes.find((entry) => entry.name === name).id;
  for (const [id, phase] of [
    ['demo-beta', { opensAt: inDays(-40), closesAt: inDays(-8) }],
    ['demo-launch', { opensAt: inDays(-8), closesAt: inDays(20.1) }],
    ['demo-scale', { opensAt: inDays(20.1), closesAt: inDays(60.1) }],
  ]) {
    await world.do(
      'service:platform',
      `mutation($input: PutVaultMilestoneInput!) {
        putVaultMilestone(input: $input) { userErrors { message } } }`,
      { input: { id, projectId: PROJECT, ...phase } },
    );
  }
  for (const [name, category, more] of [
    ['DATABASE_PASSWORD', 'PASSWORD', { rotationIntervalDays: 90 }],
    ['MAIL_API_KEY', 'API_KEY', {}],
    ['SEARCH_API_KEY', 'API_KEY', {}],
    ['CDN_TOKEN', 'ACCESS_TOKEN', { milestoneId: 'demo-launch' }],
    ['LOAD_TEST_KEY', 'API_KEY', { milestoneId: 'demo-scale' }],
  ])
    await world.create('user:bob', {
      projectId: PROJECT,
      name,
      category,
      value: `xx-demo-${name.toLowerCase()}-4f7`,
      ...more,
    });
  await world.change('user:bob', 'updateVaultEntry', { id: idOf('STRIPE_API_KEY'), expiresAt: inDays(5.1) });
  await world.change('user:bob', 'rotateVaultEntry', {
    id: idOf('GITHUB_TOKEN'),
    value: 'gh-demo-1Zx8vRt3Lw9Kq5Bd7Yn2Mf4c',
  });
  await world.change('user:bob', 'disableVaultEntry', idOf('WEBHOOK_SECRET'));
  await world.resolve(PROJECT, ['GITHUB_TOKEN', 'STRIPE_API_KEY']);
  return idOf;
}

/** name, theme, width and height, who, where, and what is done before the picture is taken. */
const PICTURES = [
  [
    'entries',
    'light',
    [1440, 900],
    'alice',
    () => `#/p/${PROJECT}`,
    (page) => page.getByRole('link', { name: 'STRIPE_API_KEY' }).waitFor(),
  ],
  [
    'entry',
    'dark',
    [1440, 900],
    'alice',
    (idOf) => `#/p/${PROJECT}/e/${idOf('GITHUB_TOKEN')}`,
    (page) => page.getByRole('table', { name: 'Audit events' }).waitFor(),
  ],
  [
    'import',
    'light',
    [1440, 900],
    'bob',
    () => `#/p/${PROJECT}/import`,
    async (page) => {
      await page
        .getByLabel('.env text')
        .fill(
          'GITHUB_TOKEN=gh-demo-1Zx8vRt3Lw9Kq5Bd7Yn2Mf4c\nSTRIPE_API_KEY=sk-demo-77Qa2Lc9Vt4Xe1Rm\n' +
            'MAPS_API_KEY=mp-demo-5Jd8Wq2Zt6\n2FA_SEED=x\n',
        );
      await page.getByRole('button', { name: 'Preview' }).click();
      await page.getByRole('table').getByText('MAPS_API_KEY').waitFor();
      await page.getByRole('table').scrollIntoViewIfNeeded();
    },
  ],
  [
    'milestones',
    'dark',
    [1440, 700],
    'alice',
    () => `#/p/${PROJECT}/milestones`,
    (page) => page.getByRole('table', { name: 'Milestones' }).waitFor(),
  ],
  [
    'audit',
    'light',
    [1440, 900],
    'alice',
    () => `#/p/${PROJECT}/audit`,
    (page) => page.getByRole('table', { name: 'Audit events' }).waitFor(),
  ],
  [
    'narrow',
    'dark',
    [360, 740],
    'alice',
    () => `#/p/${PROJECT}`,
    (page) => page.getByRole('link', { name: 'STRIPE_API_KEY' }).waitFor(),
  ],
];

export function screenshots(test, it, browser) {
  test('pictures are taken', async () => {
    const idOf = await fill(it());
    await mkdir(FOLDER, { recursive: true });
    for (const [name, colorScheme, [width, height], as, at, ready] of PICTURES) {
      await it().page(
        browser(),
        { as, at: at(idOf), colorScheme, width, height, reducedMotion: 'reduce' },
        async (page) => {
          await ready(page);
          await page.mouse.move(0, height - 1);
          await page.evaluate(() => document.activeElement?.blur());
          await page.waitForTimeout(300);
          const path = fileURLToPath(new URL(`${name}.png`, FOLDER));
          await page.screenshot({ path });
          const { size } = await stat(path);
          assert.ok(size < MAX_BYTES, `${name}.png has ${size} bytes`);
        },
      );
    }
  });
}
