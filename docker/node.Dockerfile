# The vault's neighbours in compose.yaml: Hive's gateway, the subgraph of projects, and a stand-in for
# an identity provider. The files and versions are those of tests/gateways, under /app.
FROM node:22-trixie-slim
WORKDIR /app
COPY tests/gateways/package.json tests/gateways/package-lock.json ./
RUN npm ci --ignore-scripts --no-fund --no-audit \
  && install -d -o node -g node /issuer /supergraph
COPY tests/gateways/*.mjs tests/gateways/projects.graphql ./
COPY tests/gateways/stack ./stack
USER node
ENV PATH=/app/node_modules/.bin:$PATH
