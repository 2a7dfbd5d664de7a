/**
 * The grid of entries. Only the rows near the window are in the page, so that a thousand are as fast as ten.
 * @import { Row, useEntries } from '../entries.js'
 * @import { Staging } from '../staging.js'
 * @import { ProjectVault } from '../views/project.js'
 */
import { byName, number } from '../format.js';
import { useEvent } from '../hooks.js';
import { html } from '../html.js';
import { href } from '../router.js';
import { onKeys } from '../shortcuts.js';
import { describe } from '../staging.js';
import { text } from '../text.js';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from '../vendor/hooks.js';
import { Icon } from './icon.js';
import { EntryStatus } from './status.js';
import { Badge, Time } from './ui.js';

const t = text.entries;
/** Heights in pixels, as in style.css. */
const HEIGHT = { wide: 44, narrow: 76, group: 40 };
/** How far beyond the window rows are drawn, in pixels. */
const MARGIN = 600;
const NARROW = matchMedia('(max-width: 720px)');

/**
 * @typedef {{ kind: 'row', row: Row } | { kind: 'group', name: string, count: number }} Item
 * @typedef {ReturnType<typeof useEntries>} Entries
 */

/** @param {Row[]} rows @param {boolean} group @returns {Item[]} */
function itemsOf(rows, group) {
  if (!group) return rows.map((row) => ({ kind: 'row', row }));
  /** @type {Map<string, Row[]>} */
  const groups = new Map();
  for (const row of rows) {
    const scope = row.milestone?.id ?? '';
    groups.set(scope, [...(groups.get(scope) ?? []), row]);
  }
  // The project's own come first.
  return [...groups].sort(([a], [b]) => byName(a, b)).flatMap(([scope, members]) => [
    /** @type {Item} */ ({ kind: 'group', name: scope ? t.milestone(scope) : t.projectScope,
      count: members.length }),
    ...members.map((row) => /** @type {Item} */ ({ kind: 'row', row })),
  ]);
}

function useNarrow() {
  const [narrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const change = () => setNarrow(NARROW.matches);
    NARROW.addEventListener('change', change);
    return () => NARROW.removeEventListener('change', change);
  }, []);
  return narrow;
}

/**
 * The part of the page that the window shows, from the top of `element`.
 * @param {{ current: HTMLElement | null }} element
 */
function useWindow(element) {
  const [view, setView] = useState({ top: 0, bottom: innerHeight });
  const measure = useEvent(() => {
    const top = -(element.current?.getBoundingClientRect().top ?? 0);
    // In steps, so that a small scroll draws nothing.
    const step = MARGIN / 4;
    setView((was) => {
      const next =
        { top: Math.floor(top / step) * step, bottom: Math.ceil((top + innerHeight) / step) * step };
      return was.top === next.top && was.bottom === next.bottom ? was : next;
    });
  });
  useLayoutEffect(measure);
  useEffect(() => {
    addEventListener('scroll', measure, { passive: true });
    addEventListener('resize', measure);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
    };
  }, []);
  return view;
}

/**
 * @param {{ name: string, field: string, sort: string, onSort: (sort: string) => void, first?: 'ASC' |
 *   'DESC' }} props
 */
function SortHeader({ name, field, sort, onSort, first = 'ASC' }) {
  const [by, direction] = sort.split(' ');
  const other = direction === 'ASC' ? 'DESC' : 'ASC';
  const sorted = by === field ? (direction === 'ASC' ? 'ascending' : 'descending') : undefined;
  return html`<span role="columnheader" aria-sort=${sorted}>
    <button type="button" class="sort" onClick=${() => onSort(`${field} ${by === field ? other : first}`)}>
      ${name}${sorted && html`<span class=${`sort-mark ${sorted}`}><${Icon} name="down" size=${12} /></span>`}
    </button></span>`;
}

