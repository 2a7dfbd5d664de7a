/**
 * The dialogs that change who and what works on a project.
 * @import * as T from '../types/graphql'
 * @import { UserError } from '../api.js'
 * @import { Agent, PeopleVault } from '../views/people.js'
 * @import { ComponentChildren } from '../vendor/preact.js'
 */
import { send } from '../api.js';
import { useAction } from '../hooks.js';
import { html } from '../html.js';
import { AssignAgent, AssignRole, RevokeRole, SetEnvironmentNames,
  UnassignAgent } from '../operations/people.js';
import { text } from '../text.js';
import { useState } from '../vendor/hooks.js';
import { Confirm, Dialog } from './dialog.js';
import { Failure } from './failure.js';
import { errorsOf, OtherErrors, SelectField, TextField } from './field.js';
import { tell } from './toast.js';
import { Button, Notice } from './ui.js';

const t = text.people;

/** @typedef {{ projectId: string, onClose: () => void, onDone: () => void }} Props */

/**
 * @param {Props} props
 * @param {() => Promise<UserError[] | undefined>} change gives what was refused
 * @param {() => string} done the message
 */
function useChange({ onClose, onDone }, change, done) {
  const [errors, setErrors] = useState(/** @type {UserError[]} */ ([]));
  const { busy, error, run } = useAction(async () => {
    const problems = (await change()) ?? [];
    setErrors(problems);
    if (problems.length) return;
    tell(done());
    onClose();
    onDone();
  });
  return { errors, busy, error, run: () => run() };
}

/** @typedef {ReturnType<typeof useChange>} Change */

/** What is not about one of the fields. @param {{ change: Change, fields?: string[] }} props */
const Problems = ({ change, fields = [] }) =>
  html`<${OtherErrors} errors=${change.errors} fields=${fields} /><${Failure} error=${change.error} />`;

/**
 * @param {{ title: string, action: string, change: Change, fields: string[], onClose: () => void,
 *   children: ComponentChildren }} props
 */
function FormDialog({ title, action, change, fields, onClose, children }) {
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void change.run();
  };
  const footer = html`<${Button} onClick=${onClose}>${text.cancel}<//>
    <${Button} type="submit" form="people" kind="primary" busy=${change.busy}>${action}<//>`;
  return html`<${Dialog} title=${title} onClose=${onClose} footer=${footer}>
    <form id="people" class="stack" onSubmit=${submit} novalidate autocomplete="off">
      ${children}
      <${Problems} change=${change} fields=${fields} />
    </form>
  <//>`;
}

/** @param {Props & { role: T.VaultRole }} props */
export function AssignRoleDialog(props) {
  const { projectId, onClose } = props;
  const [userId, setPerson] = useState('');
  const [role, setRole] = useState(props.role);
  const change = useChange(
    props,
    async () => (await send(AssignRole, { input: { projectId, userId, role } })).assignVaultRole?.userErrors,
    () => t.assigned(userId, text.roles[role]),
  );
  const roles = Object.keys(text.roles.may).map((key) => [key, text.roles[/** @type {T.VaultRole} */ (key)]]);
  return html`<${FormDialog} title=${t.assignTitle} action=${t.submit} change=${change}
    fields=${['userId', 'role']}
    onClose=${onClose}>
    <${TextField} label=${t.person} hint=${t.personHint} errors=${errorsOf(change.errors, 'userId')}
      maxlength="200"
      value=${userId} onChange=${setPerson} />
    <${SelectField} label=${t.role} hint=${text.roles.may[role]} errors=${errorsOf(change.errors, 'role')}
      options=${roles}
      value=${role} onChange=${setRole} />
  <//>`;
}

