// What each role sees, and what it is not offered.
import assert from 'node:assert/strict';
import { show, withToken } from '../support/page.mjs';

const NEVER = [];
/** The pages of a project, the buttons and links of its list, and those of an entry's page, by role. */
const SEES = {
  alice: {
    role: 'Accountable',
    tabs: ['Entries', 'Milestones', 'People and agents', 'Agent preview', 'Audit'],
    list: ['Import', 'New entry'],
    columns: ['Select', 'Name', 'Value', 'Category', 'Status', 'Version', 'Expires', 'Last used', 'Changed'],
    entry: ['Rotate', 'Edit', 'Disable', 'Delete', 'Roll back to version 1'],
    sections: ['Versions', 'Who holds this version', 'Audit events'],
    statuses: ['All but deleted', 'Active', 'Expired', 'Disabled', 'Deleted'],
    people: ['Give a role: Accountable', 'Assign an agent', 'Change'],
    milestone: ['Close now'],
  },
  bob: {
    role: 'Responsible',
    tabs: ['Entries', 'Milestones', 'People and agents', 'Agent preview'],
    list: ['Import', 'New entry'],
    columns: ['Select', 'Name', 'Value', 'Category', 'Status', 'Version', 'Expires', 'Last used', 'Changed'],
    entry: ['Rotate', 'Edit', 'Disable', 'Roll back to version 1'],
    sections: ['Versions'],
    statuses: ['All but deleted', 'Active', 'Expired', 'Disabled'],
    people: NEVER,
    milestone: NEVER,
  },
  carol: {
    role: 'Consulted',
    tabs: ['Entries', 'Milestones', 'People and agents'],
    list: NEVER,
    columns: ['Name', 'Value', 'Category', 'Status', 'Version', 'Expires', 'Last used', 'Changed'],
    entry: NEVER,
    sections: ['Versions'],
    statuses: ['All but deleted', 'Active', 'Expired', 'Disabled'],
    people: NEVER,
    milestone: NEVER,
  },
  dave: {
    role: 'Informed',
    tabs: ['Entries', 'Milestones', 'People and agents'],
    list: NEVER,
    columns: ['Name', 'Category', 'Status', 'Version', 'Expires', 'Changed'],
    entry: NEVER,
    sections: NEVER,
    statuses: ['All but deleted', 'Active', 'Expired', 'Disabled'],
    people: NEVER,
    milestone: NEVER,
  },
};
/** Everything that some role is offered. */
const every = (part) => [...new Set(Object.values(SEES).flatMap((sees) => sees[part]))];
/** Pages that a project has, and the roles that may not open them. */
const CLOSED = {
  new: ['carol', 'dave'],
  import: ['carol', 'dave'],
  preview: ['carol', 'dave'],
  audit: ['bob', 'carol', 'dave'],
};

const VALUE = 'sk-live-0123456789abc';

