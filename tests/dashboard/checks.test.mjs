// What can be seen of the dashboard's sources without a browser.
import { test } from 'node:test';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/dashboard-check', import.meta.url));

test('sources: types, libraries and sizes are as they have to be', async (context) => {
  try {
    context.diagnostic((await promisify(execFile)(script)).stdout.trim());
  } catch ({ stdout, stderr }) {
    throw new Error(`scripts/dashboard-check fails:\n${stdout}${stderr}`);
  }
});
