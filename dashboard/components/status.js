/**
 * @import * as T from '../types/graphql'
 * @import { Tone } from './ui.js'
 */
import { html } from '../html.js';
import { href } from '../router.js';
import { text } from '../text.js';
import { Badge } from './ui.js';

/** @type {Record<T.VaultEntryStatus, Tone>} */
const ENTRY = { ACTIVE: 'good', EXPIRED: 'bad', DISABLED: 'warn', DELETED: 'quiet' };
/** @type {Record<T.VaultProjectStatus, Tone>} */
const PROJECT = { PLANNING: 'quiet', ACTIVE: 'good', PAUSED: 'warn', COMPLETED: 'quiet', CANCELLED: 'quiet' };

/** @param {{ status: T.VaultEntryStatus }} props */
export const EntryStatus = ({ status }) => html`<${Badge} tone=${ENTRY[status]}>${text.statuses[status]}<//>`;

/** @param {{ status: T.VaultProjectStatus }} props */
export const ProjectStatus = ({ status }) =>
  html`<${Badge} tone=${PROJECT[status]}
    title=${status === 'ACTIVE' ? undefined : text.projectBlocked}>${text.projectStatus[status]}<//>`;

/** @param {{ viewer: T.ViewerFragment }} props */
export function RoleBadge({ viewer }) {
  if (viewer.role) return html`<${Badge} tone="accent"
    title=${text.roles.may[viewer.role]}>${text.roles[viewer.role]}<//>`;
  return html`<${Badge}>${viewer.canAudit ? text.roles.auditor : text.roles.none}<//>`;
}

/**
 * What the summary of a project shows to this viewer.
 * @param {string} projectId
 * @param {T.ViewerFragment} viewer
 * @returns {T.SummaryQueryVariables}
 */
export const summaryOf = (projectId, viewer) => ({
  projectId,
  masked: viewer.canViewMasked,
  administer: viewer.canAdminister,
});

/**
 * Links to what needs somebody's attention.
 * @param {{ summary: T.SummaryFieldsFragment, projectId: string }} props
 */
export function Attention({ summary, projectId }) {
  const t = text.projects;
  /** @type {[number | null | undefined, (count: number) => string, Tone, Record<string, string>][]} */
  const items = [
    [summary.expired, t.expired, 'bad', { status: 'EXPIRED' }],
    [summary.expiring, t.expiring, 'warn', { attention: 'expiring' }],
    [summary.rotationDue, t.rotationDue, 'warn', { attention: 'rotation' }],
    [summary.disabled, t.disabled, 'quiet', { status: 'DISABLED' }],
    [summary.neverUsed, t.neverUsed, 'quiet', { attention: 'unused' }],
    [summary.leftOutOfSessions, t.leftOut, 'quiet', { attention: 'leftOut' }],
  ];
  const shown = items.filter(([count]) => count);
  if (shown.length === 0) return html`<span class="faint">${t.healthy}</span>`;
  return html`<ul class="attention" aria-label=${t.attention}>
    ${shown.map(([count, say, tone, query]) => html`<li key=${say(1)}>
      <a class=${`badge ${tone}`} href=${href(['p', projectId], query)}>${say(count ?? 0)}</a>
    </li>`)}
  </ul>`;
}
