/**
 * @import * as T from '../types/graphql'
 * @import { Column } from '../components/table.js'
 * @import { ProjectVault } from './project.js'
 */
import { Failure, Loaded } from '../components/failure.js';
import { SelectField, TextField } from '../components/field.js';
import { Table } from '../components/table.js';
import { Badge, Button, Empty, Notice, PageHead, Section, Time } from '../components/ui.js';
import { send } from '../api.js';
import { useAction, useQuery, useTitle } from '../hooks.js';
import { html } from '../html.js';
import { Milestones, People, Preview } from '../operations/people.js';
import { href } from '../router.js';
import { text } from '../text.js';
import { useState } from '../vendor/hooks.js';
import { phaseOf } from './milestones.js';

const t = text.preview;

/**
 * @typedef {NonNullable<T.PreviewQuery['previewSecrets']>} Answer
 * @typedef {Answer['secrets'][number]} Secret
 * @typedef {{ name: string, outcome: keyof typeof t.outcomes, reason: string, entryId?: string, expiresAt?:
 *   string | null }} Row
 */

/** @type {Record<keyof typeof t.outcomes, import('../components/ui.js').Tone>} */
const TONES =
  { RESOLVED: 'good', EXPIRED: 'bad', PROVIDED_BY_WORKSPACE: 'accent', NOT_FOUND: 'quiet', LEFT_OUT: 'warn' };

/** @param {Secret} secret */
function reasonOf({ outcome, entry }) {
  if (outcome !== 'RESOLVED') return t.reasons[outcome];
  return entry?.milestone ? t.reasons.MILESTONE(entry.milestone.id) : t.reasons.PROJECT;
}

/** What is left out is in the same table. @param {Answer} answer @returns {Row[]} */
function rowsOf({ secrets, leftOut }) {
  return [
    ...secrets.map((secret) =>
      ({ name: secret.name, outcome: secret.outcome, reason: reasonOf(secret), entryId: secret.entry?.id,
        expiresAt: secret.expiresAt })),
    ...leftOut.map(({ name, reason }) =>
      ({ name, outcome: /** @type {const} */ ('LEFT_OUT'), reason: text.leftOutReasons[reason] })),
  ];
}

/** @param {string} projectId @returns {Column<Row>[]} */
const columnsOf = (projectId) => [
  {
    label: t.columns.name,
    cell: ({ name, entryId }) => (entryId
      ? html`<a class="mono" href=${href(['p', projectId, 'e', entryId])}>${name}</a>`
      : html`<span class="mono">${name}</span>`),
  },
  { label: t.columns.outcome,
    cell: ({ outcome }) => html`<${Badge} tone=${TONES[outcome]}>${t.outcomes[outcome]}<//>` },
  { label: t.columns.reason, wide: true, cell: ({ reason }) => reason },
  { label: t.columns.expires, cell: ({ expiresAt }) => html`<${Time} at=${expiresAt} />` },
];

/**
 * @param {{ answer: Answer, projectId: string, closed: boolean }} props `closed`: the milestone is not open
 */
function Result({ answer, projectId, closed }) {
  const rows = rowsOf(answer);
  const received = rows.filter(({ outcome }) => outcome === 'RESOLVED').length;
  const blocked = answer.blockedBy.length > 0;
  return html`<${Section} id="result" title=${t.table} about=${blocked ? undefined : t.summary(received)}>
    ${blocked && html`<${Notice} tone="bad" alert title=${t.blocked}>
      <ul>${answer.blockedBy.map((block) => html`<li key=${block}>${t.blocks[block]}</li>`)}</ul>
      ${rows.length > 0 && html`<p>${t.ifNot}</p>`}
    <//>`}
    ${closed && html`<${Notice} tone="warn">${t.milestoneClosed}<//>`}
    ${rows.length === 0
      ? html`<p class="none">${t.nothing}</p>`
      : html`<${Table} caption=${t.table} rows=${rows} columns=${columnsOf(projectId)} />`}
  <//>`;
}

/** @param {string} names @returns {string[]} */
const split = (names) => names.split(/[\s,]+/).filter(Boolean);

/** @param {{ agents: string[], vault: ProjectVault }} props */
function PreviewForm({ agents, vault }) {
  const projectId = vault.project.id;
  const [agentId, setAgent] = useState(agents[0] ?? '');
  const [milestoneId, setMilestone] = useState('');
  const [names, setNames] = useState('');
  const [provided, setProvided] = useState('');
  const [answer, setAnswer] = useState(/** @type {{ result: Answer, closed: boolean } | null} */ (null));
  const phases = useQuery(Milestones, { projectId, list: vault.viewer.canList });
  const milestones = phases.data?.projectVault?.milestones ?? [];
  const preview = useAction(async () => {
    const { previewSecrets: result } = await send(Preview, {
      input: { projectId, agentId, milestoneId: milestoneId || null,
        names: names.trim() ? split(names) : null, providedNames: split(provided) },
    });
    const milestone = milestones.find(({ id }) => id === milestoneId);
    setAnswer(result
      ? { result, closed: milestone !== undefined && phaseOf(milestone, Date.now()) !== 'open' } : null);
  });
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void preview.run();
  };
  const milestoneOptions = [['', t.noMilestone], ...vault.milestones.map(({ id }) => [id, id])];
  return html`
    <form class="card stack" onSubmit=${submit} novalidate autocomplete="off">
      <div class="fields">
        <${SelectField} label=${t.agent} options=${agents.map((id) => [id, id])} value=${agentId}
          onChange=${setAgent} />
        <${SelectField} label=${t.milestone} options=${milestoneOptions} value=${milestoneId}
          onChange=${setMilestone} />
      </div>
      <div class="fields">
        <${TextField} label=${t.names} optional hint=${t.namesHint} class="mono" rows="2" value=${names}
          onChange=${setNames} />
        <${TextField} label=${t.provided} optional hint=${t.providedHint} class="mono" rows="2"
          value=${provided}
          onChange=${setProvided} />
      </div>
      <${Failure} error=${preview.error} />
      <div class="form-foot"><${Button} type="submit" kind="primary"
        busy=${preview.busy}>${t.submit}<//></div>
    </form>
    ${answer && html`<${Result} answer=${answer.result} projectId=${projectId} closed=${answer.closed} />`}
  `;
}

/** @param {{ vault: ProjectVault }} props */
export function PreviewView({ vault }) {
  useTitle(t.title);
  const query = useQuery(People, { projectId: vault.project.id, members: false, agents: true, list: false });
  return html`
    <${PageHead} title=${t.title} about=${t.about} />
    <${Loaded} query=${query}>
      ${(/** @type {T.PeopleQuery} */ { projectVault }) => {
        const agents = (projectVault?.agents ?? []).map(({ agent }) => agent.id);
        return agents.length === 0
          ? html`<${Empty} icon="agent" title=${t.noAgentsTitle}>${t.noAgents}<//>`
          : html`<${PreviewForm} agents=${agents} vault=${vault} />`;
      }}
    <//>
  `;
}
