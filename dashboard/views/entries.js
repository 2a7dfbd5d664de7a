/**
 * @import * as T from '../types/graphql'
 * @import { ProjectVault } from './project.js'
 */
import { Failure } from '../components/failure.js';
import { Select } from '../components/field.js';
import { Grid } from '../components/grid.js';
import { Icon } from '../components/icon.js';
import { StagedBar } from '../components/staged.js';
import { Attention, ProjectStatus, RoleBadge, summaryOf } from '../components/status.js';
import { Button, Empty, LinkButton, PageHead, Skeleton } from '../components/ui.js';
import { useEntries } from '../entries.js';
import { DAY } from '../format.js';
import { useDebounced, useQuery, useRoute, useTitle, useUnsaved } from '../hooks.js';
import { html } from '../html.js';
import { Summary } from '../operations/projects.js';
import { go, href, replace } from '../router.js';
import { onSession, sessionState } from '../session.js';
import { onKeys } from '../shortcuts.js';
import { useStaging } from '../staging.js';
import { text } from '../text.js';
import { useLayoutEffect, useMemo, useRef, useState } from '../vendor/hooks.js';

const t = text.entries;
/** How long after the last key a search begins, in milliseconds. */
const DEBOUNCE = 180;
/** Instants in filters are rounded, so that the same filter is the same query for a while. */
const ROUND = 5 * 60_000;

/** What is typed into the search stays in memory, by project. @type {Map<string, string>} */
const searches = new Map();
onSession(() => {
  if (!sessionState().session) searches.clear();
});

/**
 * @typedef {{ category: string, scope: string, status: string, attention: string, sort: string, group:
 *   string }} Choices
 */

/** @param {URLSearchParams} query @returns {Choices} */
function choicesOf(query) {
  const { category = '', scope = '', status = '', attention = '', sort = '', group = '' } =
    Object.fromEntries(query);
  return { category, scope, status, attention, sort, group };
}

/** @param {Choices} choices @param {string} search @returns {T.VaultEntryFilter} */
function filterOf({ category, scope, status, attention }, search) {
  /** @type {T.VaultEntryFilter} */
  const filter = {};
  const now = Math.floor(Date.now() / ROUND) * ROUND;
  if (search) filter.nameContains = search;
  if (category in text.categories) filter.categories = [/** @type {T.VaultCategory} */ (category)];
  if (status in text.statuses) filter.statuses = [/** @type {T.VaultEntryStatus} */ (status)];
  if (scope === 'PROJECT') filter.scope = 'PROJECT';
  if (scope.startsWith('m:')) filter.milestoneId = scope.slice(2);
  if (attention === 'expiring') {
    filter.expiresBefore = new Date(now + 7 * DAY).toISOString();
    filter.statuses ??= ['ACTIVE'];
  }
  if (attention === 'rotation') filter.rotationDueBefore = new Date(now + ROUND).toISOString();
  if (attention === 'unused') filter.neverResolved = true;
  if (attention === 'leftOut') filter.leftOutOfSessions = true;
  return filter;
}

/** @param {string} sort @returns {T.VaultEntryOrder} */
function orderOf(sort) {
  const [field, direction] = (sort in t.sorts ? sort : 'NAME ASC').split(' ');
  return { field: /** @type {T.VaultEntryOrderField} */ (field),
    direction: /** @type {T.VaultSortDirection} */ (direction) };
}

/** @param {{ choices: Choices, change: (next: Partial<Choices>) => void, vault: ProjectVault }} props */
function Filters({ choices, change, vault }) {
  const { viewer, milestones } = vault;
  /** @type {[string, string][]} */
  const scopes =
    [['', t.allScopes], ['PROJECT', t.projectScope],
      ...milestones.map(({ id }) => /** @type {[string, string]} */ ([`m:${id}`, t.milestone(id)]))];
  const statuses = Object.entries(text.statuses).filter(([key]) => key !== 'DELETED' || viewer.canAdminister);
  const attentions = Object.entries(t.attentions).filter(([key]) => key !== 'unused' || viewer.canViewMasked);
  return html`
    <${Select} label=${t.category} value=${choices.category}
      options=${[['', t.allCategories], ...Object.entries(text.categories)]}
      onChange=${(/** @type {string} */ category) => change({ category })} />
    <${Select} label=${t.scope} value=${choices.scope} options=${scopes}
      onChange=${(/** @type {string} */ scope) => change({ scope })} />
    <${Select} label=${t.status} value=${choices.status} options=${[['', t.liveStatuses], ...statuses]}
      onChange=${(/** @type {string} */ status) => change({ status })} />
    <${Select} label=${t.attention} value=${choices.attention}
      options=${[['', t.anyAttention], ...attentions]}
      onChange=${(/** @type {string} */ attention) => change({ attention })} />
    <${Select} label=${t.sort} value=${choices.sort || 'NAME ASC'} options=${Object.entries(t.sorts)}
      onChange=${(/** @type {string} */ sort) => change({ sort })} />
  `;
}

