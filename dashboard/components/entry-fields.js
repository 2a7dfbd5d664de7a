/**
 * The fields that creating and editing an entry have in common.
 * @import * as T from '../types/graphql'
 * @import { UserError } from '../api.js'
 */
import { html } from '../html.js';
import { text } from '../text.js';
import { errorsOf, SelectField, TextField } from './field.js';

const t = text.create;

/**
 * @typedef {{ name: string, description: string, category: T.VaultCategory, expires: string, rotation:
 *   string }} Draft
 * @typedef {{ draft: Draft, change: (next: Partial<Draft>) => void, errors: UserError[] }} Props
 */

/** The names of the fields, as errors have them. */
export const FIELDS =
  ['name', 'value', 'category', 'description', 'expiresAt', 'rotationIntervalDays', 'milestoneId'];

/** @param {(next: Partial<Draft>) => void} change @param {keyof Draft} field */
const setter = (change, field) => (/** @type {string} */ value) => change({ [field]: value });

/** @param {Props} props */
export function NameField({ draft, change, errors }) {
  return html`<${TextField} label=${t.name} hint=${t.nameHint} errors=${errorsOf(errors, 'name')} class="mono"
    required
    maxlength="128" name="entry-name" value=${draft.name} onChange=${setter(change, 'name')} />`;
}

/**
 * @param {Props & { fixed?: boolean }} props `fixed`: the entry exists, and is a certificate or not for good
 */
export function CategoryField({ draft, change, errors, fixed }) {
  const options = Object.entries(text.categories).filter(
    ([key]) => !fixed || (key === 'CERTIFICATE') === (draft.category === 'CERTIFICATE'),
  );
  return html`<${SelectField} label=${t.category} errors=${errorsOf(errors, 'category')} options=${options}
    value=${draft.category} onChange=${setter(change, 'category')} />`;
}

/** @param {Props} props */
export function LifeFields({ draft, change, errors }) {
  const hint = draft.category === 'CERTIFICATE' ? t.certificateExpires : t.expiresHint;
  return html`<div class="fields">
      <${TextField} label=${t.expires} optional hint=${hint} errors=${errorsOf(errors, 'expiresAt')}
        type="datetime-local"
        max="9999-12-31T23:59" value=${draft.expires} onChange=${setter(change, 'expires')} />
      <${TextField} label=${t.rotation} optional errors=${errorsOf(errors, 'rotationIntervalDays')}
        type="number" min="1"
        max="3650" inputmode="numeric" unit=${t.days} value=${draft.rotation}
          onChange=${setter(change, 'rotation')} />
    </div>
    <${TextField} label=${t.description} optional hint=${t.descriptionHint}
      errors=${errorsOf(errors, 'description')} rows="2"
      maxlength="2000" spellcheck autocapitalize="sentences" value=${draft.description}
        onChange=${setter(change, 'description')} />`;
}
