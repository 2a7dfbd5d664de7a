// Milestones, people and agents, what an agent would get, the audit log, receipts, and the operator's page.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dialog, press, show, told } from '../support/page.mjs';
import { inDays } from '../support/world.mjs';

const VALUE = 'sk-live-0123456789abc';

export function project(test, it, browser) {
  test('milestones are open, upcoming or closed, and alice closes one', async () => {
    const { id, milestone } = await it().project({
      milestones: { later: { opensAt: inDays(3), closesAt: inDays(9) }, past: { closesAt: inDays(-2) } },
      entries: { LAUNCH_KEY: { value: VALUE, milestone: 'launch' } },
    });
    await it().page(browser(), { as: 'alice', at: `#/p/${id}/milestones` }, async (page) => {
      const row = (name) =>
        page
          .getByRole('table', { name: 'Milestones' })
          .getByRole('row')
          .filter({ hasText: milestone(name) });
      for (const [name, phase] of [
        ['launch', 'Open'],
        ['later', 'Upcoming'],
        ['past', 'Closed'],
      ])
        await row(name).getByText(phase, { exact: true }).first().waitFor();
      assert.equal(await row('past').getByRole('button').count(), 0, 'a closed one is closed');
      await row('launch')
        .getByRole('button', { name: /^Close/ })
        .click();
      await dialog(page).getByText('Only the platform can reopen it').waitFor();
      await press(dialog(page), 'Close now');
      await told(page, `${milestone('launch')} is closed`);
      await row('launch').getByText('Closed', { exact: true }).first().waitFor();
      await row('launch').getByRole('link', { name: '1 entry' }).click();
      await page.getByRole('link', { name: 'LAUNCH_KEY' }).waitFor();
      assert.equal(await page.getByLabel('Scope', { exact: true }).inputValue(), `m:${milestone('launch')}`);
    });
    const { projectVault } = await it().do(
      'user:dave',
      `{ projectVault(projectId: "${id}") { milestones { id vaultPhase { open } } } }`,
    );
    assert.equal(
      projectVault.milestones.find((one) => one.id === milestone('launch')).vaultPhase.open,
      false,
    );
  });

  test('alice gives and revokes roles, and is told why the last Accountable person stays', async () => {
    const { id } = await it().project();
    const roleOf = async (person) =>
      (
        await it().do('user:alice', `{ projectVault(projectId: "${id}") { members { user { id } role } } }`)
      ).projectVault.members
        .filter(({ user }) => user?.id === person)
        .map(({ role }) => role);
    await it().page(browser(), { as: 'alice', at: `#/p/${id}/people` }, async (page) => {
      await page.getByText('The last Accountable person stays').waitFor();
      assert.equal(await page.getByRole('button', { name: 'Revoke Accountable from alice' }).count(), 0);

      await press(page, 'Give a role: Consulted');
      await dialog(page).getByLabel('Person').fill('not an id');
      await press(dialog(page), 'Give role');
      await dialog(page)
        .locator('.field')
        .filter({ has: page.getByLabel('Person') })
        .locator('.field-error')
        .waitFor();
      await dialog(page).getByLabel('Person').fill('erin');
      await press(dialog(page), 'Give role');
      await told(page, 'erin is Consulted now');
      assert.deepEqual(await roleOf('erin'), ['CONSULTED']);
      await press(page, 'Revoke Consulted from erin');
      await press(dialog(page), 'Revoke');
      await told(page, 'erin is not Consulted any more');
      assert.deepEqual(await roleOf('erin'), []);

      await press(page, 'Give a role: Accountable');
      await dialog(page).getByLabel('Person').fill('frank');
      await press(dialog(page), 'Give role');
      await told(page, 'frank is Accountable now');
      // Two now, so both are offered; meanwhile the other one goes, and the server refuses.
      await page.getByRole('button', { name: 'Revoke Accountable from alice' }).waitFor();
      await it().change(
        'user:alice',
        'revokeVaultRole',
        { projectId: id, userId: 'frank', role: 'ACCOUNTABLE' },
        'VaultRoleInput',
      );
      await press(page, 'Revoke Accountable from alice');
      await dialog(page).getByText('This is your own role').waitFor();
      await press(dialog(page), 'Revoke');
      await dialog(page)
        .getByRole('alert')
        .getByText(/Accountable/)
        .waitFor();
      assert.deepEqual(await roleOf('alice'), ['ACCOUNTABLE']);
    });
  });

  test('alice assigns and unassigns agents, and changes which names sessions get', async () => {
    const { id, milestone } = await it().project({ entries: { PLAIN: VALUE } });
    await it().page(browser(), { as: 'alice', at: `#/p/${id}/people` }, async (page) => {
      const row = (agent) =>
        page.getByRole('table', { name: 'Agents' }).getByRole('row').filter({ hasText: agent });
      await row('builder').getByText('project only').waitFor();
      await row('deployer').getByText(milestone('launch')).waitFor();
      await press(page, 'Assign an agent');
      await dialog(page).getByLabel('Agent', { exact: true }).fill('unheard-of');
      await press(dialog(page), 'Assign an agent');
      await dialog(page).locator('.field-error').or(dialog(page).getByRole('alert')).first().waitFor();
      await dialog(page).getByLabel('Agent', { exact: true }).fill('builder');
      await dialog(page).getByLabel('Milestone').selectOption(milestone('launch'));
      await press(dialog(page), 'Assign an agent');
      await told(page, 'builder is assigned');
      await row('builder').getByText(milestone('launch')).waitFor();
      await row('deployer').getByRole('button').click();
      await press(dialog(page), 'Unassign');
      await told(page, 'deployer is unassigned');
      await row('deployer').waitFor({ state: 'detached' });

      await press(page, 'Change');
      await dialog(page)
        .getByLabel('Every name that is not reserved')
        .or(dialog(page).getByLabel(/Approved names and names/))
        .first()
        .waitFor();
      await dialog(page)
        .getByRole('radio', { name: /Approved names and names/ })
        .check();
      await dialog(page).getByRole('textbox', { name: 'Approved names' }).fill('HELPER_URL');
      await press(dialog(page), 'Save');
      await told(page, 'The rule was saved');
      await page.locator('main').getByText('HELPER_URL').waitFor();
      await page.getByRole('link', { name: 'Entries' }).first().click();
      await page.getByRole('row').filter({ hasText: 'PLAIN' }).getByText('Not in sessions').waitFor();
    });
  });

  test('bob sees what an agent would get, and why not', async () => {
    const { id, milestone, entries } = await it().project({
      milestones: { past: { closesAt: inDays(-2) } },
      entries: {
        API_KEY: VALUE,
        OLD_KEY: VALUE,
        OFF_KEY: VALUE,
        LAUNCH_KEY: { value: VALUE, milestone: 'launch' },
      },
    });
    await it().change('user:alice', 'updateVaultEntry', { id: entries.OLD_KEY.id, expiresAt: inDays(-1) });
    await it().change('user:alice', 'disableVaultEntry', entries.OFF_KEY.id);
    await it().page(browser(), { as: 'bob', at: `#/p/${id}/preview` }, async (page) => {
      const outcome = (name) =>
        page
          .getByRole('table', { name: /would get/ })
          .getByRole('row')
          .filter({ hasText: name });
      const ask = () => press(page, 'Preview');
      await page.getByLabel('Agent', { exact: true }).selectOption('builder');
      await page.getByLabel('Names', { exact: false }).first().fill('API_KEY, OLD_KEY OFF_KEY WORKSPACE_URL');
      await page.getByLabel('Provided by the workspace').fill('WORKSPACE_URL');
      await ask();
      for (const [name, says] of [
        ['API_KEY', 'From the project'],
        ['OLD_KEY', 'The entry has expired'],
        ['OFF_KEY', 'No live entry has this name'],
        ['WORKSPACE_URL', 'The workspace provides this name'],
      ])
        await outcome(name).getByText(says).waitFor();
      await page.getByText('The agent would receive 1 value.').waitFor();
      await page.getByLabel('Milestone').selectOption(milestone('launch'));
      await ask();
      await page.getByRole('alert').getByText('not assigned to this milestone').waitFor();
      await page.getByLabel('Agent', { exact: true }).selectOption('deployer');
      await page.getByLabel('Names', { exact: false }).first().fill('LAUNCH_KEY');
      await ask();
      await outcome('LAUNCH_KEY')
        .getByText(`From the milestone ${milestone('launch')}`)
        .waitFor();
      await page.getByLabel('Milestone').selectOption(milestone('past'));
      await ask();
      await page.getByText('This milestone is not open now').waitFor();
      await it().do(
        'service:platform',
        `mutation { setProjectVaultStatus(input: { projectId: "${id}", status: PAUSED }) {
          userErrors { message } } }`,
      );
      await ask();
      await page.getByRole('alert').getByText('The project is not active').waitFor();
    });
    assert.equal(
      (await it().entry(entries.API_KEY.id, 'resolveCount')).resolveCount,
      0,
      'a preview resolves nothing',
    );
  });

  test('the audit log is filtered, a burst of denials stands out, and it is exported', async () => {
    const { id, entries } = await it().project({ entries: { API_KEY: VALUE, OTHER_KEY: VALUE } });
    await it().change('user:bob', 'rotateVaultEntry', {
      id: entries.API_KEY.id,
      value: 'sk-live-9876543210cba',
    });
    // Denials that are alike become one event, so these differ.
    for (const { id: entry } of Object.values(entries)) {
      for (const step of ['disable', 'enable', 'delete'])
        await it().ask('user:dave', `mutation { ${step}VaultEntry(id: "${entry}") { userErrors { code } } }`);
    }
    await it().page(
      browser(),
      { as: 'alice', at: `#/p/${id}/audit`, acceptDownloads: true },
      async (page) => {
        const rows = page.getByRole('table', { name: 'Audit events' }).locator('tbody tr');
        const shown = async (wanted) => {
          for (let tries = 0; tries < 60; tries += 1) {
            const found = (await rows.count()) ? await rows.allTextContents() : [];
            if (found.length && found.every(wanted)) return found.length;
            await page.waitForTimeout(50);
          }
          return assert.fail(`not only what was asked for: ${await rows.allTextContents()}`);
        };
        await page.getByText('Many denials').waitFor();
        await page.getByText(/dave was denied \d+ times/).waitFor();
        const all = await rows.count();
        await page.getByRole('button', { name: /Show.*dave/ }).click();
        await shown((text) => text.includes('user:dave') && text.includes('Denied'));
        assert.match(page.url(), /actor=user%3Adave&?|outcome=DENIED/);
        await press(page, 'Clear filters');
        await page.getByText('Many denials').waitFor();

        await page.getByLabel('Action').selectOption('Entry rotated');
        assert.equal(await shown((text) => text.includes('Entry rotated') && text.includes('user:bob')), 1);
        await page.getByLabel('Action').selectOption('All actions');
        await page.getByLabel('Outcome').selectOption('Denied');
        await shown((text) => text.includes('Denied'));
        await page.getByLabel('Outcome').selectOption('All outcomes');
        await page.getByLabel('Actor').fill('bob');
        await shown((text) => text.includes('user:bob'));
        await page.getByLabel('Actor').fill('');
        await page.getByLabel('Entry', { exact: true }).fill(entries.OTHER_KEY.id);
        await shown((text) => text.includes('OTHER_KEY'));
        await page.getByLabel('Entry', { exact: true }).fill('');
        await page.getByLabel('From').fill('2001-01-01T00:00');
        await page.getByLabel('To', { exact: true }).fill('2001-01-02T00:00');
        await page.getByText('No event matches these filters').waitFor();
        await press(page, 'Clear filters');
        await shown(() => true);

        for (const [format, read] of [
          [
            'JSON lines',
            (text) =>
              text
                .trim()
                .split('\n')
                .map((line) => JSON.parse(line)),
          ],
          ['CSV', (text) => text.trim().split('\r\n').slice(1)],
        ]) {
          await press(page, 'Export');
          const [file] = await Promise.all([page.waitForEvent('download'), press(dialog(page), format)]);
          const events = read(await readFile(await file.path(), 'utf8'));
          assert.ok(events.length >= all, `${events.length} events in ${file.suggestedFilename()}`);
          await told(page, 'exported');
        }
      },
    );
  });

  test('receipts are verified in the page', async () => {
    const { id } = await it().project({ entries: { API_KEY: VALUE } });
    const { receipt } = await it().resolve(id, ['API_KEY']);
    const [header, payload, signature] = receipt.split('.');
    const withHeader = (more) =>
      Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(header, 'base64url')), ...more })).toString(
        'base64url',
      );
    const flipped = payload.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    await it().page(browser(), { as: 'dave', at: '#/receipt' }, async (page) => {
      const asked = [];
      page.on('request', (request) => asked.push(request.postData() ?? ''));
      const paste = async (text) => {
        await page.getByLabel('Receipt', { exact: true }).fill(text);
        await press(page, 'Verify');
      };
      await paste(receipt);
      await page.getByText('The signature is valid').waitFor();
      for (const says of ['Values that were released to an agent', 'builder', id])
        await page.locator('.claims').getByText(says).first().waitFor();
      await paste(`  ${header}.${payload}.\n${signature} `);
      await page.getByText('The signature is valid').waitFor();
      for (const [text, says] of [
        ['nonsense', 'This is not a receipt'],
        [
          `${header}.${payload}.${signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))}`,
          'The signature does not fit',
        ],
        [`${header}.${flipped}.${signature}`, /not a receipt|does not fit/],
        [`${withHeader({ kid: 'other' })}.${payload}.${signature}`, 'a key that this vault does not publish'],
        [`${withHeader({ alg: 'none' })}.${payload}.`, 'This is not a receipt'],
      ]) {
        await paste(text);
        await page.getByRole('alert').getByText(says).waitFor();
      }
      assert.ok(
        asked.every((body) => !body.includes(payload)),
        'the receipt is sent nowhere',
      );
    });
  });

  test('audrey sees the state of the installation and the log of everything; alice does not', async () => {
    const { id, entries } = await it().project({ entries: { API_KEY: VALUE } });
    await it().page(browser(), { as: 'audrey', at: '#/operation' }, async (page) => {
      for (const part of ['Database', 'Authorizer', 'Keyring'])
        await page
          .getByRole('listitem')
          .filter({ hasText: part })
          .getByText('Ready', { exact: true })
          .waitFor();
      const keys = page.getByRole('table', { name: 'Keys' });
      for (const kind of ['Master', 'Data', 'Signing'])
        await keys.getByRole('row').filter({ hasText: kind }).first().waitFor();
      await page.getByText('Every change of permissions was applied').waitFor();
      await page.getByRole('heading', { name: 'Signed heads' }).waitFor();
      await page.getByRole('heading', { name: 'Audit log verified' }).waitFor();
      await show(page, '#/audit', 'Audit');
      await page.getByLabel('Entry', { exact: true }).fill(entries.API_KEY.id);
      const row = page
        .getByRole('table', { name: 'Audit events' })
        .getByRole('row')
        .filter({ hasText: 'Entry created' });
      await row.getByText(id).first().waitFor();
    });
    await it().page(browser(), { as: 'alice', at: '#/operation' }, async (page) => {
      await page.getByText('This page is for auditors').waitFor();
      assert.equal(await page.getByRole('table', { name: 'Keys' }).count(), 0);
    });
  });
}
