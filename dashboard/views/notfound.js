import { Empty, LinkButton } from '../components/ui.js';
import { useTitle } from '../hooks.js';
import { html } from '../html.js';
import { href } from '../router.js';
import { text } from '../text.js';

/** @param {{ body?: string }} props */
export function NotFound({ body = text.notFound.body }) {
  useTitle(text.notFound.title);
  return html`<h1 id="title" tabindex="-1" class="visually-hidden">${text.notFound.title}</h1>
    <${Empty} icon="search" title=${text.notFound.title}
      actions=${html`<${LinkButton} href=${href([])}>${text.notFound.action}<//>`}>${body}<//>`;
}
