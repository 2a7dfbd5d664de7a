/**
 * Changes of one entry.
 * @import * as T from './types/graphql'
 * @import { UserError } from './api.js'
 */
import { send } from './api.js';
import { Entry } from './operations/entries.js';

/** @typedef {NonNullable<T.EntryQuery['vaultEntry']>} FullEntry */

/**
 * The result of a change: the entry as it is now, or why it was refused. `newer` is the entry that
 * somebody else changed meanwhile.
 * @typedef {{ entry: T.ChangedEntryFragment['entry'], errors: UserError[], newer?: FullEntry }} Outcome
 */

/** @param {string} id @param {T.ViewerFragment} viewer @param {AbortSignal} [signal] */
async function readEntry(id, viewer, signal) {
  const variables = { id, masked: viewer.canViewMasked, administer: viewer.canAdminister };
  return (await send(Entry, variables, signal)).vaultEntry;
}

/**
 * Makes a change that is based on a revision. A CONFLICT has many reasons, so the entry is read again:
 * with another revision, somebody changed it meanwhile.
 * @param {() => Promise<T.ChangedEntryFragment | null>} change
 * @param {{ id: string, revision: number }} base
 * @param {T.ViewerFragment} viewer
 * @returns {Promise<Outcome>}
 */
export async function changeEntry(change, base, viewer) {
  const payload = await change();
  const outcome = { entry: payload?.entry ?? null, errors: payload?.userErrors ?? [] };
  if (!outcome.errors.some(({ code }) => code === 'CONFLICT')) return outcome;
  const newer = await readEntry(base.id, viewer);
  return newer && newer.revision !== base.revision ? { ...outcome, newer } : outcome;
}