/** @param {{ row: Row, index: number, vault: ProjectVault, group: boolean, staging: Staging }} props */
function EntryCells({ row, index, vault, group, staging }) {
  const { viewer } = vault;
  const change = staging.changes.get(row.id);
  return html`
    ${viewer.canWrite && html`<span role="cell" class="c-select">
      <label class="hit"><input type="checkbox" aria-label=${t.selectOne(row.name)}
        checked=${staging.selected.has(row.id)} onChange=${() => staging.toggle(row)} /></label></span>`}
    <span role="cell" class="c-name">
      <a class="entry-link mono" data-index=${index} href=${href(['p', vault.project.id, 'e', row.id])}
        title=${row.name}>${row.name}</a>
      ${change && html`<${Badge} tone="accent" title=${describe(change)}>${text.staged.badge}<//>`}
      ${row.leftOutOfSessions
        && html`<${Badge} title=${text.leftOutReasons[row.leftOutOfSessions]}>${t.leftOut}<//>`}
    </span>
    ${viewer.canViewMasked && html`<span role="cell" class="c-value mono">${row.maskedValue}</span>`}
    <span role="cell" class="c-category">${text.categories[row.category]}</span>
    ${!group && html`<span role="cell" class="c-scope"
      title=${row.milestone?.id}>${row.milestone?.id ?? text.scopes.PROJECT}</span>`}
    <span role="cell" class="c-status"><${EntryStatus} status=${row.status} /></span>
    <span role="cell" class="c-version">${t.version(row.version)}</span>
    <span role="cell" class=${row.expiresAt ? 'c-expires' : 'c-expires never'}><span
      class="narrow-label">${row.expiresAt && `${t.expires} `}</span><${Time} at=${row.expiresAt}
        none=${text.never} /></span>
    ${viewer.canViewMasked
      && html`<span role="cell" class="c-used"><${Time} at=${row.lastResolvedAt} none=${text.never}
        /></span>`}
    <span role="cell" class="c-changed"><${Time} at=${row.updatedAt} /> <span
      class="faint">${t.by} ${row.updatedBy.id}</span></span>
  `;
}

/**
 * @param {{ entries: Entries, vault: ProjectVault, group: boolean, staging: Staging, sort: string, onSort:
 *   (sort: string) => void }} props
 */
export function Grid({ entries, vault, group, staging, sort, onSort }) {
  const { rows, loading, more, total } = entries;
  const { viewer } = vault;
  const body = useRef(/** @type {HTMLElement | null} */ (null));
  const narrow = useNarrow();
  const items = useMemo(() => itemsOf(rows, group), [rows, group]);
  const tops = useMemo(() => {
    let y = 0;
    return items.map((item) => {
      const top = y;
      y += item.kind === 'group' ? HEIGHT.group : narrow ? HEIGHT.narrow : HEIGHT.wide;
      return { top, bottom: y };
    });
  }, [items, narrow]);
  const height = tops.at(-1)?.bottom ?? 0;
  const view = useWindow(body);
  const [active, setActive] = useState(-1);

  useLayoutEffect(() => {
    if (entries.scroll) scrollTo(0, entries.scroll);
  }, []);
  useEffect(() => {
    const remember = () => entries.remember(scrollY);
    addEventListener('scrollend', remember);
    return () => removeEventListener('scrollend', remember);
  });
  useEffect(() => {
    if (view.bottom + 2 * MARGIN > height) more();
  }, [view.bottom, height, loading]);

  const move = useEvent((/** @type {number} */ by) => {
    let next = active + by;
    while (items[next]?.kind === 'group') next += by;
    if (!items[next]) return;
    setActive(next);
    const place = tops[next];
    const start = (body.current?.getBoundingClientRect().top ?? 0) + scrollY;
    if (place && (start + place.top < scrollY + 180 || start + place.bottom > scrollY + innerHeight - 90)) {
      scrollTo(0, start + place.top - innerHeight / 2);
    }
    requestAnimationFrame(() => focusRow(body.current, next));
  });
  const select = useEvent(() => {
    const item = items[active];
    if (item?.kind === 'row' && viewer.canWrite) staging.toggle(item.row);
  });
  useLayoutEffect(() => {
    const removers = [onKeys('j', () => move(1)), onKeys('k', () => move(-1)), onKeys('x', select)];
    return () => removers.forEach((remove) => remove());
  }, []);

  const classes =
    ['grid', viewer.canWrite && 'selectable', viewer.canViewMasked && 'with-values',
      group && 'grouped'].filter(Boolean).join(' ');
  return html`<div class=${classes} role="table" aria-label=${t.table} aria-rowcount=${(total ?? 0) + 1}
    aria-busy=${loading ? 'true' : 'false'}>
    <div role="rowgroup" class="grid-head"><div role="row" class="grid-row" aria-rowindex=${1}>
      ${viewer.canWrite
        && html`<span role="columnheader"><span class="visually-hidden">${t.columns.select}</span></span>`}
      <${SortHeader} name=${t.columns.name} field="NAME" sort=${sort} onSort=${onSort} />
      ${viewer.canViewMasked && html`<span role="columnheader">${t.columns.value}</span>`}
      <span role="columnheader" class="c-category">${t.columns.category}</span>
      ${!group && html`<span role="columnheader" class="c-scope">${t.columns.scope}</span>`}
      <span role="columnheader">${t.columns.status}</span>
      <span role="columnheader" class="c-version">${t.columns.version}</span>
      <${SortHeader} name=${t.columns.expires} field="EXPIRES_AT" sort=${sort} onSort=${onSort} />
      ${viewer.canViewMasked && html`<span role="columnheader" class="c-used">${t.columns.used}</span>`}
      <${SortHeader} name=${t.columns.changed} field="UPDATED_AT" first="DESC" sort=${sort} onSort=${onSort}
        />
    </div></div>
    <div role="rowgroup" class="grid-body" ref=${body} style=${{ height: `${height}px` }}>
      ${items.map((item, index) => {
        const place = tops[index];
        const near = place && place.bottom > view.top - MARGIN && place.top < view.bottom + MARGIN;
        if (!near && index !== active) return null;
        const top = `${place?.top}px`;
        if (item.kind === 'group') {
          return html`<div role="row" class="grid-group" key=${`group ${item.name}`} style=${{ top }}>
            <span role="cell">${item.name} <span class="faint">${number(item.count)}</span></span></div>`;
        }
        return html`<div role="row" key=${item.row.id}
          class=${`grid-row ${staging.selected.has(item.row.id) ? 'selected' : ''}`} style=${{ top }}
          aria-rowindex=${index + 2} onFocusIn=${() => setActive(index)}>
          <${EntryCells} row=${item.row} index=${index} vault=${vault} group=${group} staging=${staging}
            /></div>`;
      })}
    </div>
  </div>`;
}

/** @param {HTMLElement | null} body @param {number} index */
function focusRow(body, index) {
  const link = body?.querySelector(`[data-index="${index}"]`);
  if (link instanceof HTMLElement) link.focus({ preventScroll: true });
}
