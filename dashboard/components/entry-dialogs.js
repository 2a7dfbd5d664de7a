/**
 * The dialogs that change an entry.
 * @import * as T from '../types/graphql'
 * @import { UserError } from '../api.js'
 * @import { Draft } from './entry-fields.js'
 * @import { FullEntry } from '../mutate.js'
 */
import { send } from '../api.js';
import { fromLocalField, toLocalField } from '../format.js';
import { useAction, useUnsaved } from '../hooks.js';
import { html } from '../html.js';
import { changeEntry } from '../mutate.js';
import { RollbackEntry, RotateEntry, UpdateEntry } from '../operations/entries.js';
import { text } from '../text.js';
import { useRef, useState } from '../vendor/hooks.js';
import { Conflict } from './conflict.js';
import { Confirm, Dialog } from './dialog.js';
import { CategoryField, FIELDS, LifeFields, NameField } from './entry-fields.js';
import { Failure } from './failure.js';
import { errorsOf, OtherErrors, SecretField, TextField, wipe } from './field.js';
import { tell } from './toast.js';
import { Button } from './ui.js';

const t = text.entry;

/**
 * @typedef {{ entry: FullEntry, viewer: T.ViewerFragment, onClose: () => void, onChanged: () => void }} Props
 */

/**
 * Saves on top of a revision; after a conflict, on top of the newer one if the person says so.
 * @param {Props} props
 * @param {(expectedRevision: number) => Promise<T.ChangedEntryFragment | null>} change
 * @param {(entry: NonNullable<T.ChangedEntryFragment['entry']>) => void} done
 */
function useSave({ entry, viewer, onClose, onChanged }, change, done) {
  const [errors, setErrors] = useState(/** @type {UserError[]} */ ([]));
  const [newer, setNewer] = useState(/** @type {FullEntry | undefined} */ (undefined));
  const save = useAction(async () => {
    const base = newer ?? entry;
    const outcome = await changeEntry(() => change(base.revision), base, viewer);
    setNewer(outcome.newer);
    setErrors(outcome.newer ? [] : outcome.errors);
    if (!outcome.entry) return;
    done(outcome.entry);
    onChanged();
    onClose();
  });
  const takeTheirs = () => {
    onChanged();
    onClose();
  };
  return { errors, newer, takeTheirs, busy: save.busy, error: save.error, run: () => save.run() };
}

/** @param {Props} props */
export function EditDialog(props) {
  const { entry, onClose } = props;
  const [draft, setDraft] = useState(/** @type {() => Draft} */ (() => ({
    name: entry.name,
    description: entry.description ?? '',
    category: entry.category,
    expires: toLocalField(entry.expiresAt),
    rotation: String(entry.rotationIntervalDays ?? ''),
  })));
  const mine = changesOf(draft, entry);
  const changed = Object.keys(mine).length > 0;
  useUnsaved(changed);
  const save = useSave(
    props,
    async (expectedRevision) =>
      (await send(UpdateEntry, { input: { id: entry.id, expectedRevision, ...mine } })).updateVaultEntry,
    ({ name }) => tell(t.done.update(name)),
  );
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    if (changed) void save.run();
    else onClose();
  };
  if (save.newer) {
    return html`<${Conflict} base=${entry} newer=${save.newer} mine=${mine} busy=${save.busy}
      onTheirs=${save.takeTheirs} onMine=${save.run} />`;
  }
  const fields =
    { draft, errors: save.errors,
      change: (/** @type {Partial<Draft>} */ next) => setDraft((was) => ({ ...was, ...next })) };
  const footer =
    html`<${Button} onClick=${onClose}>${text.cancel}<//><${Button} type="submit" form="edit" kind="primary"
      busy=${save.busy}>${text.save}<//>`;
  return html`<${Dialog} title=${t.editTitle} onClose=${onClose} footer=${footer}>
    <form id="edit" class="stack" onSubmit=${submit} novalidate autocomplete="off">
      <${NameField} ...${fields} />
      <${CategoryField} ...${fields} fixed />
      <${LifeFields} ...${fields} />
      <p class="hint">${t.editNote}</p>
      <${OtherErrors} errors=${save.errors} fields=${FIELDS} />
      <${Failure} error=${save.error} />
    </form>
  <//>`;
}

/**
 * Only what the person changed, so that the rest stays as it is.
 * @param {Draft} draft
 * @param {FullEntry} entry
 */
function changesOf(draft, entry) {
  /**
   * @type {Partial<Pick<FullEntry, 'name' | 'description' | 'category' | 'expiresAt' |
   *   'rotationIntervalDays'>>}
   */
  const mine = {};
  if (draft.name !== entry.name) mine.name = draft.name;
  if (draft.description !== (entry.description ?? '')) mine.description = draft.description || null;
  if (draft.category !== entry.category) mine.category = draft.category;
  // The field has minutes only: an expiry that nobody touched keeps its seconds.
  if (draft.expires !== toLocalField(entry.expiresAt)) mine.expiresAt = fromLocalField(draft.expires);
  const days = draft.rotation ? Number(draft.rotation) : null;
  if (days !== entry.rotationIntervalDays) mine.rotationIntervalDays = days;
  return mine;
}

