/**
 * Changes of several entries that wait to be saved together. The vault makes the mutations of one
 * document one after the other, so each has its own result.
 * @import * as T from './types/graphql'
 * @import { Row } from './entries.js'
 * @import { UserError } from './api.js'
 */
import { send } from './api.js';
import { instantOf } from './format.js';
import { text } from './text.js';
import { useState } from './vendor/hooks.js';

/**
 * @typedef {{ kind: 'disable' | 'enable' | 'delete' } | { kind: 'expiry', expiresAt: string | null }
 *   | { kind: 'rotation', days: number | null }} Action
 * @typedef {Action & { id: string, name: string, revision: number, problem?: string }} Change `problem`: why
 *   it was refused
 * @typedef {ReturnType<typeof useStaging>} Staging
 */

/** The largest number of changes in one document: it may have 30 aliases, and its answer takes time. */
const CHUNK = 25;

/** @param {Action} change */
export function describe(change) {
  const t = text.staged.what;
  if (change.kind === 'expiry') return t.expiry(change.expiresAt ? instantOf(change.expiresAt) : text.never);
  if (change.kind === 'rotation') return t.rotation(change.days);
  return t[change.kind];
}

/** @param {string} projectId */
export function useStaging(projectId) {
  const [selected, setSelected] = useState(/** @type {() => Map<string, Row>} */ (() => new Map()));
  const [changes, setChanges] = useState(/** @type {() => Map<string, Change>} */ (() => new Map()));
  /** @param {Row} row */
  const toggle = (row) => setSelected((was) => {
    const next = new Map(was);
    if (!next.delete(row.id)) next.set(row.id, row);
    return next;
  });
  /** Stages an action for every selected entry; an entry has one staged change. @param {Action} action */
  const stage = (action) => {
    setChanges((was) => {
      const next = new Map(was);
      for (const { id, name, revision } of selected.values()) next.set(id, { ...action, id, name, revision });
      return next;
    });
    setSelected(new Map());
  };
  /** @param {string} id */
  const unstage = (id) => setChanges((was) => {
    const next = new Map(was);
    next.delete(id);
    return next;
  });
  return {
    projectId, selected, changes, toggle, stage, unstage, setChanges,
    deselect: () => setSelected(new Map()),
    discard: () => setChanges(new Map()),
  };
}

/** @type {Record<Action['kind'], string>} */
const FIELDS =
  { disable: 'disableVaultEntry', enable: 'enableVaultEntry', delete: 'deleteVaultEntry',
    expiry: 'updateVaultEntry', rotation: 'updateVaultEntry' };

/** @param {Change} change @returns {string | T.UpdateVaultEntryInput} */
function inputOf(change) {
  const { id, revision: expectedRevision } = change;
  if (change.kind === 'expiry') return { id, expectedRevision, expiresAt: change.expiresAt };
  if (change.kind === 'rotation') return { id, expectedRevision, rotationIntervalDays: change.days };
  return id;
}

/**
 * Saves the changes, a document for each 25.
 * @param {Change[]} changes
 * @returns {Promise<{ saved: string[], refused: Change[] }>} `saved`: the ids of the entries
 * @throws {ApiError} when a document fails as a whole; what went before it is saved
 */
export async function saveAll(changes) {
  /** @type {string[]} */
  const saved = [];
  /** @type {Change[]} */
  const refused = [];
  for (let start = 0; start < changes.length; start += CHUNK) {
    const chunk = changes.slice(start, start + CHUNK);
    const answer =
      await send(documentFor(chunk),
        Object.fromEntries(chunk.map((change, index) => [`v${index}`, inputOf(change)])));
    chunk.forEach((change, index) => {
      const errors = answer[`c${index}`]?.userErrors ?? [];
      if (errors.length === 0) saved.push(change.id);
      else refused.push({ ...change, problem: errors.map(({ message }) => message).join(' ') });
    });
  }
  return { saved, refused };
}

/**
 * @param {Change[]} changes
 * @returns {T.Operation<Record<string, { userErrors: UserError[] } | null>, Record<string, unknown>>}
 */
function documentFor(changes) {
  const updates = (/** @type {Change} */ change) => FIELDS[change.kind] === 'updateVaultEntry';
  const variables =
    changes.map((change, index) => `$v${index}: ${updates(change) ? 'UpdateVaultEntryInput!' : 'ID!'}`);
  const fields = changes.map((change, index) =>
    `c${index}: ${FIELDS[change.kind]}(${updates(change) ? 'input'
      : 'id'}: $v${index}) { userErrors { code field message } }`);
  return { name: 'SaveChanges',
    document: `mutation SaveChanges(${variables.join(', ')}) { ${fields.join(' ')} }` };
}
