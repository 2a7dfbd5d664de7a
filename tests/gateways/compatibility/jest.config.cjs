const { dirname, join } = require('node:path');

const suite = dirname(require.resolve('@apollo/federation-subgraph-compatibility-tests/package.json'));

module.exports = {
  rootDir: join(suite, 'dist/tests'),
  testEnvironment: 'node',
  transform: {},
  // The suite lies in node_modules, where jest would look for no tests.
  testPathIgnorePatterns: [],
  haste: { retainAllFiles: true },
  moduleNameMapper: { '^make-fetch-happen$': join(__dirname, 'fetch.cjs') },
};
