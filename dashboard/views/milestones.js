/**
 * @import * as T from '../types/graphql'
 * @import { UserError } from '../api.js'
 * @import { Column } from '../components/table.js'
 * @import { ProjectVault } from './project.js'
 */
import { send } from '../api.js';
import { Confirm } from '../components/dialog.js';
import { Failure, Loaded } from '../components/failure.js';
import { OtherErrors } from '../components/field.js';
import { Table } from '../components/table.js';
import { tell } from '../components/toast.js';
import { Badge, Button, Empty, PageHead, Time } from '../components/ui.js';
import { byName, instantOf } from '../format.js';
import { useAction, useNow, useQuery, useTitle } from '../hooks.js';
import { html } from '../html.js';
import { CloseMilestone, Milestones } from '../operations/people.js';
import { href } from '../router.js';
import { text } from '../text.js';
import { useState } from '../vendor/hooks.js';

const t = text.milestones;

/**
 * @typedef {NonNullable<T.MilestonesQuery['projectVault']>['milestones'][number]} Milestone
 * @typedef {'open' | 'upcoming' | 'closed'} Phase
 * @typedef {{ start: number, end: number }} Span in milliseconds
 */

/** @type {Record<Phase, import('../components/ui.js').Tone>} */
const TONES = { open: 'good', upcoming: 'accent', closed: 'quiet' };
const ORDER = { open: 0, upcoming: 1, closed: 2 };

/** How far `now` may be behind the server's clock, in milliseconds. */
const BEHIND = 60_000;

/** @param {Milestone} milestone @param {number} now @returns {Phase} */
export function phaseOf({ vaultPhase: phase }, now) {
  const opens = phase?.opensAt ? Date.parse(phase.opensAt) : -Infinity;
  const closes = phase?.closesAt ? Date.parse(phase.closesAt) : Infinity;
  if (closes <= now) return 'closed';
  if (opens > now) return 'upcoming';
  // The server has just closed it.
  if (phase?.open === false && closes <= now + BEHIND) return 'closed';
  return 'open';
}

/**
 * The time that the timeline shows: all instants, and now.
 * @param {Milestone[]} milestones
 * @param {number} now
 * @returns {Span}
 */
function spanOf(milestones, now) {
  const instants =
    milestones.flatMap(({ vaultPhase }) => [vaultPhase?.opensAt, vaultPhase?.closesAt]).filter((at) =>
      at != null).map((at) => Date.parse(at));
  const start = Math.min(now, ...instants);
  const end = Math.max(now, ...instants);
  const margin = Math.max((end - start) * 0.06, 3_600_000);
  return { start: start - margin, end: end + margin };
}

/** @param {{ milestone: Milestone, span: Span, now: number }} props */
function Bar({ milestone, span, now }) {
  const { opensAt, closesAt } = milestone.vaultPhase ?? { opensAt: null, closesAt: null };
  const place =
    (/** @type {string | null} */ at, /** @type {number} */ none) =>
      (((at ? Date.parse(at) : none) - span.start) / (span.end - span.start)) * 100;
  const left = place(opensAt, span.start);
  const right = place(closesAt, span.end);
  const shape =
    ['bar', phaseOf(milestone, now), !opensAt && 'no-start', !closesAt && 'no-end'].filter(Boolean).join(' ');
  const title = `${opensAt ? instantOf(opensAt) : t.noStart} – ${closesAt ? instantOf(closesAt) : t.noEnd}`;
  return html`<li><span class="bar-name">${milestone.id}</span>
    <span class="bar-track" title=${title}><span class=${shape}
      style=${{ left: `${left}%`, width: `${Math.max(right - left, 0.8)}%` }}></span></span></li>`;
}

