/** @import { Session } from '../session.js' */
import { useEvent } from '../hooks.js';
import { html } from '../html.js';
import { setShortcuts, shortcutsOn } from '../preferences.js';
import { setLeaveDialog } from '../router.js';
import { onKeys } from '../shortcuts.js';
import { signOut } from '../session.js';
import { text } from '../text.js';
import { useEffect, useLayoutEffect, useState } from '../vendor/hooks.js';
import { SignInForm } from '../views/signin.js';
import { Confirm, Dialog } from './dialog.js';
import { Button } from './ui.js';

/** @param {{ onClose: () => void }} props */
function Shortcuts({ onClose }) {
  const [on, setOn] = useState(shortcutsOn);
  const change = () => {
    setShortcuts(!on);
    setOn(!on);
  };
  return html`<${Dialog} title=${text.shortcuts.title} onClose=${onClose}>
    <label class="check"><input type="checkbox" checked=${on} onChange=${change}
      /> ${text.shortcuts.enabled}</label>
    <dl class="shortcuts">
      ${text.shortcuts.keys.map(([keys, does]) => html`<div key=${keys}>
        <dt>${keys.split(' ').map((key, index) =>
          html`${index > 0
            && html` <span class="faint">${text.shortcuts.then}</span> `}<kbd>${key}</kbd>`)}</dt>
        <dd>${does}</dd>
      </div>`)}
    </dl>
  <//>`;
}

/** The dialogs that any view may need. @param {{ session: Session | null, expired: boolean }} props */
export function Dialogs({ session, expired }) {
  const [leave, setLeave] = useState(/** @type {{ go: () => void } | null} */ (null));
  const [shortcuts, setShown] = useState(false);
  useEffect(() => setLeaveDialog((go) => setLeave({ go })), []);
  const open = useEvent(() => setShown(true));
  useLayoutEffect(() => onKeys('?', open), []);
  useEffect(() => {
    addEventListener('show-shortcuts', open);
    return () => removeEventListener('show-shortcuts', open);
  }, []);
  if (session && expired) {
    const footer = html`<${Button} onClick=${signOut}>${text.session.signOut}<//>`;
    return html`<${Dialog} title=${text.session.endedTitle} footer=${footer}>
      <p>${text.session.endedBody}</p>
      <${SignInForm} person=${session.person} />
    <//>`;
  }
  if (leave) {
    const close = () => setLeave(null);
    const go = () => {
      close();
      leave.go();
    };
    return html`<${Confirm} title=${text.leave.title} action=${text.leave.leave} kind="danger" onConfirm=${go}
      onClose=${close}>
      <p>${text.leave.body}</p>
    <//>`;
  }
  return shortcuts && html`<${Shortcuts} onClose=${() => setShown(false)} />`;
}
