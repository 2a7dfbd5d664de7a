/**
 * @import * as T from '../types/graphql'
 * @import { Row } from '../entries.js'
 * @import { Action, Change, Staging } from '../staging.js'
 * @import { Column } from './table.js'
 */
import { fromLocalField } from '../format.js';
import { useAction } from '../hooks.js';
import { html } from '../html.js';
import { describe, saveAll } from '../staging.js';
import { text } from '../text.js';
import { useState } from '../vendor/hooks.js';
import { Dialog } from './dialog.js';
import { Failure } from './failure.js';
import { TextField } from './field.js';
import { Table } from './table.js';
import { tell } from './toast.js';
import { Button, Notice } from './ui.js';

const t = text.staged;

/**
 * Asks for the new expiry or interval.
 * @param {{ kind: 'expiry' | 'rotation', onStage: (action: Action) => void, onClose: () => void }} props
 */
function ValueDialog({ kind, onStage, onClose }) {
  const [value, setValue] = useState('');
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    onStage(kind === 'expiry' ? { kind, expiresAt: fromLocalField(value) }
      : { kind, days: value ? Number(value) : null });
    onClose();
  };
  const footer =
    html`<${Button} onClick=${onClose}>${text.cancel}<//><${Button} kind="primary" type="submit"
      form="stage">${t.stage}<//>`;
  return html`<${Dialog} title=${t.actions[kind]} onClose=${onClose} footer=${footer}>
    <form id="stage" onSubmit=${submit}>
      ${kind === 'expiry'
        ? html`<${TextField} label=${text.create.expires} hint=${text.create.expiresHint}
          type="datetime-local" value=${value}
            onChange=${setValue} />`
        : html`<${TextField} label=${text.create.rotation} type="number" min="1" max="3650"
          inputmode="numeric"
            unit=${text.create.days} value=${value} onChange=${setValue} />`}
    </form>
  <//>`;
}

/** @param {{ staging: Staging, saved: () => void, onClose: () => void }} props */
function Review({ staging, saved, onClose }) {
  const changes = [...staging.changes.values()];
  const problems = changes.filter(({ problem }) => problem);
  const save = useAction(async () => {
    const { saved: done, refused } = await saveAll(changes);
    staging.setChanges(new Map(refused.map((change) => [change.id, change])));
    if (done.length) {
      tell(t.done(done.length));
      saved();
    }
    if (refused.length === 0) onClose();
  });
  /** @type {Column<Change>[]} */
  const columns = [
    { label: t.entry, cell: ({ name }) => html`<span class="mono">${name}</span>` },
    {
      label: t.change,
      cell: (change) =>
        html`${describe(change)}${change.problem && html`<p class="field-error">${change.problem}</p>`}`,
    },
    {
      label: t.unstage,
      hideLabel: true,
      cell: ({ id, name }) => html`<span class="row-actions">
        <${Button} kind="plain" label=${`${t.unstage}: ${name}`}
          onClick=${() => staging.unstage(id)}>${t.unstage}<//></span>`,
    },
  ];
  const footer = html`<${Button} onClick=${onClose}>${text.cancel}<//>
    <${Button} kind="primary" busy=${save.busy} disabled=${changes.length === 0}
      onClick=${() => save.run()}>${t.save(changes.length)}<//>`;
  return html`<${Dialog} title=${t.reviewTitle} wide onClose=${onClose} footer=${footer}>
    <p class="about">${t.reviewBody}</p>
    <${Failure} error=${save.error} />
    ${problems.length > 0 && html`<${Notice} tone="bad" alert>${t.some(problems.length)}<//>`}
    <${Table} caption=${t.reviewTitle} rows=${changes} columns=${columns} />
  <//>`;
}

/**
 * What can be done with the selected entries, and the changes that wait.
 * @param {{ staging: Staging, rows: Row[], viewer: T.ViewerFragment, saved: () => void }} props
 */
export function StagedBar({ staging, viewer, saved }) {
  const [dialog, setDialog] = useState(/** @type {'' | 'expiry' | 'rotation' | 'review'} */ (''));
  const { selected, changes } = staging;
  const close = () => setDialog('');
  const rows = [...selected.values()];
  const some = (/** @type {(row: Row) => boolean} */ test) => rows.length > 0 && rows.every(test);
  const live = some(({ status }) => status !== 'DELETED');
  if (rows.length === 0 && changes.size === 0) return null;
  return html`<section class="staged-bar" aria-label=${t.bar}>
    ${rows.length > 0 && html`<div class="staged-part">
      <strong>${t.selected(rows.length)}</strong>
      ${live && some(({ status }) => status !== 'DISABLED')
        && html`<${Button} icon="pause"
          onClick=${() => staging.stage({ kind: 'disable' })}>${t.actions.disable}<//>`}
      ${some(({ status }) => status === 'DISABLED')
        && html`<${Button} icon="play"
          onClick=${() => staging.stage({ kind: 'enable' })}>${t.actions.enable}<//>`}
      ${live && html`<${Button} icon="clock" onClick=${() => setDialog('expiry')}>${t.actions.expiry}<//>
        <${Button} icon="refresh" onClick=${() => setDialog('rotation')}>${t.actions.rotation}<//>`}
      ${live && viewer.canAdminister
        && html`<${Button} icon="trash" kind="danger"
          onClick=${() => staging.stage({ kind: 'delete' })}>${t.actions.delete}<//>`}
      <${Button} kind="plain" onClick=${staging.deselect}>${t.clear}<//>
    </div>`}
    ${changes.size > 0 && html`<div class="staged-part push">
      <strong>${t.count(changes.size)}</strong>
      <${Button} kind="plain" onClick=${staging.discard}>${t.discard}<//>
      <${Button} kind="primary" onClick=${() => setDialog('review')}>${t.review}<//>
    </div>`}
    ${dialog === 'review' && html`<${Review} staging=${staging} saved=${saved} onClose=${close} />`}
    ${(dialog === 'expiry' || dialog === 'rotation')
      && html`<${ValueDialog} kind=${dialog} onStage=${staging.stage} onClose=${close} />`}
  </section>`;
}
