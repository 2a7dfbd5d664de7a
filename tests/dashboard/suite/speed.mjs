// A thousand entries, the first paint, sizes, and servers that are slow or fail.
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { press, show } from '../support/page.mjs';

const VALUE = 'sk-live-0123456789abc';

/** The bytes of an answer as it travels. */
const bytesOf = (url) =>
  new Promise((resolve, reject) => {
    get(url, { headers: { 'accept-encoding': 'br, gzip' } }, (response) => {
      let bytes = 0;
      response.on('data', (chunk) => {
        bytes += chunk.length;
      });
      response.on('end', () => resolve(bytes));
    }).on('error', reject);
  });

/** Sums up how the page's parts moved without anybody having asked; to be added before the page is there. */
const watchShifts = () => {
  globalThis.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries()) {
      if (!hadRecentInput)
        globalThis.shifts.push({
          value,
          moved: sources.map(({ node }) => `${node?.nodeName} ${node?.className}`).join(', '),
        });
    }
  }).observe({ type: 'layout-shift', buffered: true });
};

export function speed(test, it, browser) {
  test('the page is small, is there at once, and nothing on it moves', async (context) => {
    const project = await it().project({ entries: { API_KEY: VALUE, OTHER_KEY: VALUE } });
    const loaded = new Set();
    let first;
    await it().page(browser(), {}, async (page) => {
      page.on('request', (request) => loaded.add(request.url()));
      await page.addInitScript(watchShifts);
      const paints = [];
      for (let tries = 0; tries < 3; tries += 1) {
        await page.reload();
        await page.getByRole('heading', { name: 'Sign in' }).waitFor();
        paints.push(
          await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime),
        );
      }
      const paint = Math.min(...paints);
      context.diagnostic(`first paint: ${Math.round(paint)} ms`);
      await page.waitForTimeout(250);
      assert.deepEqual(
        await page.evaluate(() => globalThis.shifts),
        [],
        'the page that asks one to sign in moves',
      );
      await it().signIn(page, 'alice');
      for (const [hash, heading] of [
        ['#/', 'Projects'],
        [`#/p/${project.id}`, project.id],
        [`#/p/${project.id}/e/${project.entries.API_KEY.id}`, 'API_KEY'],
        [`#/p/${project.id}/new`, 'New entry'],
        [`#/p/${project.id}/milestones`, 'Milestones'],
        [`#/p/${project.id}/people`, 'People and agents'],
        [`#/p/${project.id}/preview`, 'What would this agent get?'],
        [`#/p/${project.id}/audit`, 'Audit'],
        ['#/receipt', 'Verify a receipt'],
      ]) {
        await page.evaluate(() => {
          globalThis.shifts = [];
        });
        await show(page, hash, heading);
        await page.waitForTimeout(250);
        const shifts = await page.evaluate(() => globalThis.shifts);
        const sum = shifts.reduce((all, { value }) => all + value, 0);
        // Signing in, the projects, and a project's entries: what everybody waits for.
        if (hash === `#/p/${project.id}`) first = [...loaded];
        assert.ok(sum < 0.01, `${hash} moves by ${sum.toFixed(3)}: ${JSON.stringify(shifts)}`);
      }
      assert.ok(paint < 200, `the first paint took ${paint} ms`);
    });
    const sizeOf = async (urls) => {
      const files = [...urls].filter(
        (url) => new URL(url).pathname.startsWith('/assets/') || new URL(url).pathname === '/',
      );
      const sizes = await Promise.all(files.map(bytesOf));
      return { files: files.length, bytes: sizes.reduce((all, one) => all + one, 0) };
    };
    const [needed, all] = [await sizeOf(first), await sizeOf(loaded)];
    context.diagnostic(
      `compressed, ${needed.bytes} bytes in ${needed.files} files for the first pages, ` +
        `${all.bytes} in ${all.files} for all`,
    );
    assert.ok(needed.files > 20 && needed.bytes < 80_000, `${needed.bytes} bytes`);
  });

  test('a thousand entries scroll and are searched at once, and typing loses no key', async (context) => {
    const { id } = await it().project();
    const lines = Array.from(
      { length: 1000 },
      (_, i) => `ENTRY_${String(i).padStart(4, '0')}_KEY=value-${i}-0123456789`,
    );
    await it().change('user:bob', 'importVaultEntries', { projectId: id, dotenv: lines.join('\n') });
    await it().page(browser(), { as: 'bob', at: `#/p/${id}` }, async (page) => {
      await page.getByRole('link', { name: 'ENTRY_0000_KEY' }).waitFor();
      await page.getByText('1,000 entries', { exact: true }).waitFor();
      // How long the page was busy between two frames, while it is scrolled from end to end and back.
      const frames = await page.evaluate(
        () =>
          new Promise((resolve) => {
            const taken = [];
            const height = document.documentElement.scrollHeight;
            let last = performance.now();
            let step = 0;
            const STEPS = 60;
            const next = () => {
              const now = performance.now();
              taken.push(now - last);
              last = now;
              step += 1;
              if (step > 2 * STEPS) return resolve(taken);
              scrollTo(0, (height * (step <= STEPS ? step : 2 * STEPS - step)) / STEPS);
              return requestAnimationFrame(next);
            };
            requestAnimationFrame(next);
          }),
      );
      const sorted = frames.toSorted((a, b) => a - b);
      const [median, worst] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
      context.diagnostic(
        `frames while scrolling: median ${Math.round(median)} ms, worst ${Math.round(worst)} ms`,
      );
      assert.ok(median < 100 && worst < 1000, `median ${median}, worst ${worst}`);
      assert.ok((await page.locator('.grid-row').count()) < 120, 'only rows near the window are in the page');
      await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
      await page.getByRole('link', { name: 'ENTRY_0999_KEY' }).waitFor();

      await page.evaluate(() => scrollTo(0, 0));
      const search = page.getByLabel('Search names');
      await search.focus();
      const typed = 'ntry_09ntry_09ntry_09';
      const begun = Date.now();
      for (const key of typed) await page.keyboard.press(key === '_' ? 'Shift+Minus' : key);
      const perKey = (Date.now() - begun) / typed.length;
      assert.equal(await search.inputValue(), typed);
      await page.getByText('No entry matches').waitFor();
      await search.fill('');
      for (const key of '0999') await page.keyboard.press(key);
      const asked = Date.now();
      await page.getByText('1 entry', { exact: true }).waitFor();
      const found = Date.now() - asked;
      context.diagnostic(`${Math.round(perKey)} ms for each key, ${found} ms to the result`);
      assert.deepEqual(await page.locator('.entry-link').allTextContents(), ['ENTRY_0999_KEY']);
      assert.ok(perKey < 100 && found < 3000, `${perKey} ms for each key, ${found} ms to the result`);
    });
  });

  test('a slow server is waited for, and the page says so', async () => {
    const { id } = await it().project({ entries: { API_KEY: VALUE } });
    await it().page(browser(), { as: 'alice', at: '#/receipt' }, async (page) => {
      let release;
      const held = new Promise((resolve) => {
        release = resolve;
      });
      await page.route('**/graphql', async (route) => {
        await held;
        await route.continue();
      });
      await page.evaluate((hash) => {
        location.hash = hash;
      }, `#/p/${id}`);
      await page.getByRole('status', { name: 'Loading' }).waitFor();
      await page.getByText('This takes longer than usual').waitFor();
      release();
      await page.getByRole('link', { name: 'API_KEY' }).waitFor();
      await page.getByText('This takes longer than usual').waitFor({ state: 'detached' });
    });
  });

  for (const [how, answer, says] of [
    ['cannot be reached', (route) => route.abort('connectionrefused'), 'The server cannot be reached'],
    [
      'answers with nonsense',
      (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad Gateway</h1>' }),
      'HTTP 502',
    ],
    [
      'is unavailable',
      (route) =>
        route.fulfill({
          json: {
            errors: [
              {
                message: 'The vault cannot answer now.',
                extensions: { code: 'UNAVAILABLE', retryAfterSeconds: 7, requestId: 'r-1' },
              },
            ],
          },
        }),
      'Try again in 7 seconds',
    ],
  ]) {
    test(`a server that ${how} is spoken of in words, and trying again goes on`, async () => {
      const { id } = await it().project({ entries: { API_KEY: VALUE } });
      await it().page(
        browser(),
        { as: 'bob', at: '#/receipt', allow: [/Failed to load resource/] },
        async (page) => {
          await page.route('**/graphql', answer);
          await page.evaluate((hash) => {
            location.hash = hash;
          }, `#/p/${id}`);
          await page.getByRole('alert').getByText(says).waitFor();
          await page.unroute('**/graphql');
          await press(page, 'Try again');
          await page.getByRole('link', { name: 'API_KEY' }).waitFor();
          // A change that fails so keeps what was typed.
          await show(page, `#/p/${id}/new`, 'New entry');
          await page.getByLabel('Name', { exact: true }).fill('KEPT_KEY');
          await page.getByLabel('Value', { exact: true }).fill(VALUE);
          await page.route('**/graphql', answer);
          await press(page, 'Create entry');
          await page.getByRole('alert').getByText(says).waitFor();
          assert.equal(await page.getByLabel('Value', { exact: true }).inputValue(), VALUE);
          await page.unroute('**/graphql');
          await press(page, 'Create entry');
          await page.getByRole('status', { name: 'Messages' }).getByText('KEPT_KEY was created').waitFor();
        },
      );
    });
  }

  test('a page without its configuration says so', async () => {
    await it().page(
      browser(),
      { at: '#/', allow: [/Failed to load resource/, /config\.json/] },
      async (page) => {
        await page.route('**/config.json', (route) => route.fulfill({ status: 503, body: '' }));
        await page.reload();
        await page.getByText('could not read its configuration').waitFor();
      },
    );
  });

  test('what a page complains of fails a test', async () => {
    for (const [what, complain] of [
      [
        'a script in the page',
        () => {
          try {
            const script = document.createElement('script');
            script.textContent = '0';
            document.head.append(script);
          } catch {
            /* the policy's report is what counts */
          }
        },
      ],
      ['a style in the page', () => document.body.setAttribute('style', 'color: red')],
      [
        'HTML as text',
        () => {
          try {
            document.body.innerHTML = '<b>';
          } catch {
            /* as above */
          }
        },
      ],
      ['another origin', () => fetch('http://127.0.0.1:1/').catch(() => {})],
      [
        'an exception',
        () => {
          setTimeout(() => {
            throw new Error('thrown');
          });
        },
      ],
    ]) {
      await assert.rejects(
        it().page(browser(), {}, async (page) => {
          await page.evaluate(complain);
        }),
        (error) => error.code === 'ERR_ASSERTION',
        `${what} is not noticed`,
      );
    }
  });
}
