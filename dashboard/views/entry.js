/**
 * @import * as T from '../types/graphql'
 * @import { UserError } from '../api.js'
 * @import { FullEntry } from '../mutate.js'
 * @import { ProjectVault } from './project.js'
 */
import { send } from '../api.js';
import { Confirm } from '../components/dialog.js';
import { EditDialog, RollbackDialog, RotateDialog } from '../components/entry-dialogs.js';
import { EntryDetails, EntryEvents, Exposures, Versions } from '../components/entry-parts.js';
import { Failure, Loaded } from '../components/failure.js';
import { OtherErrors } from '../components/field.js';
import { EntryStatus } from '../components/status.js';
import { tell } from '../components/toast.js';
import { Badge, Button, Notice, PageHead } from '../components/ui.js';
import { useAction, useQuery, useTitle } from '../hooks.js';
import { html } from '../html.js';
import { DeleteEntry, DisableEntry, EnableEntry, Entry, PurgeEntry,
  RestoreEntry } from '../operations/entries.js';
import { go, href } from '../router.js';
import { text } from '../text.js';
import { useState } from '../vendor/hooks.js';
import { BackLink } from './create.js';
import { NotFound } from './notfound.js';

const t = text.entry;

/** @typedef {'disable' | 'enable' | 'delete' | 'restore' | 'purge'} Step a change without an input */

/** @type {Record<Step, (id: string) => Promise<{ userErrors: UserError[] } | null>>} */
const STEPS = {
  disable: async (id) => (await send(DisableEntry, { id })).disableVaultEntry,
  enable: async (id) => (await send(EnableEntry, { id })).enableVaultEntry,
  delete: async (id) => (await send(DeleteEntry, { id })).deleteVaultEntry,
  restore: async (id) => (await send(RestoreEntry, { id })).restoreVaultEntry,
  purge: async (id) => (await send(PurgeEntry, { id })).purgeVaultEntry,
};

/** @param {{ step: Step, entry: FullEntry, onClose: () => void, onDone: () => void }} props */
function StepDialog({ step, entry, onClose, onDone }) {
  const [errors, setErrors] = useState(/** @type {UserError[]} */ ([]));
  const { title, body } = t.confirm.of[step];
  const run = useAction(async () => {
    const problems = (await STEPS[step](entry.id))?.userErrors ?? [];
    setErrors(problems);
    if (problems.length) return;
    tell(t.done[step](entry.name));
    onClose();
    onDone();
  });
  const danger = step === 'delete' || step === 'purge' || step === 'disable';
  return html`<${Confirm} title=${title(entry.name)} action=${t[step]} kind=${danger ? 'danger' : 'primary'}
    busy=${run.busy}
    onConfirm=${() => run.run()} onClose=${onClose}>
    <p>${body}</p>
    <${OtherErrors} errors=${errors} fields=${[]} />
    <${Failure} error=${run.error} />
  <//>`;
}

/** Why agents do not receive the entry. @param {{ entry: FullEntry }} props */
function Warnings({ entry }) {
  return html`
    ${entry.status === 'EXPIRED' && html`<${Notice} tone="bad" title=${t.expiredTitle}>${t.expired}<//>`}
    ${entry.status === 'DISABLED' && html`<${Notice} tone="warn" title=${t.disabledTitle}>${t.disabled}<//>`}
    ${entry.status === 'DELETED' && html`<${Notice} tone="warn" title=${t.deletedTitle}>${t.deleted}<//>`}
    ${entry.leftOutOfSessions
      && html`<${Notice} title=${t.leftOut}>${text.leftOutReasons[entry.leftOutOfSessions]}<//>`}
  `;
}

/**
 * @typedef {Step | 'edit' | 'rotate' | { version: number, maskedValue: string } | null} Open which dialog is
 *   open
 */

/** @param {{ entry: FullEntry, vault: ProjectVault, reload: () => void }} props */
function EntryPage({ entry, vault, reload }) {
  const { viewer } = vault;
  const projectId = vault.project.id;
  const [open, setOpen] = useState(/** @type {Open} */ (null));
  const [round, setRound] = useState(0);
  useTitle(entry.name);
  const close = () => setOpen(null);
  const changed = () => {
    reload();
    setRound((was) => was + 1);
  };
  const deleted = entry.status === 'DELETED';
  const step =
    (/** @type {Step} */ name, /** @type {import('../components/icon.js').IconName} */ icon) =>
      html`<${Button} icon=${icon}
    kind=${name === 'delete' || name === 'purge' ? 'danger' : undefined}
      onClick=${() => setOpen(name)}>${t[name]}<//>`;
  const actions = html`
    ${viewer.canWrite && !deleted && html`
      <${Button} kind="primary" icon="refresh" onClick=${() => setOpen('rotate')}>${t.rotate}<//>
      <${Button} onClick=${() => setOpen('edit')}>${t.edit}<//>
      ${entry.status === 'DISABLED' ? step('enable', 'play') : step('disable', 'pause')}`}
    ${viewer.canAdminister
      && (deleted ? html`${step('restore', 'refresh')}${step('purge', 'trash')}` : step('delete', 'trash'))}`;
  const about =
    html`<span class="badges"><${EntryStatus} status=${entry.status}
      /><${Badge}>${text.categories[entry.category]}<//>
    <${Badge}>${entry.milestone ? text.entries.milestone(entry.milestone.id)
      : text.entries.projectScope}<//></span>`;
  const dialog = { entry, viewer, onClose: close, onChanged: changed };
  const after = () => (open === 'purge' ? go(href(['p', projectId])) : changed());
  return html`
    <${PageHead} title=${html`<span class="mono">${entry.name}</span>`} about=${about}>${actions}<//>
    <${Warnings} entry=${entry} />
    <${EntryDetails} entry=${entry} viewer=${viewer} />
    ${viewer.canViewMasked
      && html`<${Versions} entry=${entry} onRollback=${viewer.canWrite && !deleted ? setOpen : undefined} />`}
    ${viewer.canAdminister && html`<${Exposures} entry=${entry} />`}
    ${viewer.canAudit && html`<${EntryEvents} key=${round} entry=${entry} projectId=${projectId} />`}
    ${open === 'edit' && html`<${EditDialog} ...${dialog} />`}
    ${open === 'rotate' && html`<${RotateDialog} ...${dialog} />`}
    ${open && typeof open === 'object' && html`<${RollbackDialog} ...${dialog} version=${open} />`}
    ${typeof open === 'string' && open in STEPS
      && html`<${StepDialog} step=${open} entry=${entry} onClose=${close} onDone=${after} />`}
  `;
}

/** @param {{ vault: ProjectVault, id: string }} props */
export function EntryView({ vault, id }) {
  const { viewer } = vault;
  const query = useQuery(Entry, { id, masked: viewer.canViewMasked, administer: viewer.canAdminister });
  return html`
    <${BackLink} href=${href(['p', vault.project.id])} name=${text.nav.entries} />
    <${Loaded} query=${query}>
      ${(/** @type {T.EntryQuery} */ { vaultEntry: entry }) =>
        entry && entry.project.id === vault.project.id
          ? html`<${EntryPage} entry=${entry} vault=${vault} reload=${query.reload} />`
          : html`<${NotFound} body=${t.notFound} />`}
    <//>
  `;
}