/** @param {Props & { person: string, role: T.VaultRole, self: boolean }} props */
export function RevokeDialog(props) {
  const { projectId, person, role, self, onClose } = props;
  const name = text.roles[role];
  const change = useChange(
    props,
    async () =>
      (await send(RevokeRole, { input: { projectId, userId: person, role } })).revokeVaultRole?.userErrors,
    () => t.revoked(person, name),
  );
  return html`<${Confirm} title=${t.revokeTitle(person, name)} action=${t.revoke} kind="danger"
    busy=${change.busy}
    onConfirm=${change.run} onClose=${onClose}>
    <p>${t.revokeBody}</p>
    ${self && html`<${Notice} tone="warn">${t.revokeSelf}<//>`}
    <${Problems} change=${change} />
  <//>`;
}

/** @param {Props & { milestones: { id: string }[] }} props */
export function AssignAgentDialog(props) {
  const { projectId, milestones, onClose } = props;
  const [agentId, setAgent] = useState('');
  const [milestone, setMilestone] = useState('');
  const change = useChange(
    props,
    async () => {
      const input = { projectId, agentId, milestoneId: milestone || null };
      return (await send(AssignAgent, { input })).assignVaultAgent?.userErrors;
    },
    () => t.agentAssigned(agentId),
  );
  const options = [['', text.preview.noMilestone], ...milestones.map(({ id }) => [id, id])];
  return html`<${FormDialog} title=${t.assignAgent} action=${t.assignAgent} change=${change}
    fields=${['agentId', 'milestoneId']} onClose=${onClose}>
    <${TextField} label=${t.agent} hint=${t.agentHint} errors=${errorsOf(change.errors, 'agentId')}
      maxlength="200"
      value=${agentId} onChange=${setAgent} />
    <${SelectField} label=${t.milestone} hint=${t.milestoneHint}
      errors=${errorsOf(change.errors, 'milestoneId')}
      options=${options} value=${milestone} onChange=${setMilestone} />
  <//>`;
}

/** @param {Props & { agent: Agent }} props */
export function UnassignDialog(props) {
  const { projectId, agent, onClose } = props;
  const agentId = agent.agent.id;
  const [milestone, setMilestone] = useState('');
  const change = useChange(
    props,
    async () => {
      const input = { projectId, agentId, milestoneId: milestone || null };
      return (await send(UnassignAgent, { input })).unassignVaultAgent?.userErrors;
    },
    () => t.agentUnassigned(agentId),
  );
  const options =
    [['', t.unassignAll], ...agent.milestones.map(({ id }) => [id, text.entries.milestone(id)])];
  return html`<${Confirm} title=${t.unassignTitle(agentId)} action=${t.unassign} kind="danger"
    busy=${change.busy}
    onConfirm=${change.run} onClose=${onClose}>
    <${SelectField} label=${t.unassignFrom} options=${options} value=${milestone} onChange=${setMilestone} />
    <p>${t.unassignBody}</p>
    <${Problems} change=${change} />
  <//>`;
}

/** @param {Props & { data: PeopleVault }} props */
export function RuleDialog(props) {
  const { projectId, data, onClose } = props;
  const [environmentNames, setRule] = useState(data.environmentNames);
  const [names, setNames] = useState((data.approvedNames ?? []).join('\n'));
  const change = useChange(
    props,
    async () => {
      const input = { projectId, environmentNames, approvedNames: names.split(/[\s,]+/).filter(Boolean) };
      return (await send(SetEnvironmentNames, { input })).setVaultEnvironmentNames?.userErrors;
    },
    () => t.saved,
  );
  const rules = /** @type {T.VaultEnvironmentNames[]} */ (Object.keys(t.rules));
  return html`<${FormDialog} title=${t.sessions} action=${text.save} change=${change}
    fields=${['approvedNames']}
    onClose=${onClose}>
    <fieldset class="stack tight"><legend>${t.rule}</legend>
      ${rules.map((rule) => html`<label class="check" key=${rule}>
        <input type="radio" name="rule" checked=${rule === environmentNames} onChange=${() => setRule(rule)}
          />
        ${t.rules[rule]}
      </label>`)}
    </fieldset>
    <${TextField} label=${t.approved} optional hint=${t.approvedHint}
      errors=${errorsOf(change.errors, 'approvedNames')}
      class="mono" rows="5" value=${names} onChange=${setNames} />
  <//>`;
}
