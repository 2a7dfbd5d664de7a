/**
 * The GraphQL client. It keeps nothing of a request: a variable may hold a secret.
 * @import { Operation } from './types/operation'
 */
import { config } from './config.js';
import { currentToken, expireSession } from './session.js';
import { text } from './text.js';

/** The longest that one request may take, in milliseconds. */
const TIMEOUT = 35_000;

/** @typedef {{ code: string, field: string[] | null, message: string }} UserError */

/** A request that failed as a whole, or an answer without the data that was asked for. */
export class ApiError extends Error {
  /**
   * @param {string} code the error's `extensions.code`, or OFFLINE, TIMEOUT or HTTP
   * @param {string} message what to tell the person
   * @param {{ requestId?: string, retryAfter?: number }} [more] `retryAfter` in seconds
   */
  constructor(code, message, more = {}) {
    super(message);
    this.code = code;
    this.requestId = more.requestId;
    this.retryAfter = more.retryAfter;
  }
}

/**
 * @template Data, Variables
 * @param {string} document
 * @returns {Operation<Data, Variables>}
 */
export function operation(document) {
  // Fragments follow the operation, so the first name is the operation's.
  const name = /(?:query|mutation)\s+(\w+)/.exec(document)?.[1] ?? '';
  return { document: document.replace(/\s+/g, ' ').trim(), name };
}

/**
 * Sends one operation and gives its data.
 *
 * @template Data, Variables
 * @param {Operation<Data, Variables>} operation
 * @param {Variables} variables
 * @param {AbortSignal} [signal]
 * @returns {Promise<Data>}
 * @throws {ApiError} also when a field above the viewer's role was asked for
 */
export async function send(operation, variables, signal) {
  const token = currentToken();
  if (!token) throw expired();
  const response = await post(token, operation, variables, signal);
  const requestId = response.headers.get('x-request-id') ?? undefined;
  /** @type {{ data?: Data, errors?: { message: string, extensions?: Record<string, any> }[] }} */
  let body;
  try {
    body = await response.json();
  } catch {
    if (response.status === 401) throw expired(requestId);
    throw new ApiError('HTTP', text.error.http(response.status), { requestId });
  }
  const error = body.errors?.[0];
  if (response.status === 401 || error?.extensions?.code === 'UNAUTHENTICATED') throw expired(requestId);
  if (error) throw fromGraphql(error, response, requestId);
  if (!response.ok || !body.data) throw new ApiError('HTTP', text.error.http(response.status), { requestId });
  return body.data;
}

/**
 * @template Data, Variables
 * @param {string} token
 * @param {Operation<Data, Variables>} operation
 * @param {Variables} variables
 * @param {AbortSignal} [signal]
 */
async function post(token, { document, name }, variables, signal) {
  const timeout = AbortSignal.timeout(TIMEOUT);
  try {
    return await fetch(config().graphql, {
      method: 'POST',
      redirect: 'error',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: document, operationName: name, variables }),
      cache: 'no-store',
      credentials: 'omit',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    if (timeout.aborted) throw new ApiError('TIMEOUT', text.error.timeout);
    throw new ApiError('OFFLINE', text.error.offline);
  }
}

/** @param {string} [requestId] */
function expired(requestId) {
  expireSession();
  return new ApiError('UNAUTHENTICATED', text.error.expired, { requestId });
}

/**
 * @param {{ message: string, extensions?: Record<string, any> }} error
 * @param {Response} response
 * @param {string} [requestId]
 */
function fromGraphql({ message, extensions = {} }, response, requestId) {
  const header = Number(response.headers.get('retry-after'));
  const retryAfter = extensions.retryAfterSeconds ?? (header > 0 ? header : undefined);
  return new ApiError(extensions.code ?? 'INTERNAL', message, {
    requestId: extensions.requestId ?? requestId,
    retryAfter,
  });
}

/** @param {unknown} error whether the request was cancelled, which concerns nobody */
export function isAbort(error) {
  return error instanceof DOMException && error.name === 'AbortError';
}
