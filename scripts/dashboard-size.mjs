// Prints how many bytes of the dashboard a browser reads, compressed as the server does it, and fails when
// the first pages need more than 80 KiB: signing in, the projects, and a project's entries.
import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';

const LIMIT = 80 * 1024;
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../dashboard');

/** @param {string} file */
const read = (file) => readFileSync(join(root, file));

/** @param {string} file */
function compressed(file) {
  return brotliCompressSync(read(file), { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }).length;
}

/**
 * The files that a module reads: at once, or also those that it reads later.
 * @param {string} file
 * @param {boolean} later
 * @param {Set<string>} seen
 */
function reads(file, later, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  const source = String(read(file)).replace(/\/\*[^]*?\*\//g, '');
  const imports = [...source.matchAll(/(?:from|^import)\s*["'](\.[^"']+)["']/gm)];
  if (later) imports.push(...source.matchAll(/import\(["'](\.[^"']+)["']\)/g));
  for (const [, path = ''] of imports) reads(relative(root, resolve(root, dirname(file), path)), later, seen);
  return seen;
}

const always = ['index.html', 'style.css', 'icon.svg'];
const sum = (/** @type {Iterable<string>} */ files) => [...files].reduce((bytes, file) => bytes + compressed(file), 0);
const first = sum([...always, ...reads('app.js', false)]);
const all = sum([...always, ...reads('app.js', true)]);
const kib = (/** @type {number} */ bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
console.log(`dashboard: the first pages read ${kib(first)} of at most ${kib(LIMIT)}; all of it is ${kib(all)}`);
if (first > LIMIT) process.exit(1);
