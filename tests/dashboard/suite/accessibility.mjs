// Every view under axe-core, in both themes, wide and narrow.
import assert from 'node:assert/strict';
import { findings } from '../support/axe.mjs';

const VALUE = 'sk-live-0123456789abc';

/** The views that axe-core reads, as whom, and what shows that they are there. */
const VIEWS = [
  [
    'alice',
    'projects',
    () => '#/',
    (page, { id }) => page.getByRole('link', { name: id }).and(page.locator('main a')).waitFor(),
  ],
  [
    'alice',
    'entries',
    ({ id }) => `#/p/${id}`,
    (page) => page.getByRole('link', { name: 'API_KEY' }).waitFor(),
  ],
  [
    'alice',
    'entry',
    ({ id, entries }) => `#/p/${id}/e/${entries.API_KEY.id}`,
    (page) => page.getByRole('table', { name: 'Audit events' }).waitFor(),
  ],
  [
    'alice',
    'new entry',
    ({ id }) => `#/p/${id}/new`,
    (page) => page.getByRole('button', { name: 'Create entry' }).waitFor(),
  ],
  [
    'alice',
    'import',
    ({ id }) => `#/p/${id}/import`,
    async (page) => {
      await page.getByLabel('.env text').fill('API_KEY=other\nNEW_TOKEN=value\nnot a line');
      await page.getByRole('button', { name: 'Preview' }).click();
      await page.getByRole('table', { name: 'What the import would do' }).waitFor();
      await page.getByLabel('.env text').fill('');
    },
  ],
  [
    'alice',
    'milestones',
    ({ id }) => `#/p/${id}/milestones`,
    (page) => page.getByRole('table', { name: 'Milestones' }).waitFor(),
  ],
  ['alice', 'people', ({ id }) => `#/p/${id}/people`, (page) => page.getByText('deployer').waitFor()],
  [
    'alice',
    'agent preview',
    ({ id }) => `#/p/${id}/preview`,
    async (page) => {
      await page.getByRole('button', { name: 'Preview' }).click();
      await page.getByRole('table', { name: 'Names and what the agent would get' }).waitFor();
    },
  ],
  [
    'alice',
    'audit',
    ({ id }) => `#/p/${id}/audit`,
    (page) => page.getByRole('table', { name: 'Audit events' }).waitFor(),
  ],
  ['alice', 'receipts', () => '#/receipt', (page) => page.getByRole('button', { name: 'Verify' }).waitFor()],
  ['alice', 'nothing', () => '#/no/such/view', (page) => page.getByText('Nothing here').last().waitFor()],
  [
    'alice',
    'an empty project',
    ({ empty }) => `#/p/${empty}`,
    (page) => page.getByText('No entries yet').waitFor(),
  ],
  [
    'alice',
    'giving a role',
    ({ id }) => `#/p/${id}/people`,
    async (page) => {
      await page.getByRole('button', { name: 'Give a role: Consulted' }).click();
      await page.getByRole('button', { name: 'Give role', exact: true }).click();
      await page.getByRole('dialog').locator('.field-error').waitFor();
    },
  ],
  [
    'alice',
    'shortcuts',
    ({ id }) => `#/p/${id}/milestones`,
    async (page) => {
      await page.getByRole('table', { name: 'Milestones' }).waitFor();
      await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
      await page.getByRole('dialog').waitFor();
    },
  ],
  [
    'alice',
    'rotating',
    ({ id, entries }) => `#/p/${id}/e/${entries.API_KEY.id}`,
    async (page) => {
      await page.getByRole('button', { name: 'Rotate', exact: true }).click();
      await page.getByRole('dialog').waitFor();
    },
  ],
  [
    'carol',
    'entries of who reads',
    ({ id }) => `#/p/${id}`,
    (page) => page.getByRole('link', { name: 'API_KEY' }).waitFor(),
  ],
  [
    'dave',
    'entry without its value',
    ({ id, entries }) => `#/p/${id}/e/${entries.API_KEY.id}`,
    (page) => page.getByRole('heading', { name: 'API_KEY' }).waitFor(),
  ],
  ['audrey', 'operation', () => '#/operation', (page) => page.getByRole('table', { name: 'Keys' }).waitFor()],
  [
    'audrey',
    'audit of everything',
    () => '#/audit',
    (page) => page.getByRole('table', { name: 'Audit events' }).waitFor(),
  ],
];

export function accessibility(test, it, browser) {
  for (const [theme, width] of [
    ['light', 1440],
    ['dark', 360],
  ]) {
    test(`axe-core finds nothing on any view, in the ${theme} theme at ${width} pixels`, async () => {
      const project = await it().project({
        entries: { API_KEY: VALUE, LAUNCH_TOKEN: { value: 'lt-live-0123456789abc', milestone: 'launch' } },
      });
      project.empty = (await it().project()).id;
      const found = [];
      await it().page(browser(), { colorScheme: theme, width, reducedMotion: 'reduce' }, async (page) => {
        await page.getByRole('heading', { name: 'Sign in' }).waitFor();
        found.push(...(await findings(page)).map((finding) => `sign-in: ${finding}`));
        let signedIn;
        for (const [person, name, at, there] of VIEWS) {
          if (signedIn !== person) {
            if (signedIn) await page.getByRole('button', { name: 'Sign out' }).click();
            await it().signIn(page, person);
            signedIn = person;
          }
          await page.evaluate((hash) => {
            location.hash = hash;
          }, at(project));
          await there(page, project);
          await page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
          found.push(...(await findings(page)).map((finding) => `${name}: ${finding}`));
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (overflow > 0) found.push(`${name}: ${overflow} pixels wider than the window`);
          if (await page.getByRole('dialog').count()) await page.keyboard.press('Escape');
        }
      });
      assert.deepEqual(found, []);
    });
  }
}
