// The dashboard of `project-vault dev`, in Chromium.
import { after, before, test } from 'node:test';
import { openBrowser } from './support/browser.mjs';
import { startEmbedded } from './support/embedded.mjs';
import { accessibility } from './suite/accessibility.mjs';
import { entries } from './suite/entries.mjs';
import { project } from './suite/project.mjs';
import { roles } from './suite/roles.mjs';
import { screenshots } from './suite/screenshots.mjs';
import { secrets } from './suite/secrets.mjs';
import { session } from './suite/session.mjs';
import { speed } from './suite/speed.mjs';

let world, browser;
before(async () => {
  [world, browser] = await Promise.all([startEmbedded().then((world) => world.prepare()), openBrowser()]);
});
after(() => Promise.all([world?.stop(), browser?.close()]));

const at = [(name, run) => test(`embedded: ${name}`, run), () => world, () => browser];
// Times are measured first, while the vault holds little.
speed(...at);
accessibility(...at);
roles(...at);
entries(...at);
project(...at);
session(...at);
secrets(...at);
if (process.env.DASHBOARD_SCREENSHOTS) screenshots(...at);
