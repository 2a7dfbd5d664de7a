// The vault composes with other subgraphs, hides what is not for a supergraph, and collides with nobody's names.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { parse } from 'graphql';
import { composeApollo, composeGuild } from './compose.mjs';
import { sdl as projects } from './projects.mjs';
import { startVault } from './vault.mjs';

const GENERIC = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.5", import: ["@key"])
  type Query { project(id: ID!): Project entries: [Entry!]! auditEvents: [AuditEvent!]! viewer: Viewer }
  type Mutation { createEntry(name: String!): Entry deleteProject(id: ID!): ID assignRole(role: Role!): ID registerAgent(id: ID!): ID }
  type Project @key(fields: "id") { id: ID! status: ProjectStatus }
  type Entry { id: ID! status: EntryStatus category: Category scope: Scope }
  type AuditEvent { id: ID! action: AuditAction outcome: AuditOutcome }
  type Viewer { role: Role }
  type UserError { code: UserErrorCode message: String }
  enum ProjectStatus { OPEN DONE } enum EntryStatus { GOOD } enum Category { A } enum Scope { B } enum SortDirection { UP DOWN }
  enum AuditAction { X } enum AuditOutcome { Y } enum Role { OWNER } enum UserErrorCode { Z }
  input EntryFilter { name: String } input EntryOrder { direction: SortDirection }
`;

let vault, subgraphs;
before(async () => {
  vault = await startVault();
  subgraphs = [
    { name: 'projects', url: 'http://projects', sdl: projects },
    { name: 'vault', url: 'http://vault', sdl: await vault.sdl() },
  ];
});
after(() => vault?.stop());

test('it composes without an error, and without a hint about it', () => {
  const { errors, hints } = composeApollo(subgraphs);
  assert.deepEqual({ errors, hints }, { errors: [], hints: [] });
  assert.deepEqual(composeGuild(subgraphs).errors, []);
});

test('its names collide with no generic ones', () => {
  const all = [...subgraphs.slice(1), { name: 'generic', url: 'http://generic', sdl: GENERIC }];
  const { errors, hints } = composeApollo(all);
  assert.deepEqual({ errors, hints: hints.filter((hint) => hint.includes('ault')) }, { errors: [], hints: [] });
  assert.deepEqual(composeGuild(all).errors, []);
});

test('what is inaccessible is not in the API schema, and all else is', async () => {
  const { Supergraph } = await import('@apollo/federation-internals');
  const api = Supergraph.build(composeApollo(subgraphs).supergraphSdl).apiSchema().toGraphQLJSSchema();
  const isHidden = ({ directives }) => directives.some(({ name }) => name.value === 'inaccessible');
  const kinds = ['ObjectTypeDefinition', 'InputObjectTypeDefinition', 'EnumTypeDefinition'];
  let hidden = 0;
  for (const type of parse(await vault.sdl()).definitions.filter(({ kind }) => kinds.includes(kind))) {
    const known = api.getType(type.name.value);
    assert.equal(known === undefined, isHidden(type), type.name.value);
    hidden += isHidden(type);
    for (const field of known ? type.fields ?? [] : []) {
      assert.equal(known.getFields()[field.name.value] === undefined, isHidden(field), `${type.name.value}.${field.name.value}`);
      hidden += isHidden(field);
    }
  }
  assert.ok(hidden >= 25, `${hidden}`);
});
