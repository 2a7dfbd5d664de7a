# What surrounds the vault in compose.yaml: Hive's gateway, the subgraph of projects, and a stand-in for an identity provider. The
# same files and versions as in the tests, under /app as they are under tests/gateways.
FROM node:22-trixie-slim
WORKDIR /app
COPY tests/gateways/package.json tests/gateways/package-lock.json ./
RUN npm ci --ignore-scripts --no-fund --no-audit \
  && install -d -o node -g node /issuer /supergraph
COPY tests/gateways/*.mjs tests/gateways/projects.graphql ./
COPY tests/gateways/stack ./stack
USER node
ENV PATH=/app/node_modules/.bin:$PATH
