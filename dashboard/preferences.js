/**
 * What the page remembers in localStorage: how it looks, nothing else.
 * @typedef {'system' | 'light' | 'dark'} Theme
 */
const THEMES = /** @type {const} */ (['system', 'light', 'dark']);

/** @param {string} name */
function read(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** @param {string} name @param {string} value */
function write(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Storage is off: the choice lasts until the reload.
  }
}

/** @returns {Theme} */
export function theme() {
  return THEMES.find((one) => one === read('theme')) ?? 'system';
}

/** @param {Theme} next */
export function setTheme(next) {
  write('theme', next);
  applyTheme(next);
}

/** @param {Theme} next */
export function applyTheme(next) {
  document.documentElement.dataset.theme = next;
}

/** Whether single keys are shortcuts; they can be turned off (WCAG 2.1.4). */
export const shortcutsOn = () => read('shortcuts') !== 'off';
/** @param {boolean} on */
export const setShortcuts = (on) => write('shortcuts', on ? 'on' : 'off');
