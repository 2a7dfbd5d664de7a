import { html } from '../html.js';
import { text } from '../text.js';
import { useEffect, useState } from '../vendor/hooks.js';
import { Icon } from './icon.js';
import { IconButton } from './ui.js';

/** How long a message stays, in milliseconds. */
const STAY = 6_000;

/** @typedef {{ id: number, message: string }} Message */
/** @type {Message[]} */
let messages = [];
let last = 0;
let redraw = () => {};

/** Tells what was done: on the screen and to screen readers. @param {string} message */
export function tell(message) {
  last += 1;
  const id = last;
  messages = [...messages.slice(-2), { id, message }];
  redraw();
  setTimeout(() => dismiss(id), STAY);
}

/** @param {number} id */
function dismiss(id) {
  messages = messages.filter((one) => one.id !== id);
  redraw();
}

/** The live region; it is in the page before anything is said in it. */
export function Toasts() {
  const [, setRound] = useState(0);
  useEffect(() => {
    redraw = () => setRound((was) => was + 1);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite" aria-label=${text.messages}>
    ${messages.map(
      ({ id, message }) => html`<div class="toast" key=${id}>
        <${Icon} name="check" /><span>${message}</span>
        <${IconButton} icon="close" label=${text.dismiss} onClick=${() => dismiss(id)} />
      </div>`,
    )}
  </div>`;
}
