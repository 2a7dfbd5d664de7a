/**
 * @import * as T from '../types/graphql'
 * @import { Burst, Page } from '../audit.js'
 * @import { ProjectVault } from './project.js'
 */
import { burstsOf, readEvents } from '../audit.js';
import { AuditFilters, choicesOf, filterOf } from '../components/audit-filters.js';
import { ExportDialog } from '../components/export.js';
import { EventTable } from '../components/events.js';
import { Failure } from '../components/failure.js';
import { Button, Empty, LinkButton, Notice, PageHead, Skeleton } from '../components/ui.js';
import { fromNow } from '../format.js';
import { asApiError, useAction, useDebounced, useNow, useRoute, useSession, useTitle } from '../hooks.js';
import { html } from '../html.js';
import { href, replace } from '../router.js';
import { text } from '../text.js';
import { useEffect, useState } from '../vendor/hooks.js';
import { isAbort } from '../api.js';
import { TopTabs } from './projects.js';

const t = text.audit;
const PAGE = 50;
/**
 * How often a filter that finds nothing on a page is continued by itself: each page examines 10,000 events.
 */
const TRIES = 5;

/**
 * @param {string | null} projectId
 * @param {T.VaultAuditFilter} filter
 */
function useEvents(projectId, filter) {
  const { session } = useSession();
  const key = JSON.stringify([projectId, filter, session?.generation]);
  const [page, setPage] = useState(/** @type {Page | undefined} */ (undefined));
  const [error, setError] = useState(/** @type {import('../api.js').ApiError | undefined} */ (undefined));
  const [round, setRound] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    /** @returns {Promise<void>} */
    const read = async () => {
      let next = await readEvents(projectId, filter, null, PAGE, abort.signal);
      for (let tries = 1; next.events.length === 0 && next.cursor && tries < TRIES; tries += 1) {
        next = await readEvents(projectId, filter, next.cursor, PAGE, abort.signal);
      }
      setPage(next);
      setError(undefined);
    };
    read().catch((failure) => !isAbort(failure) && setError(asApiError(failure)));
    return () => abort.abort();
  }, [key, round]);
  const more = useAction(async () => {
    const next = await readEvents(projectId, filter, page?.cursor ?? null, PAGE);
    setPage((was) => ({ events: [...(was?.events ?? []), ...next.events], cursor: next.cursor }));
  });
  return { page, error, more, reload: () => setRound((was) => was + 1) };
}

/** @param {{ bursts: Burst[], onShow: (burst: Burst) => void }} props */
function Bursts({ bursts, onShow }) {
  const now = useNow();
  return bursts.slice(0,
    3).map((burst) => html`<${Notice} key=${burst.actor + burst.since} tone="bad" title=${t.burstTitle}
    actions=${html`<${Button} label=${`${t.showBurst}: ${burst.actor}`}
      onClick=${() => onShow(burst)}>${t.showBurst}<//>`}>
    ${t.burst(burst.actor, burst.count, fromNow(burst.until, now))}<//>`);
}

/** @param {{ projectId: string | null, path: string[] }} props */
function Audit({ projectId, path }) {
  const route = useRoute();
  const [exporting, setExporting] = useState(false);
  const choices = choicesOf(route.query);
  const settled = useDebounced(JSON.stringify(choices), 250);
  const filter = filterOf(JSON.parse(settled));
  const { page, error, more, reload } = useEvents(projectId, filter);
  /** @param {Partial<typeof choices>} next */
  const change = (next) => {
    replace(href(path, { ...choices, ...next }));
  };
  const events = page?.events ?? [];
  const narrowed = choices.actor !== '' && choices.outcome === 'DENIED';
  const actions = html`<${LinkButton} icon="shield" href=${href(['receipt'])}>${t.verify}<//>
    <${Button} icon="download" onClick=${() => setExporting(true)}>${t.export}<//>`;
  return html`
    <${PageHead} title=${t.title} about=${projectId === null ? t.aboutAll : t.about}>${actions}<//>
    <${AuditFilters} choices=${choices} change=${change} />
    <${Failure} error=${error ?? more.error} retry=${error ? reload : more.run} />
    ${!narrowed
      && html`<${Bursts} bursts=${burstsOf(events)}
        onShow=${(/** @type {Burst} */ { actor }) => change({ actor, outcome: 'DENIED' })} />`}
    ${!page && !error && html`<${Skeleton} rows=${8} />`}
    ${page && (events.length
      ? html`<${EventTable} events=${events} projects=${projectId === null} />`
      : html`<${Empty} icon="search" title=${t.emptyTitle}>${page.cursor ? t.searching : t.empty}<//>`)}
    ${page?.cursor
      && html`<div class="after"><${Button} busy=${more.busy}
        onClick=${() => more.run()}>${text.more}<//></div>`}
    ${exporting
      && html`<${ExportDialog} projectId=${projectId} filter=${filter} onClose=${() => setExporting(false)}
        />`}
  `;
}

/** @param {{ vault: ProjectVault }} props */
export function ProjectAuditView({ vault }) {
  useTitle(t.title);
  const { id } = vault.project;
  return html`<${Audit} projectId=${id} path=${['p', id, 'audit']} />`;
}

export function InstallationAuditView() {
  useTitle(t.title);
  return html`<${TopTabs} current="audit" auditor /><${Audit} projectId=${null} path=${['audit']} />`;
}
