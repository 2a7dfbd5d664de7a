// Reads docker/compose.yaml as `docker compose` does, as far as the file goes, and translates a service of it for this machine: an
// unknown key is an error, so that nothing of the file is left out without a word.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';

const KNOWN = ['build', 'image', 'entrypoint', 'command', 'environment', 'depends_on', 'healthcheck', 'volumes', 'expose', 'ports'];
/** What only a container has. */
const OF_CONTAINERS = ['read_only', 'cap_drop', 'security_opt'];

/** `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `$$`. */
function interpolate(text, variables) {
  return text.replace(/\$\$|\$\{(\w+)(?::([-?])([^}]*))?\}/g, (all, name, kind, rest) => {
    if (all === '$$') return '$';
    if (variables[name]) return variables[name];
    if (kind === '-') return rest;
    throw new Error(`${name} is not set${kind === '?' ? `: ${rest}` : ''}`);
  });
}

const everywhere = (value, change) => {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => everywhere(item, change));
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, everywhere(item, change)]));
  return value;
};

/** NAME=value lines, as in `.env`. */
export function readVariables(path) {
  const lines = readFileSync(path, 'utf8').split('\n').filter((line) => /^\w+=/.test(line));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

/** The services by name: entrypoint, command, environment, ports in the container, mounts, health check, and what each waits for. */
export function readCompose(path, variables) {
  const { services, volumes } = everywhere(parse(readFileSync(path, 'utf8'), { merge: true }), (text) => interpolate(text, variables));
  return Object.fromEntries(Object.entries(services).map(([name, service]) => {
    const unknown = Object.keys(service).filter((key) => ![...KNOWN, ...OF_CONTAINERS].includes(key));
    if (unknown.length) throw new Error(`${name}: no translation for ${unknown}`);
    const mounts = (service.volumes ?? []).map((mount) => {
      const [source, target] = mount.split(':');
      const isFile = source.startsWith('.');
      if (!isFile && !(source in volumes)) throw new Error(`${name}: there is no volume ${source}`);
      return isFile ? { target, file: resolve(dirname(path), source) } : { target, volume: source };
    });
    const published = (service.ports ?? []).map((port) => port.split(':').at(-1));
    // What listens on a container's own loopback address is neither exposed nor published.
    const listened = Object.entries(service.environment ?? {}).filter(([key]) => key.endsWith('LISTEN')).map(([, address]) => address.split(':').at(-1));
    const ports = [...new Set([...(service.expose ?? []), ...published, ...listened].map(Number))];
    return [name, {
      name,
      image: service.build ? `build:${service.build.dockerfile}` : service.image.replace(/:.*/, ''),
      entrypoint: service.entrypoint ?? null,
      command: service.command ?? [],
      environment: Object.fromEntries(Object.entries(service.environment ?? {}).map(([key, value]) => [key, String(value)])),
      ports,
      mounts,
      healthcheck: service.healthcheck?.test,
      waits: Object.entries(service.depends_on ?? {}).map(([on, { condition }]) => ({ on, condition })),
    }];
  }));
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

/** A text of this service with the containers' names, ports and folders replaced by those of this machine. */
export function translate(text, service, { services, port, folder }) {
  let here = text;
  for (const other of Object.values(services)) {
    for (const inside of other.ports) {
      here = here.replace(new RegExp(`(?<![\\w.-])${escaped(other.name)}:${inside}(?!\\d)`, 'g'), `127.0.0.1:${port(other.name, inside)}`);
    }
  }
  for (const inside of service.ports) {
    here = here.replace(new RegExp(`(?:0\\.0\\.0\\.0|127\\.0\\.0\\.1)([:/])${inside}(?!\\d)`, 'g'), `127.0.0.1$1${port(service.name, inside)}`);
    if (here === String(inside)) here = String(port(service.name, inside));
  }
  if (here === '0.0.0.0') here = '127.0.0.1';
  for (const { target, place } of folder(service)) here = here.replace(new RegExp(`(?<![\\w./-])${escaped(target)}(?=[/\\s"]|$)`, 'g'), place);
  return here;
}
