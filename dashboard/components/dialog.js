/** @import { ComponentChildren } from '../vendor/preact.js' */
import { html } from '../html.js';
import { text } from '../text.js';
import { useEffect, useId, useRef } from '../vendor/hooks.js';
import { Button, IconButton } from './ui.js';

const FIRST_FIELD = '.dialog-body :is(input:not([type="checkbox"], [type="radio"]), textarea, select)';

/**
 * A modal dialog. The browser keeps the focus inside and gives it back.
 * @param {{ title: string, onClose?: () => void, children: ComponentChildren, footer?: ComponentChildren,
 *   wide?: boolean }} props
 *   without `onClose` it cannot be dismissed
 */
export function Dialog({ title, onClose, children, footer, wide }) {
  const ref = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    ref.current?.showModal();
    // Where a person goes on: the first field, else the first button of the choice.
    const first =
      ref.current?.querySelector(FIRST_FIELD) ?? ref.current?.querySelector('.dialog-foot button');
    if (first instanceof HTMLElement) first.focus();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  /** @param {Event} event */
  const cancel = (event) => {
    event.preventDefault();
    onClose?.();
  };
  return html`<dialog ref=${ref} class=${wide ? 'wide' : ''} aria-labelledby=${id} onCancel=${cancel}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === 'Escape' && cancel(event)}>
    <div class="dialog-head">
      <h2 id=${id}>${title}</h2>
      ${onClose && html`<${IconButton} icon="close" label=${text.close} onClick=${onClose} />`}
    </div>
    <div class="dialog-body">${children}</div>
    ${footer && html`<div class="dialog-foot">${footer}</div>`}
  </dialog>`;
}

/**
 * Asks before an action, and says what it does.
 * @param {{ title: string, children: ComponentChildren, action: string, kind?: 'primary' | 'danger', busy?:
 *   boolean,
 *   onConfirm: () => void, onClose: () => void }} props
 */
export function Confirm({ title, children, action, kind = 'primary', busy, onConfirm, onClose }) {
  const footer = html`
    <${Button} onClick=${onClose}>${text.cancel}<//>
    <${Button} kind=${kind} busy=${busy} onClick=${onConfirm}>${action}<//>
  `;
  return html`<${Dialog} title=${title} onClose=${onClose} footer=${footer}>${children}<//>`;
}
