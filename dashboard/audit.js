/**
 * The audit log: reading it, finding bursts of denials in it, and writing it to files.
 * @import * as T from './types/graphql'
 */
import { send } from './api.js';
import { InstallationAudit, ProjectAudit } from './operations/audit.js';

/** @typedef {T.AuditEventFragment} Event */
/** @typedef {{ events: Event[], cursor: string | null }} Page `cursor`: where older events begin */
/**
 * @typedef {{ actor: string, count: number, since: string, until: string }} Burst `since` and `until` are
 *   the first and the last denial
 */

/** The largest number of events in an export; more would not fit into a page's memory with ease. */
export const EXPORT_LIMIT = 20_000;
/** How close denials of one caller are that make a burst, in milliseconds, and how many. */
const BURST_WITHIN = 10 * 60_000;
const BURST_COUNT = 5;

/**
 * @param {string | null} projectId null: the whole installation
 * @param {T.VaultAuditFilter} filter
 * @param {string | null} after
 * @param {number} first
 * @param {AbortSignal} [signal]
 * @returns {Promise<Page>}
 */
export async function readEvents(projectId, filter, after, first, signal) {
  const page = projectId === null
    ? (await send(InstallationAudit, { filter, after, first }, signal)).vaultAuditEvents
    : (await send(ProjectAudit, { projectId, filter, after, first }, signal)).projectVault?.auditEvents;
  return { events: page?.nodes ?? [], cursor: page?.pageInfo.hasNextPage ? page.pageInfo.endCursor : null };
}

/**
 * The callers that were denied often within a short time.
 * @param {Event[]} events newest first
 * @returns {Burst[]} the largest first
 */
export function burstsOf(events) {
  /** @type {Map<string, Burst>} */
  const open = new Map();
  /** @type {Burst[]} */
  const bursts = [];
  for (const { actor, outcome, count, occurredAt } of events) {
    if (outcome !== 'DENIED') continue;
    const burst = open.get(actor);
    if (burst && Date.parse(burst.since) - Date.parse(occurredAt) <= BURST_WITHIN) {
      burst.count += count;
      burst.since = occurredAt;
    } else {
      const next = { actor, count, since: occurredAt, until: occurredAt };
      open.set(actor, next);
      bursts.push(next);
    }
  }
  return bursts.filter(({ count }) => count >= BURST_COUNT).sort((a, b) => b.count - a.count);
}

const COLUMNS = /** @type {const} */ ([
  'id', 'occurredAt', 'projectId', 'action', 'outcome', 'reason', 'count', 'actor', 'subject', 'role',
  'agent', 'entryId', 'entryName', 'entryVersion', 'milestoneId', 'purpose', 'sessionId', 'tool', 'requestId',
]);

/** @param {Event} event */
const flat = (event) => ({ ...event, agent: event.agent?.id ?? null });

/** @param {Event[]} events */
export const toJsonLines = (events) => events.map((event) => `${JSON.stringify(flat(event))}\n`).join('');

/** As RFC 4180 has it. @param {Event[]} events */
export function toCsv(events) {
  const rows = events.map((event) => COLUMNS.map((name) => cell(flat(event)[name])));
  return [COLUMNS, ...rows].map((row) => `${row.join(',')}\r\n`).join('');
}

/** @param {string | number | null} value */
function cell(value) {
  const plain = String(value ?? '');
  // Spreadsheets run a cell that begins so as a formula.
  const safe = /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Gives the person a file. @param {string} name @param {string} type @param {string} content */
export function download(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken the file by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