/** The same as the table below, as a picture. @param {{ milestones: Milestone[], now: number }} props */
function Timeline({ milestones, now }) {
  const span = spanOf(milestones, now);
  const left = `${((now - span.start) / (span.end - span.start)) * 100}%`;
  return html`<div class="card timeline" aria-hidden="true">
    <ul>${milestones.map((milestone) =>
      html`<${Bar} key=${milestone.id} milestone=${milestone} span=${span} now=${now} />`)}</ul>
    <div class="now-track"><span class="now" style=${{ left }}><span>${t.now}</span></span></div>
  </div>`;
}

/** @param {{ milestone: Milestone, onClose: () => void, onDone: () => void }} props */
function CloseDialog({ milestone, onClose, onDone }) {
  const [errors, setErrors] = useState(/** @type {UserError[]} */ ([]));
  const close = useAction(async () => {
    const problems = (await send(CloseMilestone, { id: milestone.id })).closeVaultMilestone?.userErrors ?? [];
    setErrors(problems);
    if (problems.length) return;
    tell(t.done(milestone.id));
    onClose();
    onDone();
  });
  return html`<${Confirm} title=${t.closeTitle(milestone.id)} action=${t.close} kind="danger"
    busy=${close.busy} onConfirm=${() => close.run()} onClose=${onClose}>
    <p>${t.closeBody}</p>
    <${OtherErrors} errors=${errors} fields=${[]} />
    <${Failure} error=${close.error} />
  <//>`;
}

/** @param {{ vault: ProjectVault }} props */
export function MilestonesView({ vault }) {
  const { viewer } = vault;
  const projectId = vault.project.id;
  useTitle(t.title);
  const now = useNow();
  const query = useQuery(Milestones, { projectId, list: viewer.canList });
  const [closing, setClosing] = useState(/** @type {Milestone | null} */ (null));
  /** @type {Column<Milestone>[]} */
  const columns = [
    { label: text.people.milestone, wide: true, cell: ({ id }) => html`<strong>${id}</strong>` },
    { label: text.entries.status,
      cell: (milestone) =>
        html`<${Badge} tone=${TONES[phaseOf(milestone, now)]}>${t[phaseOf(milestone, now)]}<//>` },
    { label: t.opens,
      cell: ({ vaultPhase }) => html`<${Time} at=${vaultPhase?.opensAt} none=${t.noStart} />` },
    { label: t.closes,
      cell: ({ vaultPhase }) => html`<${Time} at=${vaultPhase?.closesAt} none=${t.noEnd} />` },
    { label: text.nav.entries,
      cell: ({ id, vaultEntries }) =>
        html`<a href=${href(['p', projectId],
          { scope: `m:${id}` })}>${text.entries.count(vaultEntries?.totalCount ?? 0)}</a>` },
    { label: text.people.columns.actions, hideLabel: true,
      cell: (milestone) => phaseOf(milestone, now) !== 'closed'
      && html`<span class="row-actions"><${Button} label=${t.closeLabel(milestone.id)}
        onClick=${() => setClosing(milestone)}>${t.close}<//></span>` },
  ];
  return html`
    <${PageHead} title=${t.title} about=${t.about} />
    <${Loaded} query=${query}>
      ${(/** @type {T.MilestonesQuery} */ { projectVault }) => {
        const all =
          [...(projectVault?.milestones ?? [])].sort((a, b) => ORDER[phaseOf(a, now)] - ORDER[phaseOf(b, now)]
            || byName(a.id, b.id));
        if (all.length === 0) return html`<${Empty} icon="flag" title=${t.emptyTitle}>${t.empty}<//>`;
        if (!viewer.canList) return html`<ul
          class="card plain-list">${all.map(({ id }) => html`<li key=${id}>${id}</li>`)}</ul>`;
        return html`<${Timeline} milestones=${all} now=${now} />
          <${Table} caption=${t.title} rows=${all}
            columns=${viewer.canAdminister ? columns : columns.slice(0, 5)} />`;
      }}
    <//>
    ${closing
      && html`<${CloseDialog} milestone=${closing} onClose=${() => setClosing(null)} onDone=${query.reload}
        />`}
  `;
}
