// What is done with entries: on their pages, by import, and several together.
import assert from 'node:assert/strict';
import { dialog, press, told } from '../support/page.mjs';
import { inDays } from '../support/world.mjs';

const VALUE = 'sk-live-0123456789abc';
const OTHER = 'sk-live-9876543210cba';

export function entries(test, it, browser) {
  const onEntry = async (as, more, use) => {
    const project = await it().project({ entries: { API_KEY: VALUE, ...more } });
    const { id } = project.entries.API_KEY;
    await it().page(browser(), { as, at: `#/p/${project.id}/e/${id}` }, async (page) => {
      await page.getByRole('heading', { level: 1, name: 'API_KEY' }).waitFor();
      await use(page, { project, id });
    });
  };

  test('bob creates an entry of a milestone, with everything', async () => {
    const { id, milestone } = await it().project();
    await it().page(browser(), { as: 'bob', at: `#/p/${id}` }, async (page) => {
      await page.getByText('No entries yet').waitFor();
      await page.locator('main').getByRole('link', { name: 'New entry' }).first().click();
      await page.getByLabel('Name', { exact: true }).fill('DEPLOY_TOKEN');
      await page.getByLabel('Value', { exact: true }).fill(VALUE);
      await page.getByLabel('Category').selectOption('Access token');
      await page.getByLabel('Scope').selectOption(`Milestone ${milestone('launch')}`);
      await page.getByLabel('Expires').fill('2099-12-31T12:00');
      await page.getByLabel('Rotate every').fill('90');
      await page.getByLabel('Description').fill('Deploys.');
      await press(page, 'Create entry');
      await told(page, 'DEPLOY_TOKEN was created');
      await page.getByRole('heading', { level: 1, name: 'DEPLOY_TOKEN' }).waitFor();
      const main = page.locator('main');
      for (const says of [
        'Deploys.',
        'sk-****abc',
        'every 90 days',
        'Access token',
        `Milestone ${milestone('launch')}`,
      ])
        await main.getByText(says).first().waitFor();
      const { projectVault } = await it().do(
        'user:bob',
        `{ projectVault(projectId: "${id}") {
        entry(name: "DEPLOY_TOKEN", milestoneId: "${milestone('launch')}") {
        expiresAt rotationIntervalDays category description version createdBy { id } } } }`,
      );
      assert.deepEqual(projectVault.entry, {
        // What was typed is in the zone of the browser, an hour ahead of UTC.
        expiresAt: '2099-12-31T11:00:00.000Z',
        rotationIntervalDays: 90,
        category: 'ACCESS_TOKEN',
        description: 'Deploys.',
        version: 1,
        createdBy: { id: 'bob' },
      });
      await page.getByRole('main').getByRole('link', { name: 'Entries' }).first().click();
      await page.getByRole('link', { name: 'DEPLOY_TOKEN' }).waitFor();
    });
  });

  test('what is refused is said next to its field, and nothing that was typed is lost', async () => {
    const { id } = await it().project({ entries: { TAKEN: VALUE } });
    await it().page(browser(), { as: 'bob', at: `#/p/${id}/new` }, async (page) => {
      const name = page.getByLabel('Name', { exact: true });
      const value = page.getByLabel('Value', { exact: true });
      const says = async (field, message) => {
        await page
          .locator('.field')
          .filter({ has: field })
          .locator('.field-error')
          .getByText(message)
          .waitFor();
        assert.equal(await field.getAttribute('aria-invalid'), 'true');
        const described = await field.getAttribute('aria-describedby');
        const texts = await Promise.all(
          described.split(' ').map((id) => page.locator(`[id="${id}"]`).textContent()),
        );
        assert.match(texts.join(' '), message);
      };
      await press(page, 'Create entry');
      await says(name, /Fill this in/);
      await says(value, /Fill this in/);
      assert.ok(
        await name.evaluate((field) => field === document.activeElement),
        'the first field with an error has the focus',
      );
      await name.fill('1-BAD');
      await press(page, 'Create entry');
      await says(name, /letters, digits and underscores/);
      await name.fill('GOOD_KEY');
      await value.fill(VALUE);
      // The server alone knows these.
      for (const [label, given, message, good] of [
        ['Expires', '2001-01-01T00:00', /future|past/i, ''],
        ['Rotate every', '0', /day|least|between/i, '30'],
      ]) {
        const field = page.getByLabel(label);
        await field.fill(given);
        await press(page, 'Create entry');
        await says(field, message);
        assert.equal(await value.inputValue(), VALUE);
        await field.fill(good);
      }
      await page.getByLabel('Category').selectOption('Certificate');
      await press(page, 'Create entry');
      await says(value, /certificate|PEM/i);
      await page.getByLabel('Category').selectOption('API key');
      // What concerns no field is said above the button.
      await name.fill('TAKEN');
      await press(page, 'Create entry');
      await page.getByRole('alert').getByText('Nothing was saved').waitFor();
      await name.fill('FREE_KEY');
      await press(page, 'Create entry');
      await told(page, 'FREE_KEY was created');
    });
  });

  test('bob rotates an entry, rolls it back, disables and enables it', async () => {
    await onEntry('bob', {}, async (page, { id }) => {
      await press(page, 'Rotate');
      await press(dialog(page), 'Rotate');
      await dialog(page).locator('.field-error').getByText('Fill this in').waitFor();
      await dialog(page).getByLabel('New value').fill(OTHER);
      await press(dialog(page), 'Rotate');
      await told(page, 'API_KEY has version 2 now');
      await page.getByRole('row').filter({ hasText: 'v2' }).getByText('current').waitFor();
      assert.deepEqual(await it().entry(id, 'version maskedValue'), {
        version: 2,
        maskedValue: 'sk-****cba',
      });

      await page.getByRole('button', { name: 'Roll back to version 1' }).click();
      await dialog(page).getByText('Version 3 will have the value of version 1 (sk-****abc)').waitFor();
      await press(dialog(page), 'Roll back');
      await told(page, 'it has version 3 now');
      await page.getByRole('row').filter({ hasText: 'v3' }).getByText('value of version 1').waitFor();
      assert.deepEqual(await it().entry(id, 'version maskedValue'), {
        version: 3,
        maskedValue: 'sk-****abc',
      });

      await press(page, 'Disable');
      await dialog(page).getByText('are told that it does not exist').waitFor();
      await press(dialog(page), 'Cancel');
      assert.equal((await it().entry(id)).status, 'ACTIVE');
      await press(page, 'Disable');
      await press(dialog(page), 'Disable');
      await told(page, 'API_KEY is disabled');
      await page.getByText('This entry is disabled').waitFor();
      assert.equal((await it().entry(id)).status, 'DISABLED');
      await press(page, 'Enable');
      await press(dialog(page), 'Enable');
      await told(page, 'API_KEY is enabled');
      assert.equal((await it().entry(id)).status, 'ACTIVE');
    });
  });

  test('alice deletes an entry, restores it, deletes it again, and erases it', async () => {
    await onEntry('alice', {}, async (page, { project, id }) => {
      const take = async (step, says) => {
        await press(page, step);
        await press(dialog(page), step);
        await told(page, says);
      };
      await take('Delete', 'API_KEY was deleted');
      await page.getByText('This entry is deleted').waitFor();
      assert.equal(await page.getByRole('button', { name: 'Rotate' }).count(), 0);
      assert.equal((await it().entry(id)).status, 'DELETED');
      await take('Restore', 'API_KEY was restored');
      await page.getByRole('button', { name: 'Rotate', exact: true }).waitFor();
      assert.equal((await it().entry(id)).status, 'ACTIVE');
      await take('Delete', 'API_KEY was deleted');
      await press(page, 'Erase now');
      await dialog(page).getByText('Nobody can bring them back').waitFor();
      await press(dialog(page), 'Erase now');
      await told(page, 'API_KEY was erased');
      await page.getByText('No entries yet').waitFor();
      assert.equal(await it().entry(id), null);
      await page.getByLabel('Status', { exact: true }).selectOption('Deleted');
      await page.getByText('No entry matches').waitFor();
      assert.match(page.url(), new RegExp(`#/p/${project.id}`));
    });
  });

  test('an entry that expires is shown as expired, and a rotation asks for a new expiry', async () => {
    await onEntry('alice', {}, async (page, { id }) => {
      await press(page, 'Edit');
      await dialog(page).getByLabel('Expires').fill('2001-01-01T00:00');
      await press(dialog(page), 'Save');
      await page.getByText('This entry has expired').waitFor();
      assert.equal((await it().entry(id)).status, 'EXPIRED');
      await press(page, 'Rotate');
      await dialog(page).getByLabel('New value').fill(OTHER);
      await press(dialog(page), 'Rotate');
      await dialog(page).locator('.field-error').getByText('Fill this in').waitFor();
      await dialog(page).getByLabel('Never expires').check();
      await press(dialog(page), 'Rotate');
      await told(page, 'version 2');
      assert.deepEqual(await it().entry(id, 'status expiresAt'), { status: 'ACTIVE', expiresAt: null });
    });
  });

  test('who held a version is shown', async () => {
    await onEntry('alice', {}, async (page, { project }) => {
      await page.getByText('No agent has received this version').waitFor();
      await it().resolve(project.id, ['API_KEY']);
      await press(page, 'Disable');
      await press(dialog(page), 'Disable');
      await page.getByRole('table', { name: 'Who holds this version' }).getByText('builder').waitFor();
      await page.getByText('received 1 time').waitFor();
      await page.getByRole('table', { name: 'Audit events' }).getByText('Secret resolved').waitFor();
    });
  });

  test('a change that meets another one shows both states, and the person chooses', async () => {
    await onEntry('bob', {}, async (page, { id }) => {
      const edit = async (mine, theirs) => {
        await press(page, 'Edit');
        await dialog(page).getByLabel('Description').fill(mine);
        await it().change('user:alice', 'updateVaultEntry', { id, description: theirs });
        await press(dialog(page), 'Save');
        await dialog(page).getByText('Somebody changed this entry meanwhile').first().waitFor();
        await dialog(page).getByText('alice changed it').waitFor();
        const cells = await dialog(page)
          .getByRole('row')
          .filter({ hasText: 'Description' })
          .getByRole('cell')
          .allTextContents();
        return cells.map((cell) => cell.trim());
      };
      assert.deepEqual(await edit('mine', 'theirs'), ['Description', '—', 'theirs', 'mine']);
      await press(dialog(page), 'Discard mine');
      await page.locator('main').getByText('theirs').waitFor();
      assert.equal((await it().entry(id)).description, 'theirs');
      assert.deepEqual(await edit('mine again', 'theirs again'), [
        'Description',
        'theirs',
        'theirs again',
        'mine again',
      ]);
      await press(dialog(page), 'Save mine over it');
      await told(page, 'API_KEY was saved');
      await page.locator('main').getByText('mine again').waitFor();
      assert.equal((await it().entry(id)).description, 'mine again');

      await press(page, 'Rotate');
      await dialog(page).getByLabel('New value').fill(OTHER);
      await it().change('user:alice', 'rotateVaultEntry', { id, value: 'sk-alice-0123456789xyz' });
      await press(dialog(page), 'Rotate');
      const row = page.getByRole('dialog', { name: 'Somebody changed' }).getByRole('row');
      await row.filter({ hasText: 'Value' }).getByText('(your new value)').waitFor();
      await row.filter({ hasText: 'Value' }).getByText('sk-****xyz').waitFor();
      await row.filter({ hasText: 'Version' }).waitFor();
      await press(page, 'Save mine over it');
      await told(page, 'API_KEY has version 3 now');
      assert.deepEqual(await it().entry(id, 'version maskedValue'), {
        version: 3,
        maskedValue: 'sk-****cba',
      });
    });
  });

  test('an import is shown before it is made, with the lines that are refused', async () => {
    const { id } = await it().project({
      entries: { API_KEY: VALUE, SAME_TOKEN: 'sk-same-0123456789-0123456789' },
    });
    await it().page(browser(), { as: 'bob', at: `#/p/${id}/import` }, async (page) => {
      const text = page.getByLabel('.env text');
      const table = page.getByRole('table', { name: 'What the import would do' });
      const line = (name) => table.getByRole('row').filter({ hasText: name });
      await press(page, 'Preview');
      await page.locator('.field-error').getByText('Paste a text first').waitFor();
      await text.fill(
        `API_KEY=${OTHER}\nSAME_TOKEN=sk-same-0123456789-0123456789\n1BAD=x\nNEW_SECRET=nn-live-0123456789\n`,
      );
      await press(page, 'Preview');
      await line('API_KEY').getByText('Rotated').waitFor();
      await line('SAME_TOKEN').getByText('Looks the same').waitFor();
      await line('NEW_SECRET').getByText('New').first().waitFor();
      assert.equal(
        (
          await table.getByRole('row').filter({ hasText: 'Refused' }).getByRole('cell').first().textContent()
        ).trim(),
        '3',
      );
      await page.getByText('Nothing can be imported until').waitFor();
      assert.equal(await page.getByRole('button', { name: 'Import', exact: true }).count(), 0);
      const before = await it().do(
        'user:bob',
        `{ projectVault(projectId: "${id}") { entries { totalCount } } }`,
      );
      assert.equal(before.projectVault.entries.totalCount, 2, 'the preview has written nothing');

      await text.fill(`API_KEY=${OTHER}\nNEW_SECRET=nn-live-0123456789\n`);
      assert.equal(await table.count(), 0, 'what was previewed is not what is there now');
      await page.getByLabel('Names that exist').selectOption('Leave them as they are');
      await press(page, 'Preview');
      await line('API_KEY').getByText('Skipped').waitFor();
      await page.getByLabel('Names that exist').selectOption('Rotate them to the new value');
      await press(page, 'Preview');
      await press(page, 'Import');
      await told(page, 'Imported: 1 new, 1 rotated, 0 skipped');
      await page.getByRole('link', { name: 'NEW_SECRET' }).waitFor();
      await page.getByRole('row').filter({ hasText: 'API_KEY' }).getByText('v2').waitFor();
    });
  });

  test('a file is imported by choosing it and by dropping it', async () => {
    const { id } = await it().project();
    await it().page(browser(), { as: 'bob', at: `#/p/${id}/import` }, async (page) => {
      await page.locator('input[type=file]').setInputFiles({
        name: '.env',
        mimeType: 'text/plain',
        buffer: Buffer.from('FROM_FILE_KEY=0123456789abc\n'),
      });
      await page.getByRole('table').getByText('FROM_FILE_KEY').waitFor();
      const data = await page.evaluateHandle(() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(['DROPPED_KEY=0123456789abc\n'], '.env'));
        return transfer;
      });
      await page.getByLabel('.env text').dispatchEvent('drop', { dataTransfer: data });
      await page.getByRole('table').getByText('DROPPED_KEY').waitFor();
      await press(page, 'Import');
      await told(page, 'Imported: 1 new');
    });
  });

  test('several changes wait, are saved together, and warn who leaves without saving', async () => {
    const { id, entries } = await it().project({ entries: { A_KEY: VALUE, B_KEY: VALUE, C_KEY: VALUE } });
    await it().page(browser(), { as: 'alice', at: `#/p/${id}` }, async (page) => {
      for (const name of ['A_KEY', 'B_KEY']) await page.getByLabel(`Select ${name}`).check();
      const bar = page.getByRole('region', { name: 'Selected entries and staged changes' });
      await bar.getByText('2 entries selected').waitFor();
      await press(bar, 'Disable');
      await page.getByLabel('Select C_KEY').check();
      await press(bar, 'Set expiry');
      await dialog(page).getByLabel('Expires').fill('2099-01-01T00:00');
      await press(dialog(page), 'Add to the changes');
      await bar.getByText('3 changes to save').waitFor();
      assert.equal((await it().entry(entries.A_KEY.id)).status, 'ACTIVE', 'nothing is saved yet');

      await page.getByRole('link', { name: 'Milestones' }).click();
      await page.getByRole('dialog', { name: 'Leave without saving?' }).waitFor();
      await press(dialog(page), 'Cancel');
      await bar.getByText('3 changes to save').waitFor();

      // Meanwhile the third one changes: it stays, with the reason.
      await it().change('user:bob', 'updateVaultEntry', { id: entries.C_KEY.id, description: 'changed' });
      await press(bar, 'Review');
      await press(dialog(page), 'Save 3 changes');
      await dialog(page).getByText('1 change could not be saved').waitFor();
      await dialog(page).getByRole('row').filter({ hasText: 'C_KEY' }).locator('.field-error').waitFor();
      await told(page, '2 changes saved');
      assert.equal((await it().entry(entries.A_KEY.id)).status, 'DISABLED');
      assert.equal((await it().entry(entries.B_KEY.id)).status, 'DISABLED');
      await press(dialog(page), 'Cancel');
      await press(bar, 'Discard');
      await page.getByRole('row').filter({ hasText: 'A_KEY' }).getByText('Disabled').waitFor();
    });
  });

  test('entries are searched, filtered, sorted and grouped', async () => {
    const { id, milestone } = await it().project({
      entries: {
        ALPHA_KEY: VALUE,
        BETA_TOKEN: { value: VALUE, category: 'ACCESS_TOKEN', milestone: 'launch' },
        GAMMA_KEY: { value: VALUE, expiresAt: inDays(3) },
      },
    });
    await it().page(browser(), { as: 'carol', at: `#/p/${id}` }, async (page) => {
      const names = async (wanted) => {
        const links = page.locator('.grid .entry-link');
        for (let tries = 0; tries < 50; tries += 1) {
          const found = await links.allTextContents();
          if (JSON.stringify(found) === JSON.stringify(wanted)) return;
          await page.waitForTimeout(50);
        }
        assert.deepEqual(await links.allTextContents(), wanted);
      };
      await names(['ALPHA_KEY', 'GAMMA_KEY', 'BETA_TOKEN']);
      await page
        .getByText(`Milestone ${milestone('launch')}`)
        .last()
        .waitFor();
      await page.getByLabel('Group by scope').uncheck();
      await names(['ALPHA_KEY', 'BETA_TOKEN', 'GAMMA_KEY']);
      await page.getByRole('columnheader', { name: 'Name' }).getByRole('button').click();
      await names(['GAMMA_KEY', 'BETA_TOKEN', 'ALPHA_KEY']);
      assert.equal(
        await page.getByRole('columnheader', { name: 'Name' }).getAttribute('aria-sort'),
        'descending',
      );
      for (const [label, option, wanted] of [
        ['Category', 'Access token', ['BETA_TOKEN']],
        ['Scope', `Milestone ${milestone('launch')}`, ['BETA_TOKEN']],
        ['Attention', 'Expires within 7 days', ['GAMMA_KEY']],
        ['Status', 'Active', ['GAMMA_KEY', 'BETA_TOKEN', 'ALPHA_KEY']],
      ]) {
        await page.getByLabel(label, { exact: true }).selectOption(option);
        await names(wanted);
        await page.getByLabel(label, { exact: true }).selectOption({ index: 0 });
      }
      await page.getByLabel('Search names').fill('ta_to');
      await names(['BETA_TOKEN']);
      assert.ok(!page.url().includes('ta_to'), 'what is searched for is in no address');
      await page.getByLabel('Search names').fill('nothing');
      await page.getByText('No entry matches').waitFor();
      await page.getByRole('button', { name: 'Clear filters' }).first().click();
      await names(['GAMMA_KEY', 'BETA_TOKEN', 'ALPHA_KEY']);
    });
  });
}
