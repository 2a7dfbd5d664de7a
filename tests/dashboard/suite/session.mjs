// Signing in, sessions that end, signing out, and keeping to the keyboard.
import assert from 'node:assert/strict';
import { heapHolds } from '../support/heap.mjs';
import { dialog, show, withToken } from '../support/page.mjs';

const VALUE = 'sk-live-0123456789abc';

export function session(test, it, browser) {
  test('a token that is none is refused in words', async () => {
    await it().page(browser(), { allow: [/status of 401/] }, async (page) => {
      await withToken(page, 'nonsense');
      await page.locator('.field-error').getByText('This is not a JWT').waitFor();
      // Its form is right, and the vault does not take it.
      await page.getByLabel('Access token').fill('eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.AAAA');
      await page.getByRole('button', { name: 'Sign in', exact: true }).click();
      await page.getByRole('dialog', { name: 'Your session has ended' }).waitFor();
    });
  });

  test('a session that ends keeps what was typed, and goes on after signing in again', async () => {
    const { id } = await it().project();
    const token = await it().token('user:bob', { ttl: 4 });
    await it().page(browser(), { at: `#/p/${id}/new` }, async (page) => {
      await withToken(page, token);
      await page.getByLabel('Name', { exact: true }).fill('TYPED_KEY');
      await page.getByLabel('Value', { exact: true }).fill(VALUE);
      await page.getByRole('dialog', { name: 'Your session has ended' }).waitFor();
      await page.keyboard.press('Escape');
      await dialog(page).waitFor();
      if (it().shape === 'embedded') {
        await dialog(page).getByRole('button', { name: 'Continue as bob' }).click();
      } else {
        await withToken(page, await it().token('user:bob'));
      }
      await dialog(page).waitFor({ state: 'detached' });
      assert.ok(page.url().endsWith(`#/p/${id}/new`));
      assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'TYPED_KEY');
      assert.equal(await page.getByLabel('Value', { exact: true }).inputValue(), VALUE);
      await page.getByRole('button', { name: 'Create entry' }).click();
      await page.getByRole('status', { name: 'Messages' }).getByText('TYPED_KEY was created').waitFor();
    });
  });

  test("another person who signs in after a session has ended sees nothing of the first one's", async () => {
    const { id } = await it().project({ entries: { API_KEY: VALUE } });
    await it().page(browser(), { at: `#/p/${id}` }, async (page) => {
      await withToken(page, await it().token('user:alice', { ttl: 4 }));
      await page.getByRole('row').getByText('sk-****abc').waitFor();
      await page.getByRole('dialog', { name: 'Your session has ended' }).waitFor();
      await withToken(page, await it().token('user:dave'));
      await page.getByTitle('Signed in as dave').waitFor();
      await page.getByRole('link', { name: 'API_KEY' }).waitFor();
      assert.equal(await page.getByText('sk-****abc').count(), 0);
      assert.equal(await page.getByRole('link', { name: 'New entry' }).count(), 0);
    });
  });

  test('after signing out nothing is left, neither on the page nor in memory', async () => {
    const { id } = await it().project({
      entries: { API_KEY: { value: VALUE, description: 'a-description-nowhere-else' } },
    });
    const token = await it().token('user:alice', { ttl: 900 });
    await it().page(browser(), { at: `#/p/${id}` }, async (page) => {
      await withToken(page, token);
      await page.getByRole('link', { name: 'API_KEY' }).click();
      await page.getByText('a-description-nowhere-else').waitFor();
      // The same search finds what is there: it can fail.
      const signature = token.split('.').at(-1);
      assert.ok(await heapHolds(page, signature), 'the token is in memory while it is used');
      await page.getByRole('button', { name: 'Sign out' }).click();
      if (it().shape === 'full') await page.waitForURL(/session\/end/);
      else await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      const asked = [];
      page.on('request', (request) => asked.push(request.url()));
      await page.goBack();
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      assert.ok(!(await page.content()).includes('API_KEY'));
      assert.deepEqual(
        asked.filter((url) => url.includes('graphql')),
        [],
      );
      assert.equal(await heapHolds(page, signature), false, 'the token is in memory');
      assert.deepEqual(await page.evaluate(() => [sessionStorage.length, document.cookie]), [0, '']);
      await page.reload();
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    });
  });

  test('everything can be done with the keyboard alone', async () => {
    const { id } = await it().project({ entries: { API_KEY: VALUE, OTHER_KEY: VALUE } });
    await it().page(browser(), { at: `#/p/${id}` }, async (page) => {
      const keys = page.keyboard;
      const focused = () =>
        page.evaluate(() => {
          const element = document.activeElement;
          const name = element?.getAttribute('aria-label') ?? element?.labels?.[0]?.textContent;
          return (name ?? element?.textContent ?? '').trim();
        });
      const focusIs = async (wanted) => {
        for (let tries = 0; tries < 40 && (await focused()) !== wanted; tries += 1)
          await page.waitForTimeout(25);
        assert.equal(await focused(), wanted);
      };
      const tabTo = async (wanted) => {
        const passed = [];
        for (let tries = 0; tries < 60; tries += 1) {
          await keys.press('Tab');
          const now = await focused();
          passed.push(now);
          if (wanted.test(now)) {
            // A person who uses the keyboard sees what has the focus.
            const seen = await page.evaluate(() => {
              const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement);
              return (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1) || boxShadow !== 'none';
            });
            assert.ok(seen, `${now} shows that it has the focus`);
            return;
          }
        }
        assert.fail(`${wanted} is not reached: ${passed.join(' | ')}`);
      };
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      if (it().shape === 'embedded') {
        await tabTo(/bob/);
        await keys.press('Enter');
      } else {
        await tabTo(/Sign in with a token instead/);
        await keys.press('Enter');
        await tabTo(/Access token/);
        await keys.insertText(await it().token('user:bob'));
        await tabTo(/^Sign in$/);
        await keys.press('Enter');
      }
      await page.getByRole('link', { name: 'API_KEY' }).waitFor();

      await keys.press('?');
      await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
      await keys.press('Escape');
      await dialog(page).waitFor({ state: 'detached' });

      await keys.press('j');
      await focusIs('API_KEY');
      await keys.press('x');
      await page.getByText('1 entry selected').waitFor();
      await keys.press('x');
      await keys.press('j');
      await focusIs('OTHER_KEY');
      await keys.press('k');
      await focusIs('API_KEY');
      await keys.press('Enter');
      await page.getByRole('heading', { level: 1, name: 'API_KEY' }).waitFor();
      await tabTo(/^Rotate$/);
      await keys.press('Enter');
      await dialog(page).waitFor();
      await tabTo(/^New value$/);
      await keys.type('sk-live-9876543210cba');
      await tabTo(/^Rotate$/);
      await keys.press('Enter');
      await dialog(page).waitFor({ state: 'detached' });
      await page.getByRole('row').filter({ hasText: 'v2' }).waitFor();
      // Back where the dialog was opened.
      await focusIs('Rotate');

      await keys.press('g');
      await keys.press('e');
      await page.getByRole('link', { name: 'OTHER_KEY' }).waitFor();
      await keys.press('/');
      await focusIs('Search names');
      await keys.type('n?/');
      assert.equal(await page.getByLabel('Search names').inputValue(), 'n?/', 'keys in a field are text');
      await keys.press('Control+A');
      await keys.press('Delete');
      await page.evaluate(() => document.activeElement.blur());
      await keys.press('n');
      await page.getByLabel('Name', { exact: true }).waitFor();
      await keys.type('NEW_KEY');
      await tabTo(/^Value$/);
      await keys.type(VALUE);
      await tabTo(/^Create entry$/);
      await keys.press('Enter');
      await page.getByRole('heading', { level: 1, name: 'NEW_KEY' }).waitFor();
      await show(page, '#/', 'Projects');
      await keys.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement !== document.body), true);
    });
  });
}
