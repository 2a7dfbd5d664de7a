/**
 * @import * as T from '../types/graphql'
 * @import { Column } from '../components/table.js'
 */
import { Failure } from '../components/failure.js';
import { Table } from '../components/table.js';
import { Badge, Button, Empty, Notice, PageHead, Section, Skeleton, Time } from '../components/ui.js';
import { useQuery, useTitle } from '../hooks.js';
import { html } from '../html.js';
import { Installation } from '../operations/audit.js';
import { text } from '../text.js';
import { useState } from '../vendor/hooks.js';
import { TopTabs } from './projects.js';

const t = text.installation;

/**
 * @typedef {NonNullable<T.InstallationQuery['vaultInstallation']>} State
 * @typedef {State['keys'][number]} KeyCount
 * @typedef {State['heads'][number]} Head
 */

/** @param {{ state: State }} props */
function Tiles({ state }) {
  const { parts, accessChangesSetAside: aside, lastVerifiedAt, lastVerifiedIntact: intact } = state;
  return html`<div class="tiles">
    <section class="card tile" aria-labelledby="health"><h2 id="health">${t.health}</h2>
      <ul>${parts.map(({ name, ready }) =>
        html`<li key=${name}>${t.parts[name] ?? name} <${Badge}
          tone=${ready ? 'good' : 'bad'}>${ready ? t.ready : t.notReady}<//></li>`)}</ul>
    </section>
    <section class="card tile" aria-labelledby="verified"><h2 id="verified">${t.verified}</h2>
      <p class="tile-value">${lastVerifiedAt
        ? html`<${Time} at=${lastVerifiedAt} /> <${Badge}
          tone=${intact ? 'good' : 'bad'}>${intact ? t.intact : t.broken}<//>`
        : html`<${Badge} tone="warn">${t.neverVerified}<//>`}</p>
      ${!lastVerifiedAt && html`<p class="hint">${t.neverVerifiedHint}</p>`}
    </section>
    <section class="card tile" aria-labelledby="aside"><h2 id="aside">${t.setAside}</h2>
      <p class="tile-value">${aside}</p><p class="hint">${aside ? t.setAsideSome : t.setAsideNone}</p>
    </section>
    <section class="card tile" aria-labelledby="version"><h2 id="version">${t.version}</h2><p
      class="tile-value">${state.version}</p></section>
  </div>`;
}

/** @param {string} word "ENCRYPTING" or "encrypting" as a word in a table */
const word = (word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase().replaceAll('_', ' ');

/** How many heads are shown at first. */
const HEADS = 10;

/** @param {{ heads: Head[] }} props */
function Heads({ heads }) {
  const [all, setAll] = useState(false);
  if (heads.length === 0) return html`<p class="none">${t.noHeads}</p>`;
  /** @type {Column<Head>[]} */
  const columns = [
    { label: t.headColumns.chain, wide: true,
      cell: ({ chainId }) => html`<span class="mono">${chainId}</span>` },
    { label: t.headColumns.seq, cell: ({ seq }) => html`<span class="mono">${seq}</span>` },
    { label: t.headColumns.signed, cell: ({ signedAt }) => html`<${Time} at=${signedAt} />` },
  ];
  const rows = all ? heads : heads.slice(0, HEADS);
  return html`<${Table} caption=${t.heads} rows=${rows} columns=${columns} />
    ${rows.length < heads.length
      && html`<div class="after"><${Button}
        onClick=${() => setAll(true)}>${t.allHeads(heads.length)}<//></div>`}`;
}

/** @type {Column<KeyCount>[]} */
const KEYS = [
  { label: t.keyColumns.kind, cell: ({ kind }) => html`<strong>${t.kinds[kind]}</strong>` },
  { label: t.keyColumns.state, wide: true, cell: ({ state }) => word(state) },
  { label: t.keyColumns.count, cell: ({ count }) => count },
];

/** @param {{ state: State }} props */
function InstallationState({ state }) {
  return html`
    ${state.lastVerifiedIntact === false
      && html`<${Notice} tone="bad" alert title=${`${t.verified}: ${t.broken}`}>${t.brokenHint}<//>`}
    <${Tiles} state=${state} />
    <${Section} id="keys" title=${t.keys} about=${t.keysAbout}>
      <${Table} caption=${t.keys} rows=${state.keys} columns=${KEYS} />
    <//>
    <${Section} id="heads" title=${t.heads} about=${t.headsAbout}>
      <${Heads} heads=${state.heads} />
    <//>
  `;
}

export function InstallationView() {
  useTitle(t.title);
  const query = useQuery(Installation, {});
  const state = query.data?.vaultInstallation;
  const forbidden = query.error?.code === 'FORBIDDEN';
  return html`
    <${TopTabs} current="operation" auditor />
    <${PageHead} title=${t.title} about=${t.about} />
    ${query.slow && html`<p class="slow" role="status">${text.slow}</p>`}
    ${forbidden ? html`<${Empty} icon="shield" title=${t.forbidden}>${t.forbiddenBody}<//>`
      : html`<${Failure} error=${query.error} retry=${query.reload} />`}
    ${!state && !query.error && html`<${Skeleton} />`}
    ${state && html`<${InstallationState} state=${state} />`}
  `;
}
