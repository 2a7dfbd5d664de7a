// The dashboard of a vault whose people come through a gateway: Hive's, of another origin than the page's.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { freePort } from '../gateways/free-port.mjs';
import { startHive } from '../gateways/hive.mjs';
import { sdl, startProjects } from '../gateways/projects.mjs';
import { startRecorder } from '../gateways/record.mjs';
import { openBrowser } from './support/browser.mjs';
import { startEmbedded } from './support/embedded.mjs';
import { dialog, press, told, withToken } from './support/page.mjs';

const VALUE = 'sk-live-0123456789abc';

let world, browser, projects, recorder, gateway;
before(async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/graphql`;
  [world, projects, browser] = await Promise.all([
    startEmbedded({ env: { VAULT_DASHBOARD_GRAPHQL_URL: url } }).then((world) => world.prepare()),
    startProjects(),
    openBrowser(),
  ]);
  recorder = await startRecorder(`${world.origin}/graphql`);
  gateway = await startHive(
    [
      { name: 'projects', url: projects.url, sdl },
      { name: 'vault', url: recorder.url, sdl: await world.sdl() },
    ],
    { port },
  );
  world.origins = [new URL(url).origin];
});
after(() =>
  Promise.all([browser?.close(), ...[gateway, recorder, world, projects].map((part) => part?.stop())]),
);

test('gateway: every view reads through it, and changes go through it', async () => {
  const { id, milestone, entries } = await world.project({ entries: { API_KEY: VALUE } });
  await world.page(browser, { as: 'alice' }, async (page) => {
    const asked = new Set();
    page.on(
      'request',
      (request) => request.url().includes('graphql') && asked.add(new URL(request.url()).origin),
    );
    await page.getByRole('link', { name: id }).waitFor();
    for (const [hash, there] of [
      [`#/p/${id}`, page.getByRole('link', { name: 'API_KEY' })],
      [`#/p/${id}/e/${entries.API_KEY.id}`, page.getByRole('table', { name: 'Audit events' })],
      [
        `#/p/${id}/milestones`,
        page.getByRole('table', { name: 'Milestones' }).getByText(milestone('launch')),
      ],
      [`#/p/${id}/people`, page.getByRole('table', { name: 'Agents' }).getByText('deployer')],
      [`#/p/${id}/audit`, page.getByRole('table', { name: 'Audit events' }).getByText('Project registered')],
    ]) {
      await page.evaluate((to) => {
        location.hash = to;
      }, hash);
      await there.waitFor();
    }
    await page.evaluate((to) => {
      location.hash = to;
    }, `#/p/${id}/preview`);
    await press(page, 'Preview');
    await page.getByText('The agent would receive 1 value.').waitFor();

    await page.evaluate((to) => {
      location.hash = to;
    }, `#/p/${id}/e/${entries.API_KEY.id}`);
    await press(page, 'Rotate');
    await dialog(page).getByLabel('New value').fill('sk-live-9876543210cba');
    await press(dialog(page), 'Rotate');
    await told(page, 'API_KEY has version 2 now');
    await dialog(page).waitFor({ state: 'detached' });
    await page.evaluate((to) => {
      location.hash = to;
    }, `#/p/${id}/import`);
    await page.getByLabel('.env text').fill('NEW_KEY=0123456789abc\n1BAD=x');
    await press(page, 'Preview');
    await page.getByRole('table').getByText('Refused').first().waitFor();
    await page.getByLabel('.env text').fill('NEW_KEY=0123456789abc');
    await press(page, 'Preview');
    await press(page, 'Import');
    await told(page, 'Imported: 1 new');
    assert.deepEqual([...asked], [new URL(gateway.url).origin], 'the page asks the gateway alone');
  });
});

test("gateway: several changes go in one operation, and the operator's page is read", async () => {
  const { id } = await world.project({ entries: { A_KEY: VALUE, B_KEY: VALUE } });
  await world.page(browser, { as: 'alice', at: `#/p/${id}` }, async (page) => {
    for (const name of ['A_KEY', 'B_KEY']) await page.getByLabel(`Select ${name}`).check();
    await press(page, 'Disable');
    await press(page, 'Review');
    await press(dialog(page), 'Save 2 changes');
    await told(page, '2 changes saved');
  });
  await world.page(browser, { as: 'audrey', at: '#/operation' }, async (page) => {
    await page.getByRole('table', { name: 'Keys' }).waitFor();
  });
});

test('gateway: refusals and a session that ends are understood behind it', async () => {
  const { id } = await world.project({ entries: { TAKEN: VALUE } });
  await world.page(browser, { at: `#/p/${id}/new` }, async (page) => {
    await withToken(page, await world.token('user:bob', { ttl: 6 }));
    await page.getByLabel('Name', { exact: true }).fill('GOOD_KEY');
    await page.getByLabel('Value', { exact: true }).fill(VALUE);
    await page.getByLabel('Expires').fill('2001-01-01T00:00');
    await press(page, 'Create entry');
    await page
      .locator('.field')
      .filter({ has: page.getByLabel('Expires') })
      .locator('.field-error')
      .waitFor();
    await page.getByRole('dialog', { name: 'Your session has ended' }).waitFor();
    await dialog(page).getByRole('button', { name: 'Continue as bob' }).click();
    await page.getByLabel('Expires').fill('');
    await press(page, 'Create entry');
    await told(page, 'GOOD_KEY was created');
  });
  await world.page(browser, { at: '#/', allow: [/status of/] }, async (page) => {
    await withToken(page, 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.AAAA');
    await page.getByRole('dialog', { name: 'Your session has ended' }).waitFor();
  });
});

// The last one: nothing is there after it.
test('gateway: a vault that does not answer behind it is spoken of in words', async () => {
  const { id } = await world.project({ entries: { API_KEY: VALUE } });
  await world.page(
    browser,
    { as: 'alice', at: '#/receipt', allow: [/Failed to load resource/] },
    async (page) => {
      await recorder.stop();
      await page.evaluate((to) => {
        location.hash = to;
      }, `#/p/${id}`);
      await page.getByRole('alert').waitFor();
      await page.getByRole('button', { name: 'Try again' }).waitFor();
      assert.ok(!(await page.locator('main').innerText()).includes(new URL(recorder.url).host));
    },
  );
});
