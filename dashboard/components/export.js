/** @import * as T from '../types/graphql' */
import { download, EXPORT_LIMIT, readEvents, toCsv, toJsonLines } from '../audit.js';
import { useAction } from '../hooks.js';
import { html } from '../html.js';
import { text } from '../text.js';
import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { Dialog } from './dialog.js';
import { Failure } from './failure.js';
import { tell } from './toast.js';
import { Button } from './ui.js';

const t = text.audit;

/** @param {{ projectId: string | null, filter: T.VaultAuditFilter, onClose: () => void }} props */
export function ExportDialog({ projectId, filter, onClose }) {
  const [count, setCount] = useState(0);
  const abort = useRef(new AbortController());
  useEffect(() => () => abort.current.abort(), []);
  const run = useAction(async (/** @type {'jsonl' | 'csv'} */ format) => {
    /** @type {T.AuditEventFragment[]} */
    let events = [];
    /** @type {string | null} */
    let cursor = null;
    do {
      const page = await readEvents(projectId, filter, cursor, 100, abort.current.signal);
      events = events.concat(page.events);
      cursor = page.cursor;
      setCount(events.length);
    } while (cursor !== null && events.length < EXPORT_LIMIT);
    const name =
      `audit-${projectId ?? 'vault'}-${new Date().toISOString().slice(0, 10)}.${format}`.replace(/[^\w.-]+/g,
        '_');
    if (format === 'csv') download(name, 'text/csv', toCsv(events));
    else download(name, 'application/jsonl', toJsonLines(events));
    tell(cursor === null ? t.exported(events.length) : t.exportCut(events.length));
    onClose();
  });
  const footer = html`<${Button} onClick=${onClose}>${text.cancel}<//>
    <${Button} busy=${run.busy} onClick=${() => run.run('csv')}>${t.csv}<//>
    <${Button} kind="primary" busy=${run.busy} onClick=${() => run.run('jsonl')}>${t.json}<//>`;
  return html`<${Dialog} title=${t.exportTitle} onClose=${onClose} footer=${footer}>
    <p>${t.exportBody}</p>
    <p role="status" class="faint">${run.busy && t.exporting(count)}</p>
    <${Failure} error=${run.error} />
  <//>`;
}
