// Stands in for the suite's `make-fetch-happen`: its router is at a fixed port there and at a free one here, and the subgraph
// under test wants a token.
const { ROUTER_URL, PRODUCTS_URL, PRODUCTS_TOKEN } = process.env;

module.exports = (url, options) => {
  if (url === 'http://localhost:4000/') return fetch(ROUTER_URL, options);
  if (url !== PRODUCTS_URL) throw new Error(`the suite asks ${url}`);
  return fetch(url, { ...options, headers: { ...options.headers, authorization: `Bearer ${PRODUCTS_TOKEN}` } });
};
