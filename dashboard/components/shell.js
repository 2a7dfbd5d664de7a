/**
 * @import { Session } from '../session.js'
 * @import { ComponentChildren } from '../vendor/preact.js'
 */
import { html } from '../html.js';
import { setTheme, theme } from '../preferences.js';
import { go, href } from '../router.js';
import { signOut } from '../session.js';
import { onKeys } from '../shortcuts.js';
import { signOutAtProvider } from '../signin.js';
import { text } from '../text.js';
import { useEffect, useLayoutEffect, useRef, useState } from '../vendor/hooks.js';
import { Icon } from './icon.js';
import { tell } from './toast.js';
import { IconButton } from './ui.js';

const NEXT = /** @type {const} */ ({ system: 'light', light: 'dark', dark: 'system' });
const ICONS = /** @type {const} */ ({ system: 'system', light: 'sun', dark: 'moon' });

function ThemeToggle() {
  const [now, setNow] = useState(theme);
  const change = () => {
    setTheme(NEXT[now]);
    setNow(NEXT[now]);
  };
  return html`<${IconButton} icon=${ICONS[now]} label=${text.nav.themes[now]} onClick=${change} />`;
}

/**
 * The frame of every view.
 * @param {{ session: Session | null, path: string[], children: ComponentChildren }} props
 */
export function Shell({ session, path, children }) {
  useLayoutEffect(() => onKeys('g p', () => go(href([]))), []);
  const project = path[0] === 'p' ? path[1] : undefined;
  const leave = () => {
    signOut();
    void signOutAtProvider();
    tell(text.session.signedOut);
  };
  return html`
    <a class="skip" href="#content" onClick=${skip}>${text.skip}</a>
    <header class="topbar">
      <nav class="crumbs" aria-label=${text.nav.crumbs}>
        <a class="brand" href=${href([])} aria-label=${text.product}><span class="logo"><${Icon} name="vault"
          /></span><span class="brand-name">${text.product}</span></a>
        ${session && project !== undefined && html`<span class="crumb-line" aria-hidden="true">/</span>
          <a class="crumb" href=${href(['p', project])}>${project}</a>`}
      </nav>
      <div class="topbar-end">
        ${session
          && html`<${IconButton} icon="keyboard" label=${text.nav.shortcuts}
            onClick=${() => dispatchEvent(new Event('show-shortcuts'))} />`}
        <${ThemeToggle} />
        ${session && html`<span class="who" title=${text.session.signedIn(session.person)}>
            <${Icon} name="person" /><span class="visually-hidden">${text.session.signedIn('')}</span><span
              class="who-name">${session.person}</span></span>
          <${IconButton} icon="out" label=${text.session.signOut} onClick=${leave} />`}
      </div>
    </header>
    <main id="content" tabindex="-1">${children}</main>
  `;
}

/** The address is a route, so the link must not change it. @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById('content')?.focus();
}

/**
 * Links between the pages of one level.
 * @param {{ label: string, items: { href: string, name: string, current: boolean }[] }} props
 */
export function Tabs({ label, items }) {
  const nav = useRef(/** @type {HTMLElement | null} */ (null));
  const current = items.find((item) => item.current)?.href;
  useEffect(() => {
    // On a narrow screen the tab may be beyond the edge.
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [current]);
  return html`<nav class="tabs" aria-label=${label} ref=${nav}>
    <ul>${items.map(({ href, name, current }) =>
      html`<li key=${href}><a href=${href}
        aria-current=${current ? 'page' : undefined}>${name}</a></li>`)}</ul>
  </nav>`;
}
