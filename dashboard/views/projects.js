/** @import * as T from '../types/graphql' */
import { Failure, Loaded } from '../components/failure.js';
import { Icon } from '../components/icon.js';
import { Tabs } from '../components/shell.js';
import { Attention, ProjectStatus, RoleBadge, summaryOf } from '../components/status.js';
import { Button, Empty, LinkButton, PageHead } from '../components/ui.js';
import { useAction, useQuery, useTitle } from '../hooks.js';
import { html } from '../html.js';
import { send } from '../api.js';
import { Projects as Operation, Summary } from '../operations/projects.js';
import { href } from '../router.js';
import { text } from '../text.js';
import { useEffect, useState } from '../vendor/hooks.js';

/** @typedef {NonNullable<T.ProjectsQuery['vaultProjects']>['nodes'][number]} Project */

const t = text.projects;

/**
 * The pages about the whole installation, for auditors.
 * @param {{ current: 'projects' | 'audit' | 'operation' | 'receipt', auditor: boolean }} props
 */
export function TopTabs({ current, auditor }) {
  const items = [
    { href: href([]), name: text.nav.projects, current: current === 'projects' },
    ...(auditor
      ? [
          { href: href(['audit']), name: text.nav.audit, current: current === 'audit' },
          { href: href(['operation']), name: text.nav.installation, current: current === 'operation' },
        ]
      : []),
    { href: href(['receipt']), name: text.nav.receipt, current: current === 'receipt' },
  ];
  return html`<${Tabs} label=${text.nav.main} items=${items} />`;
}

/** @param {{ project: Project }} props */
function ProjectRow({ project }) {
  const { viewer, status } = project;
  const { id } = project.project;
  const query = useQuery(Summary, viewer.canList ? summaryOf(id, viewer) : null);
  const summary = query.data?.projectVault?.summary;
  return html`<li class="project">
    <div class="project-main">
      <a class="project-name" href=${href(['p', id])}>${id}</a>
      <span class="badges"><${ProjectStatus} status=${status} /><${RoleBadge} viewer=${viewer} /></span>
    </div>
    <div class="project-summary">
      ${summary
        && html`<span class="faint">${t.active(summary.active)}</span><${Attention} summary=${summary}
          projectId=${id} />`}
      ${!summary && viewer.canList && !query.error && html`<span class="skeleton-line" />`}
      ${query.error && html`<span class="faint">${query.error.message}</span>`}
      ${!viewer.canList && html`<span class="faint">${t.noList}</span>`}
    </div>
    <${Icon} name="right" />
  </li>`;
}

export function Projects() {
  useTitle(t.title);
  const query = useQuery(Operation, {});
  const [more, setMore] = useState(/** @type {Project[]} */ ([]));
  const [cursor, setCursor] = useState(/** @type {string | null} */ (null));
  const first = query.data?.vaultProjects;
  useEffect(() => {
    setMore([]);
    setCursor(first?.pageInfo.hasNextPage ? first.pageInfo.endCursor : null);
  }, [first]);
  const next = useAction(async () => {
    const { vaultProjects: page } = await send(Operation, { after: cursor });
    if (!page) return;
    setMore((was) => [...was, ...page.nodes]);
    setCursor(page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null);
  });
  const all = [...(first?.nodes ?? []), ...more];
  // An auditor reads what only Accountable people read otherwise.
  // Only an auditor can see more projects than one list holds.
  const auditor =
    query.error?.code === 'LIMIT_EXCEEDED'
      || all.some(({ viewer }) => viewer.canAudit && !viewer.canAdminister);
  const empty = html`<${Empty} icon="vault" title=${t.emptyTitle}
    actions=${html`<${LinkButton}
      href=${href(['operation'])}>${text.nav.installation}<//>`}>${t.empty} ${t.emptyAuditor}<//>`;
  return html`
    <${TopTabs} current="projects" auditor=${auditor} />
    <${PageHead} title=${t.title} about=${first && t.about(first.totalCount)} />
    <${Loaded} query=${query}>
      ${() => (all.length === 0 ? empty : html`<ul class="projects" aria-label=${t.title}>
        ${all.map((project) => html`<${ProjectRow} key=${project.project.id} project=${project} />`)}
      </ul>`)}
    <//>
    <${Failure} error=${next.error} retry=${next.run} />
    ${cursor && html`<div class="after"><${Button} busy=${next.busy}
      onClick=${() => next.run()}>${text.more}<//></div>`}
  `;
}
