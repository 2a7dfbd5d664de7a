/**
 * @import { ComponentChildren } from '../vendor/preact.js'
 * @import { IconName } from './icon.js'
 */
import { fromNow, instantOf } from '../format.js';
import { useNow } from '../hooks.js';
import { html } from '../html.js';
import { text } from '../text.js';
import { Icon } from './icon.js';

/** @typedef {'good' | 'warn' | 'bad' | 'quiet' | 'accent'} Tone */

/**
 * @param {{ children: ComponentChildren, onClick?: (event: MouseEvent) => void, kind?: 'primary' | 'danger'
 *   | 'plain',
 *   icon?: IconName, busy?: boolean, disabled?: boolean, type?: 'button' | 'submit', label?: string, id?:
 * string,
 *   form?: string, pressed?: boolean }} props `label` replaces the name for assistive technology
 */
export function Button({ children, onClick, kind, icon, busy, disabled, type = 'button', label, id, form,
  pressed }) {
  return html`<button id=${id} form=${form} type=${type} class=${`button ${kind ?? ''}`}
    onClick=${busy ? undefined : onClick}
    disabled=${disabled} aria-disabled=${busy ? 'true' : undefined} aria-busy=${busy ? 'true' : undefined}
    aria-label=${label} aria-pressed=${pressed}>
    ${busy ? html`<span class="spinner" aria-hidden="true" />` : icon
      && html`<${Icon} name=${icon} />`}<span>${children}</span>
  </button>`;
}

/**
 * A button that is a picture.
 * @param {{ icon: IconName, label: string, onClick: (event: MouseEvent) => void, id?: string }} props
 */
export function IconButton({ icon, label, onClick, id }) {
  return html`<button id=${id} type="button" class="icon-button" aria-label=${label} title=${label}
    onClick=${onClick}>
    <${Icon} name=${icon} />
  </button>`;
}

/**
 * A link that looks like a button.
 * @param {{ href: string, children: ComponentChildren, icon?: IconName, kind?: 'primary' }} props
 */
export function LinkButton({ href, children, icon, kind }) {
  return html`<a class=${`button ${kind ?? ''}`}
    href=${href}>${icon && html`<${Icon} name=${icon} />`}<span>${children}</span></a>`;
}

/** @param {{ tone?: Tone, children: ComponentChildren, title?: string }} props */
export function Badge({ tone = 'quiet', children, title }) {
  return html`<span class=${`badge ${tone}`} title=${title}>${children}</span>`;
}

/**
 * A message in the page.
 * @param {{ tone?: Tone, title?: string, children?: ComponentChildren, actions?: ComponentChildren, alert?:
 *   boolean }} props
 *   `alert`: say it at once
 */
export function Notice({ tone = 'quiet', title, children, actions, alert }) {
  /** @type {IconName} */
  const icon = tone === 'bad' || tone === 'warn' ? 'warning' : tone === 'good' ? 'check' : 'info';
  return html`<div class=${`notice ${tone}`} role=${alert ? 'alert' : undefined}>
    <${Icon} name=${icon} />
    <div class="notice-text">
      ${title && html`<strong>${title}</strong>`}
      ${children && html`<div>${children}</div>`}
    </div>
    ${actions && html`<div class="notice-actions">${actions}</div>`}
  </div>`;
}

/**
 * @param {{ icon: IconName, title: string, children?: ComponentChildren, actions?: ComponentChildren }} props
 */
export function Empty({ icon, title, children, actions }) {
  return html`<div class="empty">
    <span class="empty-icon"><${Icon} name=${icon} size=${24} /></span>
    <p class="empty-title">${title}</p>
    ${children && html`<p class="empty-text">${children}</p>`}
    ${actions && html`<div class="empty-actions">${actions}</div>`}
  </div>`;
}

/** Lines in place of a list that is loading. @param {{ rows?: number, height?: number }} props */
export function Skeleton({ rows = 4, height = 44 }) {
  return html`<div class="skeleton" role="status" aria-label=${text.loading}>
    ${Array.from({ length: rows },
      (_, index) => html`<div key=${index} style=${{ height: `${height}px` }}><span /></div>`)}
  </div>`;
}

/**
 * An instant as its distance from now, with the instant itself on hover.
 * @param {{ at: string | null | undefined, none?: string, full?: boolean }} props `none`: shown without an
 *   instant; `full`: show both
 */
export function Time({ at, none = '—', full }) {
  const now = useNow();
  if (!at) return html`<span class="faint">${none}</span>`;
  const exact = instantOf(at);
  return html`<time datetime=${at}
    title=${exact}>${fromNow(at, now)}${full && html`<span class="faint"> · ${exact}</span>`}</time>`;
}

/**
 * A page's head: title, what it is about, actions.
 * @param {{ title: ComponentChildren, about?: ComponentChildren, children?: ComponentChildren }} props
 */
export function PageHead({ title, about, children }) {
  return html`<div class="page-head">
    <div class="page-title">
      <h1 id="title" tabindex="-1">${title}</h1>
      ${about && html`<div class="about">${about}</div>`}
    </div>
    ${children && html`<div class="page-actions">${children}</div>`}
  </div>`;
}

/**
 * @param {{ title: string, about?: ComponentChildren, actions?: ComponentChildren, children:
 *   ComponentChildren, id: string }} props
 */
export function Section({ title, about, actions, children, id }) {
  return html`<section class="section" aria-labelledby=${id}>
    <div class="section-head">
      <div><h2 id=${id}>${title}</h2>${about && html`<p class="about">${about}</p>`}</div>
      ${actions && html`<div class="page-actions">${actions}</div>`}
    </div>
    ${children}
  </section>`;
}
