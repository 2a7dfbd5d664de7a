/**
 * @import * as T from '../types/graphql'
 * @import { UserError } from '../api.js'
 * @import { Column } from '../components/table.js'
 * @import { ProjectVault } from './project.js'
 */
import { send } from '../api.js';
import { Failure } from '../components/failure.js';
import { errorsOf, OtherErrors, SecretField, SelectField, wipe } from '../components/field.js';
import { Icon } from '../components/icon.js';
import { Table } from '../components/table.js';
import { tell } from '../components/toast.js';
import { Badge, Button, LinkButton, Notice, PageHead, Section } from '../components/ui.js';
import { useAction, useTitle, useUnsaved } from '../hooks.js';
import { html } from '../html.js';
import { Import, PreviewImport } from '../operations/import.js';
import { go, href } from '../router.js';
import { text } from '../text.js';
import { useRef, useState } from '../vendor/hooks.js';
import { BackLink } from './create.js';

const t = text.import;
/** The largest text: a request has at most 2 MiB, and JSON makes the text longer. */
const MAX_FILE = 1024 * 1024;

/** @typedef {NonNullable<T.PreviewImportMutation['previewVaultImport']>['lines'][number]} Line */

/** @type {Record<T.VaultImportChange, import('../components/ui.js').Tone>} */
const TONES = { CREATE: 'good', ROTATE: 'accent', SAME_MASK: 'quiet', SKIP: 'quiet', REFUSED: 'bad' };
const MARKS = { CREATE: '+', ROTATE: '~', SAME_MASK: '=', SKIP: '=', REFUSED: '!' };

/** @param {Line} line */
const rowClass = ({ change }) => `diff ${change?.toLowerCase() ?? ''}`;

/** @param {string} projectId @returns {Column<Line>[]} */
const columnsOf = (projectId) => [
  { label: t.line, cell: ({ line }) => html`<span class="mono faint">${line}</span>` },
  {
    label: t.change,
    cell: ({ change }) => change
      && html`<span class="diff-change"><span class="mono"
        aria-hidden="true">${MARKS[change]}</span> ${t.changes[change]}</span>`,
  },
  {
    label: t.name,
    wide: true,
    cell: ({ name, entry }) => (entry
      ? html`<a class="mono" target="_blank" href=${href(['p', projectId, 'e', entry.id])}>${name}</a>`
      : html`<span class="mono">${name ?? '—'}</span>`),
  },
  {
    label: t.note,
    cell: ({ message, change, entry }) => message
      ?? (change === 'ROTATE' && entry ? t.becomes(entry.version) : ''),
  },
];

