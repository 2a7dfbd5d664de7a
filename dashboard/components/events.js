/**
 * @import * as T from '../types/graphql'
 * @import { Column } from './table.js'
 */
import { instantOf } from '../format.js';
import { html } from '../html.js';
import { href } from '../router.js';
import { text } from '../text.js';
import { Table } from './table.js';
import { Badge, Time } from './ui.js';

const t = text.audit;

/** @typedef {T.AuditEventFragment} Event */

/** @type {Record<T.VaultAuditOutcome, import('./ui.js').Tone>} */
const TONES = { ALLOWED: 'good', DENIED: 'bad', FAILED: 'warn' };

/** What the event is about, in a few words. @param {{ event: Event, links: boolean }} props */
function About({ event, links }) {
  const { entryName, entryId, projectId, entryVersion, agent, subject, role, milestoneId } = event;
  const parts = [
    entryName && (links && entryId && projectId
      ? html`<a class="mono" href=${href(['p', projectId, 'e', entryId])}>${entryName}</a>`
      : html`<span class="mono">${entryName}</span>`),
    entryVersion && html`<span class="faint">${text.entries.version(entryVersion)}</span>`,
    role && text.roles[role],
    subject && !subject.startsWith('data-key:') && subject,
    agent && subject !== `agent:${agent.id}` && html`<span class="faint">${t.for}</span> agent:${agent.id}`,
    milestoneId && html`<span class="faint">${text.entries.milestone(milestoneId)}</span>`,
  ].filter(Boolean);
  return html`<span
    class="about-event">${parts.map((part, index) => html`<span key=${index}>${part}</span>`)}</span>`;
}

/** @param {{ event: Event }} props */
function Details({ event }) {
  const { fields } = t;
  const { agent, purpose } = event;
  const values = { ...event, agent: agent?.id, purpose: purpose && t.purposes[purpose] };
  const shown =
    /** @type {(keyof typeof fields)[]} */ (Object.keys(fields)).filter((name) => values[name] !== null
      && values[name] !== undefined);
  return html`<details class="event-details"><summary>${t.details}</summary>
    <dl><div><dt>${t.columns.when}</dt><dd>${instantOf(event.occurredAt)}</dd></div>
      ${shown.map((name) =>
        html`<div key=${name}><dt>${fields[name]}</dt><dd class="mono">${values[name]}</dd></div>`)}</dl>
  </details>`;
}

/** @type {Column<Event>} */
const PROJECT = { label: t.fields.projectId, cell: ({ projectId }) => projectId ?? '—' };

/** @param {{ events: Event[], projects?: boolean }} props `projects`: show the project of each, whose entries
 *   the viewer may not see */
export function EventTable({ events, projects }) {
  if (events.length === 0) return html`<p class="none">${t.emptyTitle}</p>`;
  /** @type {Column<Event>[]} */
  const columns = [
    { label: t.columns.when, keep: true, cell: ({ occurredAt }) => html`<${Time} at=${occurredAt} />` },
    { label: t.columns.actor, cell: ({ actor }) => html`<span class="actor">${actor}</span>` },
    { label: t.columns.action, keep: true, cell: ({ action }) => t.actions[action] ?? action },
    { label: t.columns.subject, cell: (event) => html`<${About} event=${event} links=${!projects} />` },
    ...(projects ? [PROJECT] : []),
    { label: t.columns.outcome, keep: true,
      cell: ({ outcome, reason, count }) =>
        html`<span class="badges one-line"><${Badge} tone=${TONES[outcome]}
          title=${reason}>${t.outcomes[outcome]}<//>
      ${count > 1 && html`<strong class="count">${t.count(count)}</strong>`}</span>` },
    { label: t.details, hideLabel: true, cell: (event) => html`<${Details} event=${event} />` },
  ];
  return html`<${Table} caption=${t.table} rows=${events} columns=${columns}
    rowClass=${(/** @type {Event} */ { outcome }) => (outcome === 'DENIED' ? 'denied' : undefined)} />`;
}
