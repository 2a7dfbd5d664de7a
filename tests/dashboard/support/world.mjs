// A running vault, with what tests make in it over its API.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { ask } from '../../gateways/vault.mjs';
import { withPage } from './browser.mjs';

const DAY = 86_400_000;
const ROLES = { bob: 'RESPONSIBLE', carol: 'CONSULTED', dave: 'INFORMED' };

/** An instant some days from now, as the API takes it. */
export const inDays = (days) => new Date(Date.now() + days * DAY).toISOString();

/** Something that is nowhere else. */
export const unique = (prefix) => `${prefix}${randomBytes(6).toString('hex')}`;

export class World {
  #tokens = new Map();
  #parts;
  /** Origins besides its own that its page may ask. */
  origins = [];

  constructor(parts) {
    this.#parts = parts;
    this.shape = parts.shape;
    this.origin = parts.origin;
  }

  stop() {
    return this.#parts.stop();
  }

  /** Its schema, as gateways compose it. */
  async sdl() {
    return (await this.#parts.command('schema')).stdout;
  }

  /** A token of `kind:id`; one that has no special wish is made once. */
  async token(whose, wishes) {
    if (wishes) return this.#parts.token(whose, wishes);
    if (!this.#tokens.has(whose)) this.#tokens.set(whose, this.#parts.token(whose));
    return this.#tokens.get(whose);
  }

  /** Asks the vault itself; gives the whole body. */
  async ask(whose, query, variables) {
    return (await ask(`${this.origin}/graphql`, query, { token: await this.token(whose), variables })).body;
  }

  /** Asks, and fails on errors and on refusals; gives the data. */
  async do(whose, query, variables) {
    const { data, errors } = await this.ask(whose, query, variables);
    assert.equal(errors, undefined, JSON.stringify(errors));
    for (const payload of Object.values(data))
      assert.deepEqual(payload?.userErrors ?? [], [], JSON.stringify(payload));
    return data;
  }

  /** Registers the agents and their runtime, once. */
  async prepare() {
    await this.do(
      'service:platform',
      `mutation {
      a: registerVaultAgent(input: { agentId: "builder", organizationId: "acme" }) { userErrors { message } }
      b: registerVaultAgent(input: { agentId: "deployer", organizationId: "globex" }) {
        userErrors { message } }
      c: registerVaultRuntime(input: { runtimeId: "acme-runtime", organizationId: "acme" }) {
        userErrors { message } } }`,
    );
    return this;
  }

  /**
   * A project of its own, with a person in every role, the agent builder on it, deployer on its open
   * milestone, and these entries: `name: value`, or `name: { value, category, … }`. Gives its id,
   * `milestone(name)`, and `entries` by name.
   */
  async project({ id = unique('p-'), entries = {}, milestones = {} } = {}) {
    const phases = { launch: {}, ...milestones };
    const milestone = (name) => `${id}-${name}`;
    await this.do(
      'service:platform',
      `mutation($project: RegisterProjectVaultInput!) {
      registerProjectVault(input: $project) { userErrors { message } } }`,
      { project: { projectId: id, participantIds: ['acme', 'globex'], accountableUserIds: ['alice'] } },
    );
    for (const [name, phase] of Object.entries(phases)) {
      await this.do(
        'service:platform',
        `mutation($input: PutVaultMilestoneInput!) {
          putVaultMilestone(input: $input) { userErrors { message } } }`,
        { input: { id: milestone(name), projectId: id, ...phase } },
      );
    }
    const roles = Object.entries(ROLES).map(
      ([
        userId,
        role,
      ]) => `${userId}: assignVaultRole(input: { projectId: "${id}", userId: "${userId}", role: ${role} }) {
      userErrors { message } }`,
    );
    await this.do(
      'user:alice',
      `mutation { ${roles.join(' ')}
      builder: assignVaultAgent(input: { projectId: "${id}", agentId: "builder" }) { userErrors { message } }
      deployer: assignVaultAgent(input: {
        projectId: "${id}", agentId: "deployer", milestoneId: "${milestone('launch')}" }) {
        userErrors { message } } }`,
    );
    const made = {};
    for (const [name, what] of Object.entries(entries)) {
      const { milestone: on, ...more } = typeof what === 'string' ? { value: what } : what;
      made[name] = await this.create('user:alice', {
        projectId: id,
        name,
        category: 'API_KEY',
        ...(on && { milestoneId: milestone(on) }),
        ...more,
      });
    }
    return { id, milestone, entries: made };
  }

  /** Creates an entry; gives its id, version and revision. */
  async create(whose, input) {
    const { createVaultEntry } = await this.do(
      whose,
      `mutation($input: CreateVaultEntryInput!) {
      createVaultEntry(input: $input) { entry { id version revision } userErrors { code field message } } }`,
      { input },
    );
    return createVaultEntry.entry;
  }

  /** Makes a change by `name`, such as `updateVaultEntry`: with an input, of `type`, or an entry's id. */
  async change(whose, name, input, type = `${name[0].toUpperCase()}${name.slice(1)}Input`) {
    const data =
      typeof input === 'string'
        ? await this.do(
            whose,
            `mutation($id: ID!) { ${name}(id: $id) { userErrors { code field message } } }`,
            { id: input },
          )
        : await this.do(
            whose,
            `mutation($input: ${type}!) { ${name}(input: $input) { userErrors { code field message } } }`,
            { input },
          );
    return data[name];
  }

  /** What an entry is now, as alice sees it. */
  async entry(id, fields = 'name status version revision description maskedValue') {
    return (await this.do('user:alice', `query($id: ID!) { vaultEntry(id: $id) { ${fields} } }`, { id }))
      .vaultEntry;
  }

  /** A runtime's receipt for values that it resolved for builder. */
  async resolve(projectId, names) {
    const token = await this.token('runtime:acme-runtime');
    const query = `query($input: ResolveSecretsInput!) {
      resolveSecrets(input: $input) { receipt secrets { name outcome } } }`;
    const { body } = await ask(`${this.origin}/graphql`, query, {
      token,
      variables: { input: { projectId, agentId: 'builder', names, purpose: 'CODING_SESSION' } },
    });
    assert.equal(body.errors, undefined, JSON.stringify(body.errors));
    return body.data.resolveSecrets;
  }

  /** Runs `use(page)` on a page of this vault; see `withPage`. */
  page(browser, options, use) {
    const { as, at = '#/', ...more } = options;
    return withPage(
      browser,
      { ...more, origins: [this.origin, ...this.origins, ...(more.origins ?? [])] },
      async (page, window) => {
        await page.goto(`${this.origin}/${at}`);
        if (as) await this.signIn(page, as);
        return use(page, window);
      },
    );
  }

  /** Signs in on the page that asks for it, and waits until the view is there. */
  async signIn(page, person) {
    await this.#parts.signIn(page, person, this);
    // On narrow screens the name is not shown.
    await page.getByTitle(`Signed in as ${person}`).waitFor({ state: 'attached' });
  }
}
