import { html } from '../html.js';

/** Outlines on a grid of 16 units. */
const PATHS = {
  vault: 'M2.5 3.5h11v9h-11zM5 12.5V14M11 12.5V14M8 6v4M6 8h4',
  search: 'M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9ZM10.5 10.5 14 14',
  plus: 'M8 3v10M3 8h10',
  upload: 'M8 10.5v-8M4.8 5.5 8 2.3l3.2 3.2M2.5 10v3.5h11V10',
  download: 'M8 2.5v8M4.8 7.3 8 10.5l3.2-3.2M2.5 10v3.5h11V10',
  close: 'm4 4 8 8M12 4l-8 8',
  check: 'm3 8.5 3.2 3L13 4.5',
  warning: 'M8 2 14.5 13.5h-13ZM8 6.5v3.2M8 11.6v.1',
  info: 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM8 7.2v4M8 4.8v.1',
  eye:
    'M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8Z' +
    'M8 6.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6Z',
  hidden:
    'M3 3l10 10M6.3 3.8C6.8 3.6 7.4 3.5 8 3.5c4 0 6.5 4.5 6.5 4.5a12 12 0 0 1-1.8 2.3' +
    'M4.2 4.9A11.4 11.4 0 0 0 1.5 8S4 12.5 8 12.5c1.1 0 2.1-.3 2.9-.8',
  sun:
    'M8 5.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6ZM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3' +
    'M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9',
  moon: 'M13.5 9.5A5.8 5.8 0 0 1 6.5 2.5a5.8 5.8 0 1 0 7 7Z',
  system: 'M2 3h12v8H2zM6 13.5h4M8 11v2.5',
  keyboard: 'M1.5 4h13v8h-13zM4 6.5h.1M6.7 6.5h.1M9.3 6.5h.1M12 6.5h.1M5 9.5h6',
  out: 'M6.5 2.5h-4v11h4M10 5l3 3-3 3M13 8H6',
  down: 'm4 6 4 4 4-4',
  right: 'm6 4 4 4-4 4',
  up: 'M8 13V3M4 7l4-4 4 4',
  clock: 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM8 4.5V8l2.5 1.5',
  person: 'M8 2.3a2.7 2.7 0 1 1 0 5.4 2.7 2.7 0 0 1 0-5.4ZM2.8 13.7c.4-2.6 2.5-4 5.2-4s4.8 1.4 5.2 4',
  agent: 'M3 5.5h10v7.5H3zM8 5.5V2.5M6 8.8v.9M10 8.8v.9M6.7 2.5h2.6',
  key: 'M5.5 6.8a3 3 0 1 1 0 6 3 3 0 0 1 0-6ZM7.7 7.7 13.5 2M11 4.5l2 2',
  refresh: 'M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 1.8v2.7h-2.7',
  trash: 'M2.5 4.5h11M6 4.5v-2h4v2M4 4.5l.6 9h6.8l.6-9M6.7 7v4M9.3 7v4',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  play: 'M4.5 3v10l8.5-5Z',
  back: 'M3 8h10M6.5 4.5 3 8l3.5 3.5',
  shield: 'M8 1.8 13 3.6v4c0 3.2-2.1 5.4-5 6.6-2.9-1.2-5-3.4-5-6.6v-4Z',
  flag: 'M3.5 14V2.5M3.5 3h8.5l-1.8 3 1.8 3H3.5',
};

/** @typedef {keyof typeof PATHS} IconName */

/**
 * A picture beside a text that says the same, so it is hidden from assistive technology.
 * @param {{ name: IconName, size?: number }} props
 */
export function Icon({ name, size = 16 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 16 16" aria-hidden="true"
    focusable="false">
    <path d=${PATHS[name]} />
  </svg>`;
}
