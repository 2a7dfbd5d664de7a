import { Dialogs } from './components/dialogs.js';
import { lazy } from './components/lazy.js';
import { Shell } from './components/shell.js';
import { Toasts } from './components/toast.js';
import { Failure } from './components/failure.js';
import { loadConfig } from './config.js';
import { asApiError, useRoute, useSession } from './hooks.js';
import { html } from './html.js';
import { applyTheme, theme } from './preferences.js';
import { startRouter } from './router.js';
import { finishSignIn } from './signin.js';
import { text } from './text.js';
import { useEffect, useErrorBoundary, useRef } from './vendor/hooks.js';
import { render } from './vendor/preact.js';
import { ProjectView } from './views/project.js';
import { SignInView } from './views/signin.js';
import { Projects } from './views/projects.js';
import { NotFound } from './views/notfound.js';

const InstallationView = lazy(async () => (await import('./views/installation.js')).InstallationView);
const InstallationAuditView = lazy(async () => (await import('./views/audit.js')).InstallationAuditView);
const ReceiptView = lazy(async () => (await import('./views/receipt.js')).ReceiptView);

/** @param {{ path: string[] }} props */
function View({ path }) {
  // A fault in one view leaves the frame, and the other views, as they are.
  const [fault, recover] = useErrorBoundary((error) => console.error(error));
  if (fault) return html`<div class="alone"><${Failure} error=${asApiError(fault)} retry=${recover} /></div>`;
  const [first, second] = path;
  if (first === undefined) return html`<${Projects} />`;
  if (first === 'p'
    && second !== undefined) return html`<${ProjectView} key=${second} projectId=${second}
      path=${path.slice(2)} />`;
  if (first === 'audit') return html`<${InstallationAuditView} />`;
  if (first === 'receipt') return html`<${ReceiptView} />`;
  if (first === 'operation') return html`<${InstallationView} />`;
  return html`<${NotFound} />`;
}

function App() {
  const route = useRoute();
  const { session, expired } = useSession();
  const address = route.path.join('/');
  const drawn = useRef(address);
  useEffect(() => {
    if (drawn.current === address) return;
    drawn.current = address;
    // The next view's heading, so that a screen reader goes on there.
    document.getElementById('title')?.focus({ preventScroll: true });
  }, [address]);
  // Another person gets fresh views: nothing of the last one's stays.
  return html`
    <${Shell} key=${session?.person ?? ''} session=${session} path=${route.path}>
      ${session ? html`<${View} key=${route.path[0]} path=${route.path} />` : html`<${SignInView} />`}
    <//>
    <${Dialogs} session=${session} expired=${expired} />
    <${Toasts} />
  `;
}

async function start() {
  const root = document.getElementById('app');
  if (!root) return;
  applyTheme(theme());
  try {
    await loadConfig();
    if (await finishSignIn()) return;
  } catch (error) {
    console.error(error);
    const failure =
      html`<${Failure} error=${asApiError(error)} title=${text.error.config} retry=${() => location.reload()}
        />`;
    render(html`<${Shell} session=${null} path=${[]}>${failure}<//>`, root);
    return;
  }
  startRouter();
  root.replaceChildren();
  render(html`<${App} />`, root);
}

void start();
