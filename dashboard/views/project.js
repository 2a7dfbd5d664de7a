/** @import * as T from '../types/graphql' */
import { Loaded } from '../components/failure.js';
import { lazy } from '../components/lazy.js';
import { Tabs } from '../components/shell.js';
import { Skeleton } from '../components/ui.js';
import { useQuery } from '../hooks.js';
import { html } from '../html.js';
import { Project } from '../operations/projects.js';
import { go, href } from '../router.js';
import { onKeys } from '../shortcuts.js';
import { text } from '../text.js';
import { useEffect } from '../vendor/hooks.js';
import { EntriesView } from './entries.js';
import { NotFound } from './notfound.js';

const ProjectAuditView = lazy(async () => (await import('./audit.js')).ProjectAuditView);
const CreateView = lazy(async () => (await import('./create.js')).CreateView);
const EntryView = lazy(async () => (await import('./entry.js')).EntryView);
const ImportView = lazy(async () => (await import('./import.js')).ImportView);
const MilestonesView = lazy(async () => (await import('./milestones.js')).MilestonesView);
const PeopleView = lazy(async () => (await import('./people.js')).PeopleView);
const PreviewView = lazy(async () => (await import('./preview.js')).PreviewView);

/**
 * @typedef {NonNullable<T.ProjectQuery['projectVault']>} ProjectVault what every page of a project knows of
 *   it
 */

/** @param {{ projectId: string, path: string[], viewer: T.ViewerFragment }} props */
function ProjectTabs({ projectId, path, viewer }) {
  const [page] = path;
  /** @type {[string | undefined, string, boolean][]} */
  const pages = [
    [undefined, text.nav.entries, true],
    ['milestones', text.nav.milestones, true],
    ['people', text.nav.people, true],
    ['preview', text.nav.preview, viewer.canWrite],
    ['audit', text.nav.audit, viewer.canAudit],
  ];
  const entries = page === undefined || page === 'e' || page === 'new' || page === 'import';
  const items = pages
    .filter(([, , offered]) => offered)
    .map(([key, name]) => ({
      href: href(key ? ['p', projectId, key] : ['p', projectId]),
      name,
      current: key ? key === page : entries,
    }));
  useEffect(() => {
    const removers = [
      onKeys('g e', () => go(href(['p', projectId]))),
      onKeys('g m', () => go(href(['p', projectId, 'milestones']))),
      onKeys('g a', () => viewer.canAudit && go(href(['p', projectId, 'audit']))),
    ];
    return () => removers.forEach((remove) => remove());
  }, [projectId, viewer.canAudit]);
  return html`<${Tabs} label=${text.nav.project} items=${items} />`;
}

/** @param {{ path: string[], vault: ProjectVault }} props */
function Page({ path, vault }) {
  const [page, id] = path;
  const { viewer } = vault;
  if (page === undefined) return html`<${EntriesView} vault=${vault} />`;
  if (page === 'e' && id !== undefined) return html`<${EntryView} key=${id} vault=${vault} id=${id} />`;
  if (page === 'new' && viewer.canWrite) return html`<${CreateView} vault=${vault} />`;
  if (page === 'import' && viewer.canWrite) return html`<${ImportView} vault=${vault} />`;
  if (page === 'milestones') return html`<${MilestonesView} vault=${vault} />`;
  if (page === 'people') return html`<${PeopleView} vault=${vault} />`;
  if (page === 'preview' && viewer.canWrite) return html`<${PreviewView} vault=${vault} />`;
  if (page === 'audit' && viewer.canAudit) return html`<${ProjectAuditView} vault=${vault} />`;
  return html`<${NotFound} />`;
}

/** @param {{ projectId: string, path: string[] }} props */
export function ProjectView({ projectId, path }) {
  const query = useQuery(Project, { projectId });
  const skeleton = html`<div class="tabs-skeleton"></div><${Skeleton} rows=${8} />`;
  const page = html`<${Loaded} query=${query} skeleton=${skeleton}>
    ${(/** @type {T.ProjectQuery} */ { projectVault: vault }) => {
      if (!vault) return html`<${NotFound} />`;
      return html`<${ProjectTabs} projectId=${projectId} path=${path} viewer=${vault.viewer} /><${Page}
        path=${path} vault=${vault} />`;
    }}
  <//>`;
  return query.data || !query.error ? page
    : html`<div class="alone"><h1 id="title" tabindex="-1"
      class="visually-hidden">${projectId}</h1>${page}</div>`;
}
