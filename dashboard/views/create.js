/**
 * @import { UserError } from '../api.js'
 * @import { Draft } from '../components/entry-fields.js'
 * @import { ProjectVault } from './project.js'
 */
import { send } from '../api.js';
import { CategoryField, FIELDS, LifeFields, NameField } from '../components/entry-fields.js';
import { Failure } from '../components/failure.js';
import { errorsOf, OtherErrors, SecretField, SelectField, wipe } from '../components/field.js';
import { Icon } from '../components/icon.js';
import { tell } from '../components/toast.js';
import { Button, LinkButton, PageHead } from '../components/ui.js';
import { fromLocalField } from '../format.js';
import { useAction, useTitle, useUnsaved } from '../hooks.js';
import { html } from '../html.js';
import { CreateEntry } from '../operations/entries.js';
import { go, href } from '../router.js';
import { text } from '../text.js';
import { useEffect, useRef, useState } from '../vendor/hooks.js';

const t = text.create;
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** A link to the page above. @param {{ href: string, name: string }} props */
export const BackLink =
  ({ href: to, name }) => html`<a class="back-link" href=${to}><${Icon} name="back" />${name}</a>`;

/** @param {{ vault: ProjectVault }} props */
export function CreateView({ vault }) {
  const projectId = vault.project.id;
  useTitle(t.title);
  const [draft, setDraft] =
    useState(/** @type {() => Draft} */ (() =>
      ({ name: '', description: '', category: 'API_KEY', expires: '', rotation: '' })));
  const [milestone, setMilestone] = useState('');
  const [errors, setErrors] = useState(/** @type {UserError[]} */ ([]));
  const [typed, setTyped] = useState(false);
  const saved = useRef(false);
  const secret = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const form = useRef(/** @type {HTMLFormElement | null} */ (null));
  useUnsaved(!saved.current && (typed || draft.name !== '' || draft.description !== ''));
  useEffect(() => form.current?.querySelector('input')?.focus(), []);
  /** @param {Partial<Draft>} next */
  const change = (next) => setDraft((was) => ({ ...was, ...next }));

  const create = useAction(async () => {
    const missing = check(draft, secret.current?.value ?? '');
    setErrors(missing);
    if (missing.length) return focusError(form.current);
    const { createVaultEntry: payload } = await send(CreateEntry, {
      input: {
        projectId,
        name: draft.name,
        value: secret.current?.value ?? '',
        category: draft.category,
        description: draft.description || null,
        milestoneId: milestone || null,
        expiresAt: fromLocalField(draft.expires),
        rotationIntervalDays: draft.rotation ? Number(draft.rotation) : null,
      },
    });
    if (payload?.entry) {
      wipe(secret);
      saved.current = true;
      tell(t.done(payload.entry.name));
      // The guard sees the page as saved once it is drawn again.
      setTyped(false);
      setDraft((was) => ({ ...was, name: '', description: '' }));
      requestAnimationFrame(() => go(href(['p', projectId, 'e', payload.entry?.id ?? ''])));
      return;
    }
    setErrors(payload?.userErrors ?? []);
    focusError(form.current);
  });
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void create.run();
  };
  const scopes =
    [['', text.entries.projectScope], ...vault.milestones.map(({ id }) => [id, text.entries.milestone(id)])];
  return html`
    <${BackLink} href=${href(['p', projectId])} name=${text.nav.entries} />
    <${PageHead} title=${t.title} about=${t.about} />
    <form class="card form stack" ref=${form} onSubmit=${submit} novalidate autocomplete="off">
      <${NameField} draft=${draft} change=${change} errors=${errors} />
      <${SecretField} label=${t.value} field=${secret} errors=${errorsOf(errors, 'value')}
        rows=${draft.category === 'CERTIFICATE' ? 8 : 3}
        hint=${draft.category === 'CERTIFICATE' ? t.certificateHint : t.valueHint}
          onEdit=${() => setTyped(true)} />
      <div class="fields">
        <${CategoryField} draft=${draft} change=${change} errors=${errors} />
        <${SelectField} label=${t.scope} errors=${errorsOf(errors, 'milestoneId')} options=${scopes}
          value=${milestone}
          onChange=${setMilestone} />
      </div>
      <${LifeFields} draft=${draft} change=${change} errors=${errors} />
      <${OtherErrors} errors=${errors} fields=${FIELDS} />
      <${Failure} error=${create.error} />
      <div class="form-foot">
        <${Button} type="submit" kind="primary" busy=${create.busy}>${t.submit}<//>
        <${LinkButton} href=${href(['p', projectId])}>${text.cancel}<//>
      </div>
    </form>
  `;
}

/**
 * What the page can see without the server.
 * @param {Draft} draft
 * @param {string} value
 * @returns {UserError[]}
 */
function check(draft, value) {
  const error =
    (/** @type {string} */ field, /** @type {string} */ message) =>
      ({ code: 'INVALID_INPUT', field: ['input', field], message });
  const errors = [];
  if (!draft.name) errors.push(error('name', text.form.required));
  else if (!NAME.test(draft.name)) errors.push(error('name', t.badName));
  if (!value) errors.push(error('value', text.form.required));
  return errors;
}

/** Moves to the first field with an error, once it is drawn. @param {HTMLElement | null} form */
function focusError(form) {
  requestAnimationFrame(() => {
    const field = form?.querySelector('[aria-invalid]');
    if (field instanceof HTMLElement) field.focus();
  });
}
