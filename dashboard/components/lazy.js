/** @import { ComponentChildren } from '../vendor/preact.js' */
import { ApiError } from '../api.js';
import { html } from '../html.js';
import { text } from '../text.js';
import { useEffect, useState } from '../vendor/hooks.js';
import { Failure } from './failure.js';
import { Skeleton } from './ui.js';

/**
 * A view whose module is read when it is first drawn, so that the first page comes sooner.
 * @template Props
 * @param {() => Promise<(props: Props) => ComponentChildren>} load
 * @returns {(props: Props) => ComponentChildren}
 */
export function lazy(load) {
  /** @type {((props: Props) => ComponentChildren) | undefined} */
  let View;
  return function Lazy(props) {
    const [, redraw] = useState(0);
    const [failed, setFailed] = useState(false);
    const missing = View === undefined;
    useEffect(() => {
      // Another one of these may have read the module since this one was drawn.
      if (!missing) return;
      load().then(
        (view) => {
          View = view;
          redraw((was) => was + 1);
        },
        () => setFailed(true),
      );
    }, []);
    if (View) return html`<${View} ...${props} />`;
    // After an update of the server, the old modules are gone.
    const error = new ApiError('MODULE', text.error.module);
    return failed
      ? html`<${Failure} error=${error} retry=${() => location.reload()} />`
      : html`<${Skeleton} rows=${6} />`;
  };
}
