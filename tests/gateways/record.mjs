// Stands between a gateway and the vault, and keeps what the gateway asks.
import { createServer } from 'node:http';

/** Passes requests on to `target`; `asked` holds their documents and headers. */
export async function startRecorder(target) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    asked.push({ query: JSON.parse(body).query, headers: request.headers });
    const { host, connection, 'content-length': length, ...headers } = request.headers;
    const answer = await fetch(target, { method: request.method, headers, body });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') });
    response.end(await answer.text());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/graphql`,
    asked,
    stop: () => new Promise((resolve) => {
      // Once it is closed, closing it again is an error, and as good.
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