/** @param {{ vault: ProjectVault }} props */
export function EntriesView({ vault }) {
  const { viewer, milestones } = vault;
  const projectId = vault.project.id;
  useTitle(projectId);
  const summary = useQuery(Summary, viewer.canList ? summaryOf(projectId, viewer) : null);
  const counts = summary.data?.projectVault?.summary;
  const actions = viewer.canWrite && html`
    <${LinkButton} icon="upload" href=${href(['p', projectId, 'import'])}>${t.import}<//>
    <${LinkButton} icon="plus" kind="primary" href=${href(['p', projectId, 'new'])}>${t.create}<//>`;
  const title =
    html`${projectId} <span class="badges"><${ProjectStatus} status=${vault.status} /><${RoleBadge}
      viewer=${viewer} /></span>`;
  const about =
    viewer.canList
      && html`<div
        class="head-attention">${counts
          && html`<${Attention} summary=${counts} projectId=${projectId} />`}</div>`;
  return html`
    <${PageHead} title=${title} about=${about}>${actions}<//>
    ${viewer.canList
      ? html`<${EntryList} vault=${vault} changed=${summary.reload} grouped=${milestones.length > 0} />`
      : html`<${Empty} icon="key" title=${text.error.titles.FORBIDDEN}>${t.noList}<//>`}
  `;
}

/** @param {{ vault: ProjectVault, changed: () => void, grouped: boolean }} props */
function EntryList({ vault, changed, grouped }) {
  const { viewer } = vault;
  const projectId = vault.project.id;
  const route = useRoute();
  const choices = choicesOf(route.query);
  // An address from somebody else may ask for what this viewer does not see.
  if (choices.attention === 'unused' && !viewer.canViewMasked) choices.attention = '';
  if (choices.status === 'DELETED' && !viewer.canAdminister) choices.status = '';
  const [search, setSearch] = useState(searches.get(projectId) ?? '');
  const [filtersOpen, setFiltersOpen] = useState(false);
  const searched = useDebounced(search.trim(), DEBOUNCE);
  const group = choices.group ? choices.group === 'on' : grouped;
  const filter = useMemo(() => filterOf(choices, searched), [JSON.stringify(choices), searched]);
  const entries =
    useEntries({ projectId, filter, orderBy: orderOf(choices.sort), masked: viewer.canViewMasked }, group);
  const staging = useStaging(projectId);
  useUnsaved(staging.changes.size > 0);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));

  /** @param {Partial<Choices>} next */
  const change = (next) => {
    const all = { ...choices, ...next };
    replace(href(['p', projectId], all));
  };
  /** @param {string} value */
  const type = (value) => {
    searches.set(projectId, value);
    setSearch(value);
  };
  const filtering =
    searched !== ''
      || ['category', 'scope', 'status',
        'attention'].some((name) => choices[/** @type {keyof Choices} */ (name)]);
  const clear = () => {
    type('');
    change({ category: '', scope: '', status: '', attention: '' });
    field.current?.focus();
  };
  // With the layout, so that what is seen can be used.
  useLayoutEffect(() => {
    const removers = [onKeys('/', () => field.current?.focus())];
    if (viewer.canWrite) {
      removers.push(onKeys('n', () => go(href(['p', projectId, 'new']))),
        onKeys('i', () => go(href(['p', projectId, 'import']))));
    }
    return () => removers.forEach((remove) => remove());
  }, [projectId, viewer.canWrite]);

  const { rows, total } = entries;
  const all = total ?? 0;
  const count = total === undefined ? '' : rows.length < all ? t.loaded(rows.length, all) : t.count(all);
  const empty = filtering
    ? html`<${Empty} icon="search" title=${t.noMatchTitle}
      actions=${html`<${Button} onClick=${clear}>${t.clear}<//>`}>${t.noMatch}<//>`
    : html`<${Empty} icon="key" title=${t.emptyTitle} actions=${viewer.canWrite && html`
        <${LinkButton} icon="upload" href=${href(['p', projectId, 'import'])}>${t.import}<//>
        <${LinkButton} icon="plus" kind="primary" href=${href(['p', projectId, 'new'])}>${t.create}<//>`}>
        ${viewer.canWrite ? t.empty : t.emptyReadOnly}<//>`;
  return html`
    <search class="toolbar">
      <div class="search">
        <${Icon} name="search" />
        <input ref=${field} type="search" aria-label=${t.search} placeholder=${t.search} value=${search}
          autocomplete="off" spellcheck=${false}
          onInput=${(/** @type {Event & { currentTarget: HTMLInputElement }} */ event) =>
            type(event.currentTarget.value)} />
      </div>
      <button type="button" class="button filters-toggle" aria-expanded=${filtersOpen} aria-controls="filters"
        onClick=${() => setFiltersOpen(!filtersOpen)}>
        ${t.filters}<${Icon} name="down" />
      </button>
      <div class=${filtersOpen ? 'filters open' : 'filters'} id="filters">
        <${Filters} choices=${choices} change=${change} vault=${vault} />
      </div>
    </search>
    <div class="list-head">
      <p role="status" class="faint">${count}</p>
      ${filtering
        && html`<${Button} kind="plain" icon="close" label=${t.clear} onClick=${clear}>${t.clearShort}<//>`}
      ${grouped
        && html`<label class="check push"><input type="checkbox" checked=${group}
          onChange=${() => change({ group: group ? 'off' : 'on' })} />${t.group}</label>`}
    </div>
    ${entries.slow && html`<p class="slow" role="status">${text.slow}</p>`}
    <${Failure} error=${entries.error} retry=${entries.reload} />
    ${total === undefined && !entries.error && html`<${Skeleton} rows=${8} />`}
    ${total !== undefined && (rows.length === 0 && !entries.loading
      ? empty
      : html`<${Grid} entries=${entries} vault=${vault} group=${group} staging=${staging}
        sort=${choices.sort || 'NAME ASC'}
          onSort=${(/** @type {string} */ sort) => change({ sort })} />`)}
    ${viewer.canWrite && html`<${StagedBar} staging=${staging} rows=${rows} viewer=${viewer} saved=${() => {
      entries.reload();
      changed();
    }} />`}
  `;
}
