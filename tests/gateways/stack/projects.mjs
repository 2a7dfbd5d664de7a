// The subgraph of projects as a process of its own, at the address in LISTEN.
import { startProjects } from '../projects.mjs';

const [host, port] = process.env.LISTEN.split(':');
const { url } = await startProjects({ host, port: Number(port) });
console.log(`projects: ${url}`);
