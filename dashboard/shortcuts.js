/** Single-key shortcuts: never while somebody types, and off when the person says so. */
import { shortcutsOn } from './preferences.js';

/** How long the second key of a pair may take, in milliseconds. */
const PAIR = 1_000;

/** @type {Map<string, () => void>} */
const keys = new Map();
let before = '';
let beforeAt = 0;

/**
 * @param {string} combination a key, or two with a space between
 * @param {() => void} action
 * @returns {() => void} removes the shortcut
 */
export function onKeys(combination, action) {
  keys.set(combination, action);
  return () => {
    if (keys.get(combination) === action) keys.delete(combination);
  };
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement
    && target.matches('input:not([type=checkbox]), textarea, select, [contenteditable]');
}

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isTyping(event.target) || document.querySelector('dialog[open]') || !shortcutsOn()) return;
  const pair = event.timeStamp - beforeAt < PAIR ? keys.get(`${before} ${event.key}`) : undefined;
  const action = pair ?? keys.get(event.key);
  before = event.key;
  beforeAt = event.timeStamp;
  if (!action) return;
  event.preventDefault();
  before = '';
  action();
});
