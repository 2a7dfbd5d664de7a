// Signing in at an OpenID provider.
import assert from 'node:assert/strict';
import { passProvider } from '../support/provider.mjs';

const VALUE = 'sk-live-0123456789abc';

export function oidc(test, it, browser) {
  const signIn = async (page, person) => {
    await page.getByRole('button', { name: /^Sign in with 127\.0\.0\.1/ }).click();
    await passProvider(page, person);
    await page.getByTitle(`Signed in as ${person}`).waitFor();
  };

  test('the provider signs one in, by a code with PKCE, and one is where one wanted to be', async () => {
    const { id } = await it().project({ entries: { API_KEY: VALUE } });
    await it().page(browser(), { at: `#/p/${id}/milestones` }, async (page) => {
      const asked = [];
      page.on('request', (request) => asked.push(request));
      await signIn(page, 'bob');
      await page.getByRole('heading', { level: 1, name: 'Milestones' }).waitFor();
      const authorization = new URL(
        asked.map((request) => request.url()).find((url) => url.includes('code_challenge')),
      );
      assert.equal(authorization.searchParams.get('code_challenge_method'), 'S256');
      for (const name of ['state', 'nonce', 'code_challenge'])
        assert.ok(authorization.searchParams.get(name).length >= 20, name);
      const exchange = asked.find(
        (request) => request.url().endsWith('/token') && request.method() === 'POST',
      );
      const sent = new URLSearchParams(exchange.postData());
      assert.ok(sent.get('code_verifier').length >= 43);
      assert.equal(sent.get('client_secret'), null);
      // Neither the code nor a token stays anywhere.
      assert.equal(new URL(page.url()).search, '');
      assert.deepEqual(await page.evaluate(() => [sessionStorage.length, document.cookie]), [0, '']);
      const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }));
      assert.ok(!kept.includes('eyJ'), kept);
    });
  });

  test('the token is renewed without a word, and the page stays as it is', async () => {
    const { id } = await it().project();
    const { provider } = it();
    // It is renewed a minute before its end.
    provider.lifetime = 62;
    const before = provider.renewals;
    try {
      await it().page(browser(), { at: `#/p/${id}/new` }, async (page) => {
        await signIn(page, 'bob');
        await page.getByLabel('Name', { exact: true }).fill('RENEWED_KEY');
        await page.waitForResponse(
          (response) =>
            response.url().endsWith('/token') && response.request().postData()?.includes('refresh_token'),
        );
        assert.equal(provider.renewals, before + 1);
        await page.getByLabel('Value', { exact: true }).fill(VALUE);
        assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'RENEWED_KEY');
        const [request] = await Promise.all([
          page.waitForRequest('**/graphql'),
          page.getByRole('button', { name: 'Create entry' }).click(),
        ]);
        const claims = JSON.parse(Buffer.from(request.headers().authorization.split('.')[1], 'base64url'));
        assert.equal(claims.sub, 'bob');
        await page.getByRole('status', { name: 'Messages' }).getByText('RENEWED_KEY was created').waitFor();
      });
    } finally {
      provider.lifetime = 3600;
    }
  });

  test('a session that cannot be renewed begins again in another window, and the page stays', async () => {
    const { id } = await it().project();
    const { provider } = it();
    provider.lifetime = 3;
    try {
      await it().page(browser(), { at: `#/p/${id}/new`, allow: [/status of 400/] }, async (page) => {
        await page.route('**/token', (route) =>
          route.request().postData()?.includes('refresh_token')
            ? route.fulfill({
                status: 400,
                headers: { 'access-control-allow-origin': '*' },
                json: { error: 'invalid_grant' },
              })
            : route.continue(),
        );
        await signIn(page, 'bob');
        await page.getByLabel('Name', { exact: true }).fill('KEPT_KEY');
        await page.getByRole('dialog', { name: 'Your session has ended' }).waitFor();
        provider.lifetime = 3600;
        const [popup] = await Promise.all([
          page.waitForEvent('popup'),
          page
            .getByRole('dialog')
            .getByRole('button', { name: /^Sign in with/ })
            .click(),
        ]);
        // The provider still knows who it is, and may ask nothing.
        await Promise.race([popup.waitForEvent('close'), passProvider(popup, 'bob').catch(() => {})]);
        await page.getByRole('dialog').waitFor({ state: 'detached' });
        assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'KEPT_KEY');
        await page.getByLabel('Value', { exact: true }).fill(VALUE);
        await page.getByRole('button', { name: 'Create entry' }).click();
        await page.getByRole('status', { name: 'Messages' }).getByText('KEPT_KEY was created').waitFor();
      });
    } finally {
      provider.lifetime = 3600;
    }
  });

  test('signing out signs out at the provider, too', async () => {
    await it().page(browser(), { at: '#/' }, async (page) => {
      await signIn(page, 'bob');
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.waitForURL(/\/session\/end/);
      await page.getByRole('button', { name: /Yes, sign me out/ }).click();
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      // It asks for the name again.
      await page.getByRole('button', { name: /^Sign in with 127/ }).click();
      await page.getByPlaceholder('Enter any login').waitFor();
    });
  });

  test('what the provider refuses is said in words, and one can try again', async () => {
    await it().page(
      browser(),
      { at: '#/', allow: [/OAuth|AuthorizationResponseError|access_denied|config|Failed/i] },
      async (page) => {
        await page.getByRole('button', { name: /^Sign in with 127/ }).click();
        await page.getByRole('link', { name: /Cancel/ }).click();
        await page.getByRole('alert').waitFor();
        assert.equal(new URL(page.url()).search, '', 'the answer is not in the address');
      },
    );
  });
}
