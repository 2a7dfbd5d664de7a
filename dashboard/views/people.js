/**
 * @import * as T from '../types/graphql'
 * @import { Column } from '../components/table.js'
 * @import { ProjectVault } from './project.js'
 */
import { Loaded } from '../components/failure.js';
import { Icon } from '../components/icon.js';
import { AssignAgentDialog, AssignRoleDialog, RevokeDialog, RuleDialog,
  UnassignDialog } from '../components/people-dialogs.js';
import { Table } from '../components/table.js';
import { Badge, Button, PageHead, Section } from '../components/ui.js';
import { byName } from '../format.js';
import { useQuery, useSession, useTitle } from '../hooks.js';
import { html } from '../html.js';
import { People } from '../operations/people.js';
import { text } from '../text.js';
import { useState } from '../vendor/hooks.js';

const t = text.people;

/**
 * @typedef {NonNullable<T.PeopleQuery['projectVault']>} PeopleVault
 * @typedef {NonNullable<PeopleVault['members']>[number]} Member
 * @typedef {NonNullable<PeopleVault['agents']>[number]} Agent
 * @typedef {{ kind: 'assign', role: T.VaultRole } | { kind: 'revoke', person: string, role: T.VaultRole } |
 *   { kind: 'agent' }
 *   | { kind: 'unassign', agent: Agent } | { kind: 'rule' }} Open which dialog is open
 */

const ROLES = /** @type {const} */ (['ACCOUNTABLE', 'RESPONSIBLE', 'CONSULTED', 'INFORMED']);

