// The dashboard of `project-vault serve` with PostgreSQL, OpenFGA and an OpenID provider, in Chromium.
import { after, before, test } from 'node:test';
import { openBrowser } from './support/browser.mjs';
import { startFull } from './support/full.mjs';
import { entries } from './suite/entries.mjs';
import { oidc } from './suite/oidc.mjs';
import { project } from './suite/project.mjs';
import { roles } from './suite/roles.mjs';
import { session } from './suite/session.mjs';

let world, browser;
before(async () => {
  [world, browser] = await Promise.all([startFull().then((world) => world.prepare()), openBrowser()]);
});
after(() => Promise.all([world?.stop(), browser?.close()]));

const at = [(name, run) => test(`full: ${name}`, run), () => world, () => browser];
oidc(...at);
roles(...at);
entries(...at);
project(...at);
session(...at);
