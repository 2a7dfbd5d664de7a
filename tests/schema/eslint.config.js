// The rules for schema.graphql: the recommended ones, Relay's for lists, and that everything is described.
import { fileURLToPath } from 'node:url';
import graphql from '@graphql-eslint/eslint-plugin';

const { configs, parser, rules } = graphql;
const schema = fileURLToPath(new URL('../../schema.graphql', import.meta.url));

export default [{
  files: ['**/*.graphql'],
  languageOptions: { parser, parserOptions: { graphQLConfig: { schema } } },
  plugins: { '@graphql-eslint': { rules } },
  rules: {
    ...configs['flat/schema-recommended'].rules,
    ...configs['flat/schema-relay'].rules,
    // Lists go forward only.
    '@graphql-eslint/relay-arguments': ['error', { includeBoth: false }],
    // A node is an entity of federation, which has no Node interface; and connections have `nodes` beside their edges.
    '@graphql-eslint/relay-edge-types': ['error', { shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false, withEdgeSuffix: true }],
    // Payloads, counts and the like are no entities.
    '@graphql-eslint/strict-id-in-types': 'off',
    // GraphQL itself defines @include and @skip.
    '@graphql-eslint/require-description': ['error', {
      types: true,
      DirectiveDefinition: true,
      EnumValueDefinition: true,
      FieldDefinition: true,
      InputValueDefinition: true,
      ignoredSelectors: ['InputValueDefinition[parent.kind=DirectiveDefinition]'],
    }],
  },
}];
