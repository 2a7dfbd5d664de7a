/**
 * @import { ApiError } from '../api.js'
 * @import { Query } from '../hooks.js'
 * @import { ComponentChildren } from '../vendor/preact.js'
 */
import { html } from '../html.js';
import { text } from '../text.js';
import { Button, Notice, Skeleton } from './ui.js';

/**
 * A failed request, in words, with the id under which the server's logs have it.
 * @param {{ error: ApiError | undefined, retry?: () => void, title?: string }} props
 */
export function Failure({ error, retry, title }) {
  if (!error || error.code === 'UNAUTHENTICATED') return null;
  const again = retry && html`<${Button} icon="refresh" onClick=${retry}>${text.retry}<//>`;
  return html`<${Notice} tone="bad" alert title=${title ?? text.error.titles[error.code] ?? text.error.title}
    actions=${again}>
    ${error.message}
    ${error.retryAfter !== undefined && html` ${text.error.retryAfter(error.retryAfter)}`}
    ${error.requestId
      && html`<div class="request-id">${text.error.requestId} <code>${error.requestId}</code></div>`}
  <//>`;
}

/**
 * What a query gives, or why there is nothing yet.
 * @template Data
 * @param {{ query: Query<Data>, children: (data: Data) => ComponentChildren, skeleton?: ComponentChildren }}
 *   props
 */
export function Loaded({ query, children, skeleton }) {
  const slow = query.slow && html`<p class="slow" role="status">${text.slow}</p>`;
  const failure = html`<${Failure} error=${query.error} retry=${query.reload} />`;
  if (query.data === undefined) return query.error ? failure
    : html`${slow}${skeleton ?? html`<${Skeleton} />`}`;
  return html`<div
    aria-busy=${query.loading ? 'true' : 'false'}>${slow}${failure}${children(query.data)}</div>`;
}
