/**
 * The list of a project's entries, page by page.
 * @import * as T from './types/graphql'
 * @import { ApiError } from './api.js'
 */
import { isAbort, send } from './api.js';
import { SLOW, asApiError, useEvent, useSession } from './hooks.js';
import { Entries } from './operations/entries.js';
import { onSession, sessionState } from './session.js';
import { useEffect, useRef, useState } from './vendor/hooks.js';

const PAGE = 100;

/**
 * @typedef {T.EntryRowFragment} Row
 * @typedef {Omit<T.EntriesQueryVariables, 'first' | 'after'>} Selection
 * @typedef {{ rows: Row[], total: number | undefined, cursor: string | null }} List `cursor`: where the next
 *   page begins
 */

/**
 * The last list, so that coming back from an entry finds it as it was.
 * @type {{ key: string, list: List, scroll: number } | undefined}
 */
let last;
onSession(() => {
  if (!sessionState().session) last = undefined;
});

/**
 * @param {Selection} selection
 * @param {string | null} after
 * @param {AbortSignal} signal
 * @returns {Promise<List>}
 */
async function readPage(selection, after, signal) {
  const { projectVault } = await send(Entries, { ...selection, first: PAGE, after }, signal);
  const page = projectVault?.entries;
  return {
    rows: page?.nodes ?? [],
    total: page?.totalCount ?? 0,
    cursor: page?.pageInfo.hasNextPage ? page.pageInfo.endCursor : null,
  };
}

/**
 * Reads until there are as many rows as before, so that a list that is read again keeps its length.
 * @param {Selection} selection
 * @param {number} count
 * @param {AbortSignal} signal
 */
async function readRows(selection, count, signal) {
  let list = await readPage(selection, null, signal);
  while (list.cursor !== null && list.rows.length < count) {
    const next = await readPage(selection, list.cursor, signal);
    list = { ...next, rows: [...list.rows, ...next.rows] };
  }
  return list;
}

/**
 * @param {Selection} selection which entries, in which order
 * @param {boolean} whole read every page, one after the other
 */
export function useEntries(selection, whole) {
  const { session } = useSession();
  const key = JSON.stringify([session?.person, selection]);
  const [list, setList] =
    useState(/** @type {() => List} */ (() =>
      (last?.key === key ? last.list : { rows: [], total: undefined, cursor: null })));
  const [state, setState] =
    useState({ loading: true, slow: false, error: /** @type {ApiError | undefined} */ (undefined) });
  const [round, setRound] = useState(0);
  const shown = useRef(last?.key === key ? key : '');
  const abort = useRef(new AbortController());

  /** @param {(signal: AbortSignal) => Promise<void>} read */
  const run = async (read) => {
    abort.current.abort();
    const mine = new AbortController();
    abort.current = mine;
    setState({ loading: true, slow: false, error: undefined });
    const timer = setTimeout(() => setState((was) => ({ ...was, slow: true })), SLOW);
    try {
      await read(mine.signal);
      if (!mine.signal.aborted) setState({ loading: false, slow: false, error: undefined });
    } catch (error) {
      if (!isAbort(error)) setState({ loading: false, slow: false, error: asApiError(error) });
    }
    clearTimeout(timer);
  };

  useEffect(() => {
    void run(async (signal) => {
      const next = await readRows(selection, shown.current === key ? list.rows.length : 0, signal);
      if (signal.aborted) return;
      shown.current = key;
      setList(next);
    });
    return () => abort.current.abort();
  }, [key, round, session?.generation]);

  const more = useEvent(() => {
    if (state.loading || list.cursor === null || shown.current !== key) return;
    const { cursor } = list;
    void run(async (signal) => {
      const next = await readPage(selection, cursor, signal);
      if (!signal.aborted) setList((was) => ({ ...next, rows: [...was.rows, ...next.rows] }));
    });
  });
  useEffect(() => {
    if (whole && !state.error) more();
  }, [whole, list, state.loading]);

  const scroll = last?.key === key ? last.scroll : 0;
  useEffect(() => {
    if (shown.current === key) last = { key, list, scroll: last?.key === key ? last.scroll : 0 };
  }, [key, list]);
  /** @param {number} y */
  const remember = (y) => {
    if (last?.key === key) last.scroll = y;
  };
  return { ...list, ...state, scroll, remember, more, reload: () => setRound((was) => was + 1) };
}
