/** @import * as T from '../types/graphql' */
import { operation } from '../api.js';

/** @type {T.Operation<T.PreviewImportMutation, T.PreviewImportMutationVariables>} */
export const PreviewImport = operation(/* GraphQL */ `
  mutation PreviewImport($input: ImportVaultEntriesInput!) {
    previewVaultImport(input: $input) {
      lines { line name change message entry { id version status } }
      userErrors { code field message }
    }
  }
`);

/** @type {T.Operation<T.ImportMutation, T.ImportMutationVariables>} */
export const Import = operation(/* GraphQL */ `
  mutation Import($input: ImportVaultEntriesInput!) {
    importVaultEntries(input: $input) {
      created { id }
      rotated { id }
      skipped
      userErrors { code field message }
    }
  }
`);
