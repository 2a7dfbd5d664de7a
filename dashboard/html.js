import htm from './vendor/htm.js';
import { h } from './vendor/preact.js';

/** Builds Preact elements from a tagged template. It sets text and properties, never HTML. */
export const html = htm.bind(h);
