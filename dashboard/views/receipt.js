/**
 * @import { InputProps } from '../components/field.js'
 * @import { Verdict } from '../receipt.js'
 * @import { ComponentChildren } from '../vendor/preact.js'
 */
import { Field } from '../components/field.js';
import { Failure } from '../components/failure.js';
import { Button, Notice, PageHead } from '../components/ui.js';
import { instantOf } from '../format.js';
import { useAction, useTitle } from '../hooks.js';
import { html } from '../html.js';
import { verifyReceipt } from '../receipt.js';
import { text } from '../text.js';
import { useRef, useState } from '../vendor/hooks.js';
import { TopTabs } from './projects.js';

const t = text.receipt;
/** Claims whose number is an instant, in seconds (RFC 7519). */
const INSTANTS = new Set(['iat', 'exp', 'nbf']);

/** @param {string} name @param {unknown} value @returns {ComponentChildren} */
function show(name, value) {
  if (INSTANTS.has(name) && typeof value === 'number') return instantOf(new Date(value * 1000).toISOString());
  if (Array.isArray(value)) return html`<ol
    class="claim-list">${value.map((one, index) => html`<li key=${index}>${show(name, one)}</li>`)}</ol>`;
  if (value && typeof value === 'object') {
    return html`<span
      class="claim-object">${Object.entries(value).map(([key, one]) =>
        html`<span key=${key}><span class="faint">${key}</span> ${show(key, one)}</span>`)}</span>`;
  }
  return value === null ? '—' : String(value);
}

/** @param {{ verdict: Verdict }} props */
function Result({ verdict }) {
  if (!verdict.good) return html`<${Notice} tone="bad" alert title=${t.bad}>${t.reasons[verdict.reason]}<//>`;
  return html`<div role="status"><${Notice} tone="good" title=${t.good}>${t.goodBody(verdict.kid)}<//></div>
    <div class="card details"><dl class="claims">
      <div><dt>${t.kind}</dt><dd>${t.kinds[/** @type {keyof typeof t.kinds} */ (verdict.kind)]}</dd></div>
      ${Object.entries(verdict.claims).map(([name, value]) =>
        html`<div key=${name}><dt>${name}</dt><dd class="mono">${show(name, value)}</dd></div>`)}
    </dl></div>`;
}

export function ReceiptView() {
  useTitle(t.title);
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const [verdict, setVerdict] = useState(/** @type {Verdict | null} */ (null));
  const verify = useAction(async () => setVerdict(await verifyReceipt(field.current?.value ?? '')));
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void verify.run();
  };
  return html`
    <${TopTabs} current="receipt" />
    <${PageHead} title=${t.title} about=${t.about} />
    <form class="card form stack" onSubmit=${submit} novalidate autocomplete="off">
      <${Field} label=${t.text} hint=${t.textHint}>
        ${(/** @type {InputProps} */ input) =>
          html`<textarea ...${input} ref=${field} class="mono" rows="6" autocapitalize="off"
            spellcheck=${false} onInput=${() => setVerdict(null)}></textarea>`}<//>
      <${Failure} error=${verify.error} />
      <div class="form-foot"><${Button} type="submit" kind="primary" busy=${verify.busy}>${t.submit}<//></div>
    </form>
    <div class="result">${verdict && html`<${Result} verdict=${verdict} />`}</div>
  `;
}
