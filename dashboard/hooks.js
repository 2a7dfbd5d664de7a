/** @import { Operation } from './types/operation' */
import { ApiError, isAbort, send } from './api.js';
import { currentRoute, guardLeaving, onRoute } from './router.js';
import { onSession, sessionState } from './session.js';
import { text } from './text.js';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from './vendor/hooks.js';

/** How long a request may take before the page says that it is slow, in milliseconds. */
export const SLOW = 4_000;
/** How often times that are shown relative to now are drawn again, in milliseconds. */
const TICK = 20_000;

export function useRoute() {
  const [route, setRoute] = useState(currentRoute);
  useEffect(() => onRoute(() => setRoute(currentRoute())), []);
  return route;
}

export function useSession() {
  const [state, setState] = useState(sessionState);
  useEffect(() => onSession(() => setState(sessionState())), []);
  return state;
}

/** @type {Set<(now: number) => void>} */
const clocks = new Set();
setInterval(() => clocks.forEach((show) => show(Date.now())), TICK);

/** The current time, drawn again now and then. */
export function useNow() {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    clocks.add(setNow);
    return () => {
      clocks.delete(setNow);
    };
  }, []);
  return now;
}

/**
 * @template Data
 * @typedef {object} Query
 * @property {Data | undefined} data the last answer; it stays while the next one is awaited
 * @property {ApiError | undefined} error why there is no newer answer
 * @property {boolean} loading
 * @property {boolean} slow whether the request takes longer than usual
 * @property {() => void} reload
 */

/**
 * Reads with a query, again when its variables change or somebody signs in.
 * @template Data, Variables
 * @param {Operation<Data, Variables>} operation
 * @param {Variables | null} variables null: read nothing yet
 * @returns {Query<Data>}
 */
export function useQuery(operation, variables) {
  const { session } = useSession();
  const [state, setState] = useState(
    /** @type {() => Omit<Query<Data>, 'reload'>} */
    (() => ({ data: undefined, error: undefined, loading: variables !== null, slow: false })),
  );
  const [round, setRound] = useState(0);
  const key = variables === null ? null : JSON.stringify(variables);
  useEffect(() => {
    if (key === null) return undefined;
    const abort = new AbortController();
    setState((was) => ({ ...was, loading: true, slow: false }));
    const timer = setTimeout(() => setState((was) => ({ ...was, slow: true })), SLOW);
    send(operation, JSON.parse(key), abort.signal)
      .then((data) => setState({ data, error: undefined, loading: false, slow: false }))
      .catch((error) => {
        if (isAbort(error)) return;
        setState((was) => ({ ...was, error: asApiError(error), loading: false, slow: false }));
      })
      .finally(() => clearTimeout(timer));
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [operation, key, round, session?.generation]);
  const reload = useCallback(() => setRound((was) => was + 1), []);
  return { ...state, reload };
}

/** @param {unknown} error */
export function asApiError(error) {
  if (error instanceof ApiError) return error;
  console.error(error);
  return new ApiError('PAGE', text.error.page);
}

/**
 * Runs one action at a time and keeps its failure.
 * @template {unknown[]} Arguments
 * @param {(...inputs: Arguments) => Promise<void>} action
 */
export function useAction(action) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {ApiError | undefined} */ (undefined));
  const running = useRef(false);
  const alive = useRef(true);
  useEffect(() => {
    alive.current = true;
    return () => {
      alive.current = false;
    };
  }, []);
  /** @param {Arguments} inputs */
  const run = async (...inputs) => {
    if (running.current) return;
    running.current = true;
    setBusy(true);
    setError(undefined);
    try {
      await action(...inputs);
    } catch (failure) {
      if (alive.current) setError(asApiError(failure));
    } finally {
      running.current = false;
      if (alive.current) setBusy(false);
    }
  };
  return { busy, error, run, clear: () => setError(undefined) };
}

/** Warns before the person leaves while `unsaved` is true. @param {boolean} unsaved */
export function useUnsaved(unsaved) {
  const now = useRef(unsaved);
  now.current = unsaved;
  useEffect(() => guardLeaving(() => now.current), []);
}

/** Names the document after the view. @param {string} title */
export function useTitle(title) {
  useEffect(() => {
    document.title = title ? `${title} · ${text.product}` : text.product;
  }, [title]);
}

/**
 * A function that always calls the newest `callback`, to subscribe once.
 * @template {unknown[]} Arguments
 * @param {(...inputs: Arguments) => void} callback
 */
export function useEvent(callback) {
  const newest = useRef(callback);
  useLayoutEffect(() => {
    newest.current = callback;
  });
  return useCallback((/** @type {Arguments} */ ...inputs) => newest.current(...inputs), []);
}

/**
 * A value that follows `value` once it has not changed for `delay` milliseconds.
 * @template Value
 * @param {Value} value
 * @param {number} delay
 */
export function useDebounced(value, delay) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), delay);
    return () => clearTimeout(timer);
  }, [value, delay]);
  return settled;
}