/** Declares the tests; `it()` gives the world, `browser()` the browser. */
export function roles(test, it, browser) {
  let project;
  const made = async () => {
    project ??= (async () => {
      const made = await it().project({
        entries: { API_KEY: VALUE, LAUNCH_TOKEN: { value: 'lt-live-0123456789abc', milestone: 'launch' } },
      });
      await it().change('user:alice', 'rotateVaultEntry', {
        id: made.entries.API_KEY.id,
        value: 'sk-live-9876543210cba',
      });
      return made;
    })();
    return project;
  };

  for (const [person, sees] of Object.entries(SEES)) {
    test(`${person}, ${sees.role}: sees what the role allows, and is offered nothing else`, async () => {
      const { id, entries } = await made();
      await it().page(browser(), { as: person, at: `#/p/${id}` }, async (page) => {
        const offered = async (names, wanted, at) => {
          for (const name of names) {
            const there = await page
              .locator('main')
              .getByRole('button', { name })
              .or(page.locator('main').getByRole('link', { name, exact: true }))
              .count();
            assert.equal(there > 0, wanted.includes(name), `${name} on ${at}`);
          }
        };
        const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'API_KEY' }) });
        await row.waitFor();
        assert.deepEqual(
          await page
            .getByRole('navigation', { name: 'Project', exact: true })
            .getByRole('link')
            .allTextContents(),
          sees.tabs,
        );
        assert.deepEqual(
          (await page.getByRole('columnheader').allTextContents()).map((name) => name.trim()),
          sees.columns,
        );
        assert.deepEqual(
          await page.getByLabel('Status', { exact: true }).locator('option').allTextContents(),
          sees.statuses,
        );
        assert.ok(await page.getByRole('heading', { level: 1 }).getByText(sees.role).isVisible());
        assert.equal((await row.textContent()).includes('sk-****cba'), sees.columns.includes('Value'));
        await offered(every('list'), sees.list, 'the list');

        await page.getByRole('link', { name: 'API_KEY' }).click();
        await page.getByRole('heading', { level: 1, name: 'API_KEY' }).waitFor();
        if (sees.sections.includes('Audit events'))
          await page.getByRole('table', { name: 'Audit events' }).waitFor();
        await offered(every('entry'), sees.entry, 'the page of an entry');
        assert.deepEqual(await page.getByRole('heading', { level: 2 }).allTextContents(), sees.sections);

        await show(page, `#/p/${id}/milestones`, 'Milestones');
        await page.getByRole('table', { name: 'Milestones' }).waitFor();
        assert.equal(await page.getByRole('button', { name: /^Close / }).count(), sees.milestone.length);
        await show(page, `#/p/${id}/people`, 'People and agents');
        await page.getByText('globex').first().waitFor();
        await offered(every('people'), sees.people, 'the people');
        assert.equal(
          (await page.getByText('builder').count()) > 0,
          sees.tabs.includes('Agent preview'),
          'agents',
        );
      });
    });
  }

  test('an address that a role may not open leads nowhere', async () => {
    const { id, entries } = await made();
    for (const person of ['bob', 'dave']) {
      await it().page(browser(), { as: person, at: `#/p/${id}` }, async (page) => {
        for (const [name, closed] of Object.entries(CLOSED)) {
          if (!closed.includes(person)) continue;
          await show(page, `#/p/${id}/${name}`, 'Nothing here');
        }
      });
    }
    const other = await it().project();
    await it().page(
      browser(),
      { as: 'alice', at: `#/p/${other.id}/e/${entries.API_KEY.id}` },
      async (page) => {
        await page.getByText('This entry does not exist').waitFor();
        await show(page, '#/p/no-such-project', 'Nothing here');
      },
    );
  });

  test('who has no role sees no project, and nothing of one', async () => {
    const { id } = await made();
    const nobody = await it().token('user:mallory', { ttl: 600 });
    await it().page(browser(), { at: '#/' }, async (page) => {
      await withToken(page, nobody);
      await page.getByText('No projects yet').waitFor();
      await show(page, `#/p/${id}`, 'Nothing here');
    });
  });

  test('the list of projects says what needs attention', async () => {
    const { id } = await it().project({
      entries: {
        SOON: { value: VALUE, expiresAt: new Date(Date.now() + 2 * 86_400_000).toISOString() },
        OFF: VALUE,
        FINE_KEY: VALUE,
      },
    });
    const { entry } = (
      await it().do('user:alice', `{ projectVault(projectId: "${id}") { entry(name: "OFF") { id } } }`)
    ).projectVault;
    await it().change('user:alice', 'disableVaultEntry', entry.id);
    await it().resolve(id, ['FINE_KEY']);
    await it().page(browser(), { as: 'alice' }, async (page) => {
      const row = page.getByRole('listitem').filter({ has: page.getByRole('link', { name: id }) });
      for (const says of [
        '2 active',
        '1 expires this week',
        '1 disabled',
        '2 never used',
        'Accountable',
        'Active',
      ])
        await row.getByText(says, { exact: true }).waitFor();
      await row.getByRole('link', { name: '1 disabled' }).click();
      await page.getByRole('link', { name: 'OFF' }).waitFor();
      assert.equal(await page.getByRole('link', { name: 'FINE_KEY' }).count(), 0);
      assert.equal(await page.getByLabel('Status', { exact: true }).inputValue(), 'DISABLED');
    });
  });
}