/** @param {{ role: T.VaultRole, members: Member[], onOpen?: (open: Open) => void }} props */
function Role({ role, members, onOpen }) {
  const { session } = useSession();
  const people = members.filter(({ user }) => user);
  // The vault counts people alone: teams are kept elsewhere.
  const last = role === 'ACCOUNTABLE' && people.length === 1;
  return html`<div class="card role">
    <div class="role-head">
      <h3 id=${role}>${text.roles[role]} <span class="faint">${members.length}</span></h3>
      ${onOpen && html`<${Button} kind="plain" icon="plus" label=${`${t.assign}: ${text.roles[role]}`}
        onClick=${() => onOpen({ kind: 'assign', role })}>${t.assign}<//>`}
    </div>
    <p class="hint">${text.roles.may[role]}</p>
    ${members.length === 0 && html`<p class="faint">${t.noMembers}</p>`}
    <ul aria-labelledby=${role}>
      ${members.map(({ user, teamId }) => html`<li key=${user?.id ?? `team ${teamId}`} class="member">
        <span class="avatar small"
          aria-hidden="true">${(user?.id ?? teamId ?? '?').slice(0, 1).toUpperCase()}</span>
        <span class="member-name">${user?.id ?? teamId} ${teamId && html`<${Badge}>${t.team}<//>`}${user
          && user.id === session?.person && html`<${Badge}>${t.you}<//>`}</span>
        ${user && onOpen && !last
          && html`<${Button} kind="plain" label=${t.revokeLabel(user.id, text.roles[role])}
            onClick=${() => onOpen({ kind: 'revoke', person: user.id, role })}>${t.revoke}<//>`}
      </li>`)}
    </ul>
    ${last && onOpen
      && html`<p class="last"><${Icon} name="info" size=${14}
        /><span><strong>${t.last}.</strong> ${t.lastHint}</span></p>`}
  </div>`;
}

/** @param {{ agents: Agent[], onOpen?: (open: Open) => void }} props */
function Agents({ agents, onOpen }) {
  if (agents.length === 0) return html`<p class="none">${t.noAgents}</p>`;
  /** @type {Column<Agent>[]} */
  const columns = [
    { label: t.columns.agent,
      cell: ({ agent }) =>
        html`<span class="badges"><${Icon} name="agent" /><strong>${agent.id}</strong></span>` },
    { label: t.columns.milestones, wide: true, cell: ({ milestones }) => (milestones.length
      ? html`<span class="badges">${milestones.map(({ id }) => html`<${Badge} key=${id}>${id}<//>`)}</span>`
      : html`<span class="faint">${t.wholeProject}</span>`) },
    { label: t.columns.actions, hideLabel: true, cell: (agent) => html`<span class="row-actions">
      <${Button} kind="plain" label=${t.unassignLabel(agent.agent.id)}
        onClick=${() => onOpen?.({ kind: 'unassign', agent })}>${t.unassign}<//></span>` },
  ];
  return html`<${Table} caption=${t.agents} rows=${agents} columns=${onOpen ? columns : columns.slice(0, 2)}
    />`;
}

/** @param {{ data: PeopleVault, viewer: T.ViewerFragment, onOpen?: (open: Open) => void }} props */
function Rule({ data, viewer, onOpen }) {
  const names = data.approvedNames ?? [];
  const change = onOpen && html`<${Button} onClick=${() => onOpen({ kind: 'rule' })}>${t.change}<//>`;
  return html`<${Section} id="sessions" title=${t.sessions} about=${t.sessionsAbout} actions=${change}>
    <div class="card details"><dl>
      <div><dt>${t.rule}</dt><dd>${t.rules[data.environmentNames]}</dd></div>
      ${viewer.canList && html`<div><dt>${t.approved}</dt><dd>${names.length
        ? html`<span class="badges">${names.map((name) => html`<code key=${name}>${name}</code>`)}</span>`
          : text.none}</dd></div>`}
    </dl></div>
  <//>`;
}

/** @param {{ vault: ProjectVault }} props */
export function PeopleView({ vault }) {
  const { viewer } = vault;
  const projectId = vault.project.id;
  useTitle(t.title);
  const { session } = useSession();
  const members = viewer.canAdminister;
  const query = useQuery(People, { projectId, members, agents: viewer.canWrite, list: viewer.canList });
  const [open, setOpen] = useState(/** @type {Open | null} */ (null));
  const onOpen = members ? setOpen : undefined;
  const dialog = { projectId, onClose: () => setOpen(null), onDone: query.reload };
  return html`
    <${PageHead} title=${t.title} />
    <${Loaded} query=${query}>
      ${(/** @type {T.PeopleQuery} */ { projectVault: data }) => data && html`
        <${Section} id="members" title=${t.members} about=${members ? t.membersAbout : t.membersHidden}>
          ${members
            && html`<div
              class="roles">${ROLES.map((role) => html`<${Role} key=${role} role=${role} onOpen=${onOpen}
            members=${(data.members
              ?? []).filter((member) => member.role === role).sort((a, b) =>
                byName(a.user?.id ?? '', b.user?.id ?? ''))} />`)}</div>`}
        <//>
        <${Section} id="agents" title=${t.agents} about=${viewer.canWrite ? t.agentsAbout : t.agentsHidden}
          actions=${onOpen
            && html`<${Button} icon="plus" onClick=${() => onOpen({ kind: 'agent' })}>${t.assignAgent}<//>`}>
          ${viewer.canWrite && html`<${Agents} agents=${data.agents ?? []} onOpen=${onOpen} />`}
        <//>
        <${Section} id="organizations" title=${t.organizations} about=${t.organizationsAbout}>
          <ul class="card plain-list">${data.participants.map(({ id }) =>
            html`<li key=${id}>${id}</li>`)}</ul>
        <//>
        <${Rule} data=${data} viewer=${viewer} onOpen=${onOpen} />
        ${open?.kind === 'assign' && html`<${AssignRoleDialog} ...${dialog} role=${open.role} />`}
        ${open?.kind === 'revoke'
          && html`<${RevokeDialog} ...${dialog} person=${open.person} role=${open.role}
            self=${open.person === session?.person} />`}
        ${open?.kind === 'agent' && html`<${AssignAgentDialog} ...${dialog} milestones=${data.milestones} />`}
        ${open?.kind === 'unassign' && html`<${UnassignDialog} ...${dialog} agent=${open.agent} />`}
        ${open?.kind === 'rule' && html`<${RuleDialog} ...${dialog} data=${data} />`}
      `}
    <//>
  `;
}
