// A secret that was typed is nowhere afterwards.
import assert from 'node:assert/strict';
import { heapHolds } from '../support/heap.mjs';
import { dialog, press, show, told } from '../support/page.mjs';
import { unique } from '../support/world.mjs';

/** Types as a person does, so that no script of the test's own holds the text. */
async function type(page, field, text) {
  await field.focus();
  await page.keyboard.insertText(text);
}

/** The ways to enter a secret; each ends when it is saved. */
const WAYS = {
  create: async (page, { id }, secret) => {
    await show(page, `#/p/${id}/new`, 'New entry');
    await type(page, page.getByLabel('Name', { exact: true }), 'TYPED_KEY');
    await type(page, page.getByLabel('Value', { exact: true }), secret);
    await press(page, 'Show');
    await press(page, 'Create entry');
    await told(page, 'TYPED_KEY was created');
  },
  'rotate, after a conflict': async (page, { id, entries }, secret, world) => {
    await show(page, `#/p/${id}/e/${entries.API_KEY.id}`, 'API_KEY');
    await press(page, 'Rotate');
    await type(page, dialog(page).getByLabel('New value'), secret);
    await world.change('user:alice', 'updateVaultEntry', { id: entries.API_KEY.id, description: 'changed' });
    await press(dialog(page), 'Rotate');
    await press(page, 'Save mine over it');
    await told(page, 'API_KEY has version 2 now');
  },
  'rotate, given up': async (page, { id, entries }, secret) => {
    await show(page, `#/p/${id}/e/${entries.OTHER_KEY.id}`, 'OTHER_KEY');
    await press(page, 'Rotate');
    await type(page, dialog(page).getByLabel('New value'), secret);
    await press(dialog(page), 'Cancel');
    await dialog(page).waitFor({ state: 'detached' });
  },
  import: async (page, { id }, secret) => {
    await show(page, `#/p/${id}/import`, 'Import a .env file');
    await type(page, page.getByLabel('.env text'), `IMPORTED_KEY=${secret}`);
    await press(page, 'Preview');
    await page.getByRole('table').getByText('IMPORTED_KEY').waitFor();
    await press(page, 'Import');
    await told(page, 'Imported: 1 new');
  },
};

export function secrets(test, it, browser) {
  for (const [way, enter] of Object.entries(WAYS)) {
    test(`a typed secret is nowhere afterwards: ${way}`, async () => {
      const project = await it().project({
        entries: { API_KEY: 'sk-live-0123456789abc', OTHER_KEY: 'sk-live-0123456789abc' },
      });
      // The masks show the first three and the last three characters.
      const middle = unique('sentinel');
      await it().page(
        browser(),
        { as: 'bob', at: `#/p/${project.id}`, permissions: ['clipboard-read', 'clipboard-write'] },
        async (page, window) => {
          const urls = [];
          page.on('request', (request) => urls.push(request.url()));
          await page.getByRole('link', { name: 'API_KEY' }).waitFor();
          await enter(page, project, `sk-${middle}-end`, it());
          await page.waitForTimeout(300);
          assert.equal(await heapHolds(page, middle), false, 'the heap');
          assert.ok(!(await page.content()).includes(middle), 'the document');
          const fields = await page.evaluate(() =>
            [...document.querySelectorAll('input, textarea')].map(({ value }) => value).join('\n'),
          );
          assert.ok(!fields.includes(middle), 'the fields');
          assert.ok(![page.url(), ...urls].join('\n').includes(middle), 'the addresses');
          const session = await window.newCDPSession(page);
          const { entries } = await session.send('Page.getNavigationHistory');
          assert.ok(!JSON.stringify(entries).includes(middle), 'the history');
          const kept = await page.evaluate(async () =>
            JSON.stringify([
              { ...localStorage },
              { ...sessionStorage },
              document.cookie,
              history.state,
              await indexedDB.databases(),
              await caches.keys(),
              await navigator.clipboard.readText().catch(() => ''),
            ]),
          );
          assert.ok(!kept.includes(middle), kept);
          await page.goBack();
          await page.goForward();
          await page.waitForTimeout(100);
          assert.ok(!(await page.content()).includes(middle), 'the document, after going back');
        },
      );
    });
  }

  test('the search for a secret finds one that is there, and the field lets none be copied', async () => {
    const { id } = await it().project();
    const middle = unique('sentinel');
    await it().page(
      browser(),
      { as: 'bob', at: `#/p/${id}/new`, permissions: ['clipboard-read', 'clipboard-write'] },
      async (page) => {
        const field = page.getByLabel('Value', { exact: true });
        await type(page, field, middle);
        assert.notEqual(
          await field.evaluate((element) => getComputedStyle(element).webkitTextSecurity),
          'none',
          'it is hidden while it is typed',
        );
        assert.equal(await field.getAttribute('autocomplete'), 'off');
        await press(page, 'Show');
        assert.equal(await field.evaluate((element) => getComputedStyle(element).webkitTextSecurity), 'none');
        await field.press('Control+A');
        await field.press('Control+C');
        await field.press('Control+X');
        assert.equal(await page.evaluate(() => navigator.clipboard.readText().catch(() => '')), '');
        assert.equal(await field.inputValue(), middle);
        await page.evaluate(() => {
          globalThis.kept = document.querySelector('textarea').value;
        });
        assert.ok(await heapHolds(page, middle));
      },
    );
  });
}
