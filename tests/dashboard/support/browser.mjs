// A headless Chromium, and pages whose every complaint fails the test.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const ACTION_TIMEOUT = 30_000;

/** Starts the browser. */
export const openBrowser = () =>
  chromium.launch({
    executablePath: process.env.VAULT_TEST_CHROMIUM ?? '/usr/bin/chromium',
    // Chromium refuses its sandbox to root, and containers have a small /dev/shm.
    args: ['--disable-dev-shm-usage', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
  });

const originOf = (url) => {
  try {
    return new URL(url).origin;
  } catch {
    return '';
  }
};

/**
 * What a page of the first of `origins` complained of: errors on the console, violations of its policy,
 * and requests to none of `origins`. What other pages do that the window goes to, such as a provider's, is
 * theirs.
 */
export class Complaints {
  #found = [];
  #allowed;

  constructor(page, { allow = [], origins }) {
    const [own] = origins;
    this.#allowed = allow;
    const add = (complaint) => this.#found.push(complaint);
    page.on('console', (message) => {
      const isOwn =
        [own, 'null', ''].includes(originOf(message.location().url)) && originOf(page.url()) === own;
      if (isOwn && ['error', 'warning'].includes(message.type())) add(`${message.type()}: ${message.text()}`);
    });
    page.on(
      'pageerror',
      (error) => originOf(page.url()) === own && add(`exception: ${error.stack ?? error}`),
    );
    page.on('request', (request) => {
      const url = request.url();
      if (originOf(page.url()) === own && /^(http|ws)/.test(url) && !origins.includes(originOf(url)))
        add(`request to ${originOf(url)}`);
    });
  }

  /** Those that the test does not allow. */
  get unexpected() {
    return this.#found.filter((complaint) => !this.#allowed.some((pattern) => pattern.test(complaint)));
  }
}

/**
 * Runs `use(page)` in a window of its own, and fails on whatever the page complains of.
 *
 * `allow` has patterns of complaints that the test provokes; `origins` the origins that the page may ask. A
 * picture of a page that fails goes to the folder DASHBOARD_FAILURES, if there is one.
 */
export async function withPage(browser, options, use) {
  const { allow, origins, width = 1440, height = 900, ...context } = options;
  const window = await browser.newContext({
    viewport: { width, height },
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    ...context,
  });
  window.setDefaultTimeout(ACTION_TIMEOUT);
  try {
    const page = await window.newPage();
    const complaints = new Complaints(page, { allow, origins });
    let result;
    try {
      result = await use(page, window);
    } catch (error) {
      // What the page complained of is most often why.
      if (complaints.unexpected.length)
        error.message += `\nThe page complained:\n${complaints.unexpected.join('\n')}`;
      if (process.env.DASHBOARD_FAILURES)
        await page
          .screenshot({ path: `${process.env.DASHBOARD_FAILURES}/${Date.now()}.png` })
          .catch(() => {});
      throw error;
    }
    // What the page has not said yet comes before its answer.
    await page.evaluate(() => new Promise((done) => setTimeout(done, 20))).catch(() => {});
    assert.deepEqual(complaints.unexpected, []);
    return result;
  } finally {
    await window.close();
  }
}