/** @param {{ lines: Line[], projectId: string }} props */
function Diff({ lines, projectId }) {
  /** @type {[T.VaultImportChange, number][]} */
  const counts =
    /** @type {T.VaultImportChange[]} */ (Object.keys(TONES)).map((change) =>
      [change, lines.filter((line) => line.change === change).length]);
  if (lines.length === 0) return html`<p class="none">${t.nothing}</p>`;
  return html`
    <p class="badges diff-counts" role="status">${counts.filter(([, count]) => count).map(([change, count]) =>
      html`<${Badge} key=${change} tone=${TONES[change]}>${t.changes[change]}: ${count}<//>`)}</p>
    <${Table} caption=${t.diff} rows=${lines} columns=${columnsOf(projectId)} rowClass=${rowClass} />`;
}

/** @param {{ vault: ProjectVault }} props */
export function ImportView({ vault }) {
  const projectId = vault.project.id;
  useTitle(t.title);
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const [options, setOptions] =
    useState({ milestoneId: '', category: /** @type {T.VaultCategory} */ ('SECRET'),
      onConflict: /** @type {T.VaultImportConflict} */ ('ROTATE') });
  const [lines, setLines] = useState(/** @type {Line[] | null} */ (null));
  const [errors, setErrors] = useState(/** @type {UserError[]} */ ([]));
  const [typed, setTyped] = useState(false);
  useUnsaved(typed);
  /** What was previewed is not what would be imported any more. */
  const edited = () => {
    setTyped(Boolean(field.current?.value));
    setLines(null);
    setErrors([]);
  };
  const refuse =
    (/** @type {string} */ message) =>
      setErrors([{ code: 'INVALID_INPUT', field: ['input', 'dotenv'], message }]);
  /** The value of a choice and its change. @param {keyof typeof options} name */
  const of = (name) => ({
    value: options[name],
    onChange: (/** @type {string} */ value) => {
      setOptions({ ...options, [name]: value });
      setLines(null);
    },
  });
  /** @param {File | undefined} file */
  const take = async (file) => {
    if (!file || !field.current) return;
    if (file.size > MAX_FILE) return refuse(t.tooLarge);
    field.current.value = await file.text();
    edited();
    void preview.run();
  };
  const input =
    () => ({ ...options, projectId, milestoneId: options.milestoneId || null,
      dotenv: field.current?.value ?? '' });
  const preview = useAction(async () => {
    if (!field.current?.value.trim()) return refuse(t.empty);
    const { previewVaultImport: payload } = await send(PreviewImport, { input: input() });
    setErrors(payload?.userErrors ?? []);
    setLines(payload?.lines ?? null);
  });
  const save = useAction(async () => {
    const { importVaultEntries: payload } = await send(Import, { input: input() });
    const problems = payload?.userErrors ?? [];
    setErrors(problems);
    if (!payload || problems.length) return;
    wipe(field);
    setTyped(false);
    setLines(null);
    tell(t.done(payload.created.length, payload.rotated.length, payload.skipped.length));
    requestAnimationFrame(() => go(href(['p', projectId])));
  });
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void preview.run();
  };
  /** @param {DragEvent} event */
  const drop = (event) => {
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    void take(file);
  };
  const refused = lines?.some(({ change }) => change === 'REFUSED') ?? false;
  const writes = lines?.some(({ change }) => change === 'CREATE' || change === 'ROTATE') ?? false;
  const categories = Object.entries(text.categories).filter(([key]) => key !== 'CERTIFICATE');
  const scopes =
    [['', text.entries.projectScope], ...vault.milestones.map(({ id }) => [id, text.entries.milestone(id)])];
  return html`
    <${BackLink} href=${href(['p', projectId])} name=${text.nav.entries} />
    <${PageHead} title=${t.title} about=${t.about} />
    <form class="card form stack" onSubmit=${submit} novalidate autocomplete="off">
      <${SecretField} label=${t.text} field=${field} rows=${8} hint=${t.textHint}
        errors=${errorsOf(errors, 'dotenv')} onEdit=${edited} onDrop=${drop} />
      <label class="button file"><${Icon} name="upload" /><span>${t.choose}</span><input type="file"
        class="visually-hidden"
        onChange=${(/** @type {Event & { currentTarget: HTMLInputElement }} */ event) => {
          void take(event.currentTarget.files?.[0]);
          event.currentTarget.value = '';
        }} /></label>
      <div class="fields">
        <${SelectField} label=${t.scope} errors=${errorsOf(errors, 'milestoneId')} options=${scopes}
          ...${of('milestoneId')} />
        <${SelectField} label=${t.category} errors=${errorsOf(errors, 'category')} options=${categories}
          ...${of('category')} />
        <${SelectField} label=${t.conflict} options=${Object.entries(t.conflicts)} ...${of('onConflict')} />
      </div>
      <${OtherErrors} errors=${errors} fields=${['dotenv', 'milestoneId', 'category']} />
      <${Failure} error=${preview.error ?? save.error} />
      <div class="form-foot">
        <${Button} type="submit" kind=${lines ? undefined : 'primary'} busy=${preview.busy}>${t.preview}<//>
        <${LinkButton} href=${href(['p', projectId])}>${text.cancel}<//>
      </div>
    </form>
    ${lines && html`<${Section} id="diff" title=${t.diff}
      actions=${!refused && writes
        && html`<${Button} kind="primary" icon="check" busy=${save.busy}
          onClick=${() => save.run()}>${t.submit}<//>`}>
      ${refused && html`<${Notice} tone="bad">${t.blocked}<//>`}
      <${Diff} lines=${lines} projectId=${projectId} />
    <//>`}
  `;
}
