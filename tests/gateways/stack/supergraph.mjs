// Composes the supergraph of SUBGRAPHS (NAME=URL, by spaces) from what they answer to `_service`, into the file that is named.
import { writeFileSync } from 'node:fs';
import { composeGuild } from '../compose.mjs';

const query = '{ _service { sdl } }';
const subgraphs = await Promise.all(process.env.SUBGRAPHS.split(' ').map(async (named) => {
  const [name, url] = named.split(/=(.*)/);
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }) });
  return { name, url, sdl: (await response.json()).data._service.sdl };
}));
const { supergraphSdl, errors } = composeGuild(subgraphs);
if (errors.length) throw new Error(errors.join('\n'));
writeFileSync(process.argv[2], supergraphSdl);
