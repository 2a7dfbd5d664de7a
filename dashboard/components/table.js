/** @import { ComponentChildren } from '../vendor/preact.js' */
import { html } from '../html.js';

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} label
 * @property {(row: Row) => ComponentChildren} cell
 * @property {boolean} [wide] the column takes what is left
 * @property {boolean} [keep] it is one line
 * @property {boolean} [hideLabel]
 */

/**
 * A small table. On narrow screens each row is a card, so the roles are given explicitly: browsers drop
 * those of a table that is not laid out as one.
 * @template Row
 * @param {{ caption: string, rows: Row[], columns: Column<Row>[], rowClass?: (row: Row) => string |
 *   undefined }} props
 */
export function Table({ caption, rows, columns, rowClass }) {
  return html`<table class="table" role="table" aria-label=${caption}>
    <thead role="rowgroup"><tr role="row">
      ${columns.map(({ label, wide, hideLabel }) =>
        html`<th role="columnheader" scope="col" key=${label} class=${wide ? 'fill' : ''}>
        ${hideLabel ? html`<span class="visually-hidden">${label}</span>` : label}
      </th>`)}
    </tr></thead>
    <tbody role="rowgroup">
      ${rows.map((row, index) => html`<tr role="row" key=${keyOf(row) ?? index} class=${rowClass?.(row)}>
        ${columns.map(({ label, cell, hideLabel, keep }) =>
          html`<td role="cell" key=${label} class=${keep ? 'keep' : undefined}
            data-label=${hideLabel ? '' : label}>${cell(row)}</td>`)}
      </tr>`)}
    </tbody>
  </table>`;
}

/** @param {unknown} row */
const keyOf = (row) => (row && typeof row === 'object' && 'id' in row ? row.id : undefined);
