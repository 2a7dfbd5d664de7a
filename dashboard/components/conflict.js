/**
 * @import { FullEntry } from '../mutate.js'
 * @import { Column } from './table.js'
 */
import { instantOf } from '../format.js';
import { html } from '../html.js';
import { text } from '../text.js';
import { Dialog } from './dialog.js';
import { Table } from './table.js';
import { Button } from './ui.js';

const t = text.conflict;

/** @typedef {keyof typeof t.fields} FieldName */

/** @param {FieldName} field @param {FullEntry} entry */
function show(field, entry) {
  if (field === 'expiresAt') return entry.expiresAt ? instantOf(entry.expiresAt) : text.never;
  if (field === 'rotationIntervalDays') return entry.rotationIntervalDays
    ? text.entry.every(entry.rotationIntervalDays) : text.entry.noRotation;
  if (field === 'category') return text.categories[entry.category];
  if (field === 'status') return text.statuses[entry.status];
  return String(entry[field] ?? '—');
}

/**
 * Shows what somebody else made of an entry beside what the person wants, and lets them choose.
 * @param {{ base: FullEntry, newer: FullEntry, mine: Partial<FullEntry>, secret?: boolean, busy?: boolean,
 *   onTheirs: () => void, onMine: () => void }} props `base`: the entry when the person began; `secret`:
 * they also have a new value
 */
export function Conflict({ base, newer, mine, secret, busy, onTheirs, onMine }) {
  const fields = /** @type {FieldName[]} */ (Object.keys(t.fields));
  const own = { ...newer, ...mine };
  const rows = fields
    .filter((field) => show(field, base) !== show(field, newer)
      || (field in mine && show(field, own) !== show(field, newer)) || (secret && field === 'maskedValue'))
    .map((field) => ({
      field,
      before: show(field, base),
      theirs: show(field, newer),
      yours: secret && field === 'maskedValue' ? t.newValue : field in mine ? show(field, own) : '—',
    }));
  const footer =
    html`<${Button} onClick=${onTheirs}>${t.takeTheirs}<//><${Button} kind="primary" busy=${busy}
      onClick=${onMine}>${t.takeMine}<//>`;
  /** @type {Column<typeof rows[number]>[]} */
  const columns = [
    { label: t.field, cell: ({ field }) => html`<strong>${t.fields[field]}</strong>` },
    { label: t.before, cell: ({ before }) => before },
    { label: t.theirs,
      cell: ({ theirs, before }) => (theirs === before ? theirs : html`<mark>${theirs}</mark>`) },
    { label: t.yours, cell: ({ yours }) => yours },
  ];
  return html`<${Dialog} title=${t.title} wide footer=${footer} onClose=${onTheirs}>
    <p>${t.body(newer.updatedBy.id)}</p>
    <${Table} caption=${t.title} rows=${rows} columns=${columns} />
  <//>`;
}