/** @param {Props} props */
export function RotateDialog(props) {
  const { entry, onClose } = props;
  const certificate = entry.category === 'CERTIFICATE';
  const secret = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const [typed, setTyped] = useState(false);
  const [missing, setMissing] = useState(/** @type {UserError[]} */ ([]));
  const [choice, setChoice] = useState(entry.status === 'EXPIRED' ? 'set' : 'keep');
  const [expires, setExpires] = useState('');
  useUnsaved(typed);
  const expiry = choice === 'keep' ? {} : { expiresAt: choice === 'never' ? null : fromLocalField(expires) };
  const save = useSave(
    props,
    async (expectedRevision) =>
      (await send(RotateEntry,
        { input: { id: entry.id, value: secret.current?.value ?? '', expectedRevision,
          ...expiry } })).rotateVaultEntry,
    ({ name, version }) => {
      wipe(secret);
      tell(t.done.rotate(name, version));
    },
  );
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const error =
      (/** @type {string} */ field) =>
        ({ code: 'INVALID_INPUT', field: ['input', field], message: text.form.required });
    const empty = [];
    if (!secret.current?.value) empty.push(error('value'));
    if (choice === 'set' && !expires && !certificate) empty.push(error('expiresAt'));
    setMissing(empty);
    if (empty.length === 0) void save.run();
  };
  const close = () => {
    wipe(secret);
    onClose();
  };
  const errors = [...missing, ...save.errors];
  const choices =
    Object.entries(t.expiryChoices).filter(([key]) => key !== 'keep' || entry.status !== 'EXPIRED');
  const footer =
    html`<${Button} onClick=${close}>${text.cancel}<//><${Button} type="submit" form="rotate" kind="primary"
      busy=${save.busy}>${t.rotateSubmit}<//>`;
  // The field stays in the page below a conflict, since the value is nowhere else.
  return html`<${Dialog} title=${`${t.rotateTitle} ${entry.name}`} onClose=${close} footer=${footer}>
      <p class="about">${t.rotateBody}</p>
      <form id="rotate" class="stack" onSubmit=${submit} novalidate autocomplete="off">
        <${SecretField} label=${t.rotateValue} field=${secret} errors=${errorsOf(errors, 'value')}
          rows=${certificate ? 8 : 3}
          hint=${certificate ? text.create.certificateHint : text.create.valueHint}
            onEdit=${() => setTyped(true)} />
        ${certificate ? html`<p class="hint">${t.certificateExpiry}</p>`
          : html`<fieldset class="stack tight"><legend>${t.rotateExpiry}</legend>
          ${choices.map(([key, name]) =>
            html`<label class="check" key=${key}><input type="radio" name="expiry" value=${key}
              checked=${choice === key} onChange=${() => setChoice(key)} />${name}</label>`)}
          ${choice === 'set'
            && html`<${TextField} label=${text.create.expires} hint=${text.create.expiresHint}
            errors=${errorsOf(errors, 'expiresAt')} type="datetime-local" value=${expires}
              onChange=${setExpires} />`}
        </fieldset>`}
        <${OtherErrors} errors=${errors} fields=${FIELDS} />
        <${Failure} error=${save.error} />
      </form>
    <//>
    ${save.newer
      && html`<${Conflict} base=${entry} newer=${save.newer} mine=${expiry} secret busy=${save.busy}
        onTheirs=${() => {
      wipe(secret);
      save.takeTheirs();
    }} onMine=${save.run} />`}`;
}

/** @param {Props & { version: { version: number, maskedValue: string } }} props */
export function RollbackDialog(props) {
  const { entry, version, onClose } = props;
  const save = useSave(
    props,
    async (expectedRevision) =>
      (await send(RollbackEntry,
        { input: { id: entry.id, version: version.version, expectedRevision } })).rollbackVaultEntry,
    ({ name, version: now }) => tell(t.done.rollback(name, now)),
  );
  if (save.newer) {
    return html`<${Conflict} base=${entry} newer=${save.newer} mine=${{}} busy=${save.busy}
      onTheirs=${save.takeTheirs} onMine=${save.run} />`;
  }
  return html`<${Confirm} title=${t.rollbackTo(version.version)} action=${t.rollback} busy=${save.busy}
    onConfirm=${save.run} onClose=${onClose}>
    <p>${t.rollbackBody(entry.version + 1, version.version, version.maskedValue)}</p>
    <${OtherErrors} errors=${save.errors} fields=${[]} />
    <${Failure} error=${save.error} />
  <//>`;
}
