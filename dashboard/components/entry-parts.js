/**
 * The parts of an entry's page.
 * @import * as T from '../types/graphql'
 * @import { FullEntry } from '../mutate.js'
 * @import { ComponentChildren } from '../vendor/preact.js'
 * @import { Column } from './table.js'
 */
import { useQuery } from '../hooks.js';
import { html } from '../html.js';
import { ProjectAudit } from '../operations/audit.js';
import { href } from '../router.js';
import { text } from '../text.js';
import { EventTable } from './events.js';
import { Loaded } from './failure.js';
import { Table } from './table.js';
import { Badge, Button, Section, Skeleton, Time } from './ui.js';

const t = text.entry;

/** @param {{ label: string, children: ComponentChildren }} props */
const Detail = ({ label, children }) => html`<div><dt>${label}</dt><dd>${children}</dd></div>`;

/** @param {{ entry: FullEntry, viewer: T.ViewerFragment }} props */
export function EntryDetails({ entry, viewer }) {
  const { certificate } = entry;
  return html`<div class="card details">
    <p class=${entry.description ? 'description' : 'faint'}>${entry.description ?? t.noDescription}</p>
    <dl>
      <${Detail}
        label=${t.value}>${viewer.canViewMasked ? html`<span class="mono masked">${entry.maskedValue}</span>`
          : html`<span class="faint">${t.hidden}</span>`}<//>
      <${Detail} label=${t.version}>${entry.version}<//>
      <${Detail} label=${t.expires}><${Time} at=${entry.expiresAt} none=${text.never} full /><//>
      <${Detail} label=${t.rotation}>${entry.rotationIntervalDays
        ? html`${t.every(entry.rotationIntervalDays)}<span class="faint"> · ${t.due} </span><${Time}
          at=${entry.rotationDueAt} />`
        : t.noRotation}<//>
      ${viewer.canViewMasked
        && html`<${Detail} label=${t.used}><${Time} at=${entry.lastResolvedAt} none=${t.neverUsed} />
        ${Boolean(entry.resolveCount)
          && html`<span class="faint"> · ${t.times(entry.resolveCount ?? 0)}</span>`}<//>`}
      <${Detail} label=${t.changed}><${Time} at=${entry.updatedAt} /> <span
        class="faint">${text.entries.by} ${entry.updatedBy.id}</span><//>
      <${Detail} label=${t.created}><${Time} at=${entry.createdAt} /> <span
        class="faint">${text.entries.by} ${entry.createdBy.id}</span><//>
    </dl>
    ${certificate && html`<h2 id="certificate">${t.certificate}</h2>
      <dl aria-labelledby="certificate">
        <${Detail} label=${t.subject}><span class="mono">${certificate.subject}</span><//>
        <${Detail} label=${t.issuer}><span class="mono">${certificate.issuer}</span><//>
        <${Detail} label=${t.certificateEnds}><${Time} at=${certificate.notAfter} full /><//>
        <${Detail} label=${`${t.valid} ${t.from}`}><${Time} at=${certificate.notBefore} full /><//>
        <${Detail} label=${t.fingerprint}><span class="mono small">${certificate.fingerprint}</span><//>
      </dl>`}
  </div>`;
}

/** @typedef {NonNullable<FullEntry['versions']>['nodes'][number]} Version */

/** @param {{ entry: FullEntry, onRollback?: (version: Version) => void }} props */
export function Versions({ entry, onRollback }) {
  /** @type {Column<Version>[]} */
  const columns = [
    { label: t.versionColumns.version,
      cell: ({ version, restoredFrom }) => html`<span class="badges">v${version}
      ${version === entry.version && html`<${Badge} tone="accent">${t.current}<//>`}
      ${restoredFrom && html`<span class="faint">${t.restoredFrom(restoredFrom)}</span>`}</span>` },
    { label: t.versionColumns.value,
      cell: ({ maskedValue }) => html`<span class="mono">${maskedValue}</span>` },
    { label: t.versionColumns.created, cell: ({ createdAt }) => html`<${Time} at=${createdAt} />` },
    { label: t.versionColumns.by, cell: ({ createdBy }) => createdBy.id },
    { label: t.versionColumns.action, hideLabel: true,
      cell: (version) => onRollback && version.version !== entry.version
      && html`<span class="row-actions"><${Button} kind="plain" label=${t.rollbackTo(version.version)}
        onClick=${() => onRollback(version)}>${t.rollback}<//></span>` },
  ];
  return html`<${Section} id="versions" title=${t.versions} about=${t.versionsAbout}>
    <${Table} caption=${t.versions} rows=${entry.versions?.nodes ?? []}
      columns=${onRollback ? columns : columns.slice(0, 4)} />
  <//>`;
}

/** @typedef {NonNullable<FullEntry['exposures']>[number]} Exposure */

/** @type {Column<Exposure>[]} */
const EXPOSURES = [
  { label: t.exposureColumns.agent, cell: ({ agent }) => html`<strong>${agent.id}</strong>` },
  { label: t.exposureColumns.since, cell: ({ since }) => html`<${Time} at=${since} />` },
  { label: t.exposureColumns.last, cell: ({ lastReceivedAt }) => html`<${Time} at=${lastReceivedAt} />` },
];

/** @param {{ entry: FullEntry }} props */
export function Exposures({ entry }) {
  const exposures = entry.exposures ?? [];
  return html`<${Section} id="exposures" title=${t.exposures} about=${t.exposuresAbout}>
    ${exposures.length === 0
      ? html`<p class="none">${t.noExposures}</p>`
      : html`<${Table} caption=${t.exposures} rows=${exposures} columns=${EXPOSURES} />`}
  <//>`;
}

/** @param {{ entry: FullEntry, projectId: string }} props */
export function EntryEvents({ entry, projectId }) {
  const query = useQuery(ProjectAudit, { projectId, first: 10, filter: { entryId: entry.id } });
  const all = html`<a href=${href(['p', projectId, 'audit'], { entry: entry.id })}>${t.allEvents}</a>`;
  return html`<${Section} id="events" title=${t.events} about=${t.eventsAbout} actions=${all}>
    <${Loaded} query=${query} skeleton=${html`<${Skeleton} rows=${3} />`}>
      ${(/** @type {T.ProjectAuditQuery} */ { projectVault }) =>
        html`<${EventTable} events=${projectVault?.auditEvents?.nodes ?? []} />`}
    <//>
  <//>`;
}
