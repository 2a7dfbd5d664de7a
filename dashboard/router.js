/**
 * Hash routes, such as `#/p/demo/audit?outcome=DENIED`. Ids are percent-encoded, one a segment. What a
 * person typed into a search box is in no route: it could be a value they look for.
 *
 * @typedef {{ path: string[], query: URLSearchParams }} Route
 * @typedef {() => boolean} Guard whether there is something unsaved
 */

/** @type {Set<() => void>} */
const listeners = new Set();
/** @type {Set<Guard>} */
const guards = new Set();
/** The last hash that was followed, to go back to when a person stays. */
let followed = '';
/** @type {(leave: () => void) => void} */
let askToLeave = (leave) => leave();

/** @returns {Route} */
export function currentRoute() {
  const [path = '', query = ''] = followed.replace(/^#\/?/, '').split('?', 2);
  return { path: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

/**
 * @param {string[]} path
 * @param {Record<string, string | string[] | null | undefined>} [query]
 */
export function href(path, query = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one) search.append(name, one);
  }
  const tail = search.size ? `?${search}` : '';
  return `#/${path.map(encodeURIComponent).join('/')}${tail}`;
}

/** @param {string} hash */
export function go(hash) {
  location.hash = hash;
}

/** Changes the address of the view that is shown, without a new history entry. @param {string} hash */
export function replace(hash) {
  history.replaceState(null, '', hash);
  follow(hash);
}

/** @param {() => void} listener */
export function onRoute(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * Asks before the person leaves while `guard` says that something is unsaved.
 * @param {Guard} guard
 * @returns {() => void} removes the guard
 */
export function guardLeaving(guard) {
  guards.add(guard);
  return () => guards.delete(guard);
}

/** @param {(leave: () => void) => void} ask shows a dialog and calls `leave` when the person agrees */
export function setLeaveDialog(ask) {
  askToLeave = ask;
}

/** Whether leaving would lose something. */
const hasUnsaved = () => [...guards].some((guard) => guard());

/** Follows addresses from now on. */
export function startRouter() {
  history.scrollRestoration = 'manual';
  followed = location.hash;
  addEventListener('hashchange', () => {
    const wanted = location.hash;
    if (wanted === followed) return;
    if (!hasUnsaved() || pathOf(wanted) === pathOf(followed)) return follow(wanted);
    history.replaceState(null, '', followed || '#/');
    askToLeave(() => {
      guards.clear();
      history.pushState(null, '', wanted);
      follow(wanted);
    });
  });
  addEventListener('beforeunload', (event) => {
    if (hasUnsaved()) event.preventDefault();
  });
}

/** @param {string} hash */
function follow(hash) {
  // Before the next view is drawn, which may scroll to where the person was.
  if (pathOf(hash) !== pathOf(followed)) scrollTo(0, 0);
  followed = hash;
  for (const listener of listeners) listener();
}

/** @param {string} hash */
const pathOf = (hash) => hash.split('?')[0];

/** @param {string} segment */
function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
