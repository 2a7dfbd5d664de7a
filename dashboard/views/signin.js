import { errorsOf, SecretField, wipe } from '../components/field.js';
import { Button, Notice } from '../components/ui.js';
import { Icon } from '../components/icon.js';
import { config } from '../config.js';
import { useTitle } from '../hooks.js';
import { html } from '../html.js';
import { signInAs, signInWithProvider, signInWithToken } from '../signin.js';
import { text } from '../text.js';
import { useRef, useState } from '../vendor/hooks.js';

const t = text.session;

/** @param {{ open: boolean }} props `open`: it is the only way to sign in */
function TokenForm({ open }) {
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const [problem, setProblem] = useState('');
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const token = field.current?.value.trim() ?? '';
    if (!token) return setProblem(t.tokenMissing);
    try {
      signInWithToken(token);
      wipe(field);
    } catch {
      setProblem(t.tokenInvalid);
    }
  };
  const errors = problem ? [{ code: 'INVALID_INPUT', field: ['token'], message: problem }] : [];
  const form = html`<form onSubmit=${submit} class="stack" novalidate>
    <${SecretField} label=${t.token} hint=${t.tokenHint} field=${field} errors=${errorsOf(errors, 'token')}
      rows=${3} />
    <div><${Button} type="submit" kind=${open ? 'primary' : undefined}>${t.submit}<//></div>
  </form>`;
  return open ? form : html`<details class="more"><summary>${t.useToken}</summary>${form}</details>`;
}

/**
 * The ways to sign in here.
 * @param {{ person?: string }} props `person`: whose session has ended, in a page that stays as it is
 */
export function SignInForm({ person }) {
  const { signIn } = config();
  const [busy, setBusy] = useState('');
  const [problem, setProblem] = useState('');
  /** @param {string} who @param {() => Promise<void>} how */
  const attempt = async (who, how) => {
    setBusy(who);
    setProblem('');
    try {
      await how();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
    setBusy('');
  };
  const failure =
    problem && html`<${Notice} tone="bad" alert
      title=${t.failed}>${t.failedHint} <code>${problem}</code><//>`;
  if (signIn.kind === 'token') return html`<${TokenForm} open />`;
  if (signIn.kind === 'oidc') {
    const { host } = new URL(signIn.issuer);
    const popup = person !== undefined;
    // A pop-up that was closed says nothing, so the button stays usable.
    const busyNow = busy !== '' && !popup;
    return html`${failure}
      <${Button} kind="primary" busy=${busyNow}
        onClick=${() => attempt(host, () => signInWithProvider(popup))}>${t.oidc(host)}<//>
      <${TokenForm} open=${false} />`;
  }
  // The person whose session ended comes first.
  const people = [...signIn.people].sort((a, b) => Number(b.id === person) - Number(a.id === person));
  return html`${failure}
    <ul class="people-list" aria-label=${t.people}>
      ${people.map(({ id, about }) => html`<li key=${id}>
        <button type="button" class="person" disabled=${busy !== ''}
          onClick=${() => attempt(id, () => signInAs(id))}>
          <span class="avatar" aria-hidden="true">${id.slice(0, 1).toUpperCase()}</span>
          <span class="person-text"><strong>${id === person ? t.as(id) : id}</strong><span
            class="faint">${about}</span></span>
          <${Icon} name="right" />
        </button>
      </li>`)}
    </ul>
    <${TokenForm} open=${false} />`;
}

export function SignInView() {
  useTitle(t.title);
  const people = config().signIn.kind === 'people';
  return html`<div class="signin">
    <div class="signin-head"><span class="logo large"><${Icon} name="vault" size=${24} /></span>
      <h1 id="title" tabindex="-1">${t.title}</h1>
      <p class="about">${people ? t.peopleHint : t.intro}</p></div>
    <div class="card"><${SignInForm} /></div>
    <p class="faint small">${text.product} ${config().version}</p>
  </div>`;
}
