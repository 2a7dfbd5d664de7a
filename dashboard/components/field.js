/**
 * @import { UserError } from '../api.js'
 * @import { ComponentChildren, RefObject } from '../vendor/preact.js'
 */
import { html } from '../html.js';
import { text } from '../text.js';
import { useId, useState } from '../vendor/hooks.js';
import { Icon } from './icon.js';
import { Notice } from './ui.js';

/**
 * @typedef {{ id: string, 'aria-describedby': string | undefined, 'aria-invalid': 'true' | undefined }}
 *   InputProps
 */

/** Names, ids and secrets are no prose. */
const QUIET = { autocomplete: 'off', autocapitalize: 'off', autocorrect: 'off', spellcheck: false };

/**
 * The messages about one input.
 * @param {UserError[]} errors
 * @param {string} name the last part of the errors' field
 */
export const errorsOf = (errors, name) => errors.filter((error) => error.field?.at(-1) === name);

/**
 * The errors that concern none of the fields on the page.
 * @param {{ errors: UserError[], fields: string[] }} props
 */
export function OtherErrors({ errors, fields }) {
  const others = errors.filter((error) => !fields.includes(error.field?.at(-1) ?? ''));
  if (others.length === 0) return null;
  return html`<${Notice} tone="bad" alert title=${text.form.refused}>
    ${others.map((error, index) => html`<p key=${index}>${error.message}</p>`)}
  <//>`;
}

/**
 * A label, an input, a hint and the errors about it.
 * @param {{ label: string, hint?: ComponentChildren, errors?: UserError[], optional?: boolean,
 *   children: (input: InputProps) => ComponentChildren }} props
 */
export function Field({ label, hint, errors = [], optional, children }) {
  const id = useId();
  const described = [hint && `${id}-hint`, errors.length && `${id}-errors`].filter(Boolean).join(' ');
  const input = {
    id,
    'aria-describedby': described || undefined,
    'aria-invalid': errors.length ? /** @type {const} */ ('true') : undefined,
  };
  return html`<div class="field">
    <label for=${id}>${label}${optional && html` <span class="faint">${text.form.optional}</span>`}</label>
    ${children(input)}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    <div id=${`${id}-errors`} aria-live="polite">
      ${errors.map((error, index) =>
        html`<p class="field-error" key=${index}><${Icon} name="warning" size=${14} />${error.message}</p>`)}
    </div>
  </div>`;
}

/**
 * A choice of one.
 * @param {{ options: [string, string][], value: string, onChange: (value: string) => void, input?:
 *   Record<string, unknown>, label?: string, disabled?: boolean }} props
 */
export function Select({ options, value, onChange, input, label, disabled }) {
  return html`<select ...${input} aria-label=${label} disabled=${disabled} value=${value}
    onChange=${(/** @type {Event & { currentTarget: HTMLSelectElement }} */ event) =>
      onChange(event.currentTarget.value)}>
    ${options.map(([key, name]) =>
      html`<option key=${key} value=${key} selected=${key === value}>${name}</option>`)}
  </select>`;
}

/**
 * A choice of one, with its label.
 * @param {{ label: string, hint?: ComponentChildren, errors?: UserError[], options: [string, string][],
 *   value: string, onChange: (value: string) => void }} props
 */
export function SelectField({ label, hint, errors, ...select }) {
  return html`<${Field} label=${label} hint=${hint} errors=${errors}>
    ${(/** @type {InputProps} */ input) => html`<${Select} input=${input} ...${select} />`}
  <//>`;
}

/**
 * A text of one line or, with `rows`, of several; other properties are the input's.
 * @param {{ label: string, hint?: ComponentChildren, errors?: UserError[], optional?: boolean, unit?: string,
 *   rows?: number, value: string, onChange: (value: string) => void, [property: string]: unknown }} props
 */
export function TextField({ label, hint, errors, optional, unit, value, onChange, ...more }) {
  /** @param {Event & { currentTarget: HTMLInputElement }} event */
  const onInput = (event) => onChange(event.currentTarget.value);
  /** @param {InputProps} input */
  const draw = (input) => {
    const properties = { ...QUIET, ...more, ...input, value, onInput };
    if (more.rows) return html`<textarea ...${properties}></textarea>`;
    return unit ? html`<span class="unit"><input ...${properties} />${unit}</span>`
      : html`<input ...${properties} />`;
  };
  return html`<${Field} label=${label} hint=${hint} errors=${errors} optional=${optional}>${draw}<//>`;
}

/** Nothing leaves the field but by saving. @param {Event} event */
const refuse = (event) => event.preventDefault();

/**
 * A field for a secret. It is uncontrolled: the text is in the element alone, is read once to be
 * saved, and is wiped by `wipe`. It is a text area since values have several lines and password
 * managers leave it alone; its characters are hidden by CSS until the person asks to see them.
 * @param {{ label: string, field: RefObject<HTMLTextAreaElement | null>, errors?: UserError[], hint?:
 *   ComponentChildren, rows?: number,
 *   onEdit?: () => void, onDrop?: (event: DragEvent) => void }} props
 */
export function SecretField({ label, field, errors, hint, rows = 3, onEdit, onDrop }) {
  const [shown, setShown] = useState(false);
  const toggle =
    html`<button type="button" class="secret-toggle" aria-pressed=${shown} onClick=${() => setShown(!shown)}>
    <${Icon} name=${shown ? 'hidden' : 'eye'} />${shown ? text.form.hide : text.form.show}
  </button>`;
  return html`<${Field} label=${label} errors=${errors} hint=${hint}>
    ${(/** @type {InputProps} */ input) => html`<div class="secret">
      <textarea ...${QUIET} ...${input} ref=${field} rows=${rows} class=${shown ? 'mono' : 'mono concealed'}
        translate="no" data-1p-ignore data-lpignore="true" onCopy=${refuse} onCut=${refuse}
          onDragStart=${refuse} onInput=${onEdit} onDrop=${onDrop}></textarea>
      ${toggle}
    </div>`}
  <//>`;
}

/** Takes the secret out of the page. @param {RefObject<HTMLTextAreaElement | null>} field */
export function wipe(field) {
  if (field.current) field.current.value = '';
}
