/**
 * What selects audit events.
 * @import * as T from '../types/graphql'
 */
import { fromLocalField } from '../format.js';
import { html } from '../html.js';
import { text } from '../text.js';
import { SelectField, TextField } from './field.js';
import { Button } from './ui.js';

const t = text.audit;

/** What is in the address. */
const NONE = { action: '', outcome: '', actor: '', entry: '', since: '', until: '' };

/** @typedef {typeof NONE} Choices */

/** @param {URLSearchParams} query @returns {Choices} */
export const choicesOf = (query) => ({
  ...NONE,
  ...Object.fromEntries([...query].filter(([name]) => name in NONE)),
});

/** @param {Choices} choices @returns {T.VaultAuditFilter} */
export function filterOf({ action, outcome, actor, entry, since, until }) {
  /** @type {T.VaultAuditFilter} */
  const filter = {};
  if (action in t.actions) filter.actions = [/** @type {T.VaultAuditAction} */ (action)];
  if (outcome in t.outcomes) filter.outcomes = [/** @type {T.VaultAuditOutcome} */ (outcome)];
  if (actor.trim()) filter.actors = [withKind(actor.trim())];
  if (entry.trim()) filter.entryId = entry.trim();
  if (since) filter.since = fromLocalField(since);
  if (until) filter.until = fromLocalField(until);
  return filter;
}

/** "alice" is a person. @param {string} actor */
const withKind = (actor) => (/^(user|service|runtime|system):/.test(actor) ? actor : `user:${actor}`);

/** @param {{ choices: Choices, change: (next: Partial<Choices>) => void }} props */
export function AuditFilters({ choices, change }) {
  const actions = Object.entries(t.actions).sort(([, a], [, b]) => a.localeCompare(b));
  /** The value of a field and its change. @param {keyof Choices} name */
  const of =
    (name) =>
      ({ value: choices[name], onChange: (/** @type {string} */ value) => change({ [name]: value }) });
  const used = Object.values(choices).some(Boolean);
  return html`<search class="audit-filters">
    <${SelectField} label=${t.action} options=${[['', t.allActions], ...actions]} ...${of('action')} />
    <${SelectField} label=${t.outcome} options=${[['', t.allOutcomes], ...Object.entries(t.outcomes)]}
      ...${of('outcome')} />
    <${TextField} label=${t.actor} placeholder=${t.actorHint} maxlength="240" ...${of('actor')} />
    <${TextField} label=${t.entry} placeholder=${t.entryHint} maxlength="40" ...${of('entry')} />
    <${TextField} label=${t.since} type="datetime-local" ...${of('since')} />
    <${TextField} label=${t.until} type="datetime-local" ...${of('until')} />
    ${used && html`<div><${Button} kind="plain" icon="close"
      onClick=${() => change(NONE)}>${text.entries.clear}<//></div>`}
  </search>`;
}
