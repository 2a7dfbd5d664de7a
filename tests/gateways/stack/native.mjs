// Starts what docker/compose.yaml describes, without containers: the same programs, commands, settings, order and health checks, on
// free ports of the loopback address, with volumes in a folder that goes with it.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../free-port.mjs';
import { readCompose, readVariables, translate } from './compose-file.mjs';

const run = promisify(execFile);
const app = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const root = join(app, '../..');
const PATIENCE = 120_000;

const isRoot = process.getuid() === 0;
/** initdb and postgres refuse to run as root. */
const asPostgres = (command) => (isRoot ? ['runuser', '-u', 'postgres', '--', ...command] : command);

async function postgresBin() {
  const base = '/usr/lib/postgresql';
  const versions = (await readdir(base)).sort((a, b) => Number(b) - Number(a));
  return join(base, versions[0], 'bin');
}

/** What the official image does before it serves: the user, the database, and the scripts that are mounted. */
async function preparePostgres(service, { dir, port }) {
  const { POSTGRES_USER: user, POSTGRES_PASSWORD: password, POSTGRES_DB: database } = service.environment;
  const bin = await postgresBin();
  const data = join(dir, 'postgres');
  const passwordFile = join(dir, 'postgres-password');
  await mkdir(data);
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (isRoot) {
    const { stdout } = await run('id', ['-u', 'postgres']);
    await Promise.all([data, passwordFile].map((path) => chown(path, Number(stdout), -1)));
  }
  const [initdb, ...initdbArgs] = asPostgres([join(bin, 'initdb'), '-D', data, '-U', user, '-A', 'scram-sha-256', '--pwfile', passwordFile, '-E', 'UTF8', '--no-sync']);
  await run(initdb, initdbArgs, { cwd: dir });
  const scripts = service.mounts.filter(({ target }) => target.startsWith('/docker-entrypoint-initdb.d/')).map(({ file }) => file);
  const serve = asPostgres([join(bin, 'postgres'), '-D', data, '-h', '127.0.0.1', '-p', String(port), '-c', "unix_socket_directories="]);
  const afterwards = async () => {
    const psql = (of, ...args) => run(join(bin, 'psql'), ['-h', '127.0.0.1', '-p', String(port), '-U', user, '-d', of, '-v', 'ON_ERROR_STOP=1', ...args],
      { env: { ...process.env, PGPASSWORD: password } });
    await untilTrue(() => psql('postgres', '-c', 'SELECT 1').then(() => true, () => false), 'postgres accepts connections');
    await psql('postgres', '-c', `CREATE DATABASE ${database}`);
    for (const script of scripts) await psql(database, '-f', script);
  };
  return { command: serve, path: bin, afterwards };
}

async function untilTrue(holds, what) {
  const end = Date.now() + PATIENCE;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`in vain waited until ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  }
}

/**
 * Starts the stack. `program` is the vault, `openfga` OpenFGA. Gives `port(service, portInTheContainer)`, `token('user:alice')`, the
 * logs, and a way to stop it all.
 */
export async function startStack({ program, openfga, log = () => {} }) {
  const dir = await mkdtemp(join(tmpdir(), 'stack-'));
  await chmod(dir, 0o755);
  const services = readCompose(join(root, 'docker/compose.yaml'), readVariables(join(root, 'docker/.env.example')));
  const ports = new Map();
  for (const { name, ports: inside } of Object.values(services)) {
    for (const port of inside) ports.set(`${name}:${port}`, await freePort());
  }
  const port = (service, inside) => ports.get(`${service}:${inside}`);
  const folder = (service) => [
    ...service.mounts.map(({ target, file, volume }) => ({ target, place: file ?? join(dir, volume) })),
    { target: '/app', place: app },
  ];
  for (const volume of new Set(Object.values(services).flatMap(({ mounts }) => mounts.map(({ volume }) => volume)).filter(Boolean))) {
    await mkdir(join(dir, volume));
  }
  const here = (text, service) => translate(text, service, { services, port, folder });
  const path = [join(program, '..'), join(app, 'node_modules/.bin'), process.env.PATH].join(delimiter);
  // What an image runs where the file names no entrypoint.
  const entrypoints = { 'build:docker/Dockerfile': [program], 'build:docker/node.Dockerfile': [], 'openfga/openfga': [openfga] };

  const running = [];
  const logs = {};
  const environment = (service) => ({
    HOME: dir,
    PATH: path,
    ...Object.fromEntries(Object.entries(service.environment).map(([key, value]) => [key, here(value, service)])),
  });
  const start = (service, [command, ...args], options) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: app, ...options });
    logs[service.name] = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { logs[service.name] += chunk; });
    const ended = new Promise((resolve) => {
      child.on('error', (error) => resolve(String(error)));
      child.on('exit', (code, signal) => resolve(code ?? signal));
    });
    const part = { name: service.name, child, ended, over: false };
    ended.then((how) => { part.over = true; part.how = how; });
    return part;
  };
  const healthy = async (service, part, extraPath) => {
    const [, ...test] = service.healthcheck.map((argument) => here(argument, service));
    // The image's own probe asks the same over gRPC.
    const [command, ...args] = test[0].endsWith('grpc_health_probe')
      ? [process.execPath, join(app, 'stack/healthy.mjs'), `http://127.0.0.1:${port(service.name, 8080)}/healthz`]
      : test;
    const env = { ...environment(service), PATH: [extraPath, path].filter(Boolean).join(delimiter) };
    await untilTrue(async () => {
      if (part.over) throw new Error(`${service.name} ended with ${part.how}:\n${logs[service.name]}`);
      return run(command, args, { env, timeout: 10_000 }).then(() => true, () => false);
    }, `${service.name} is healthy; it says:\n${logs[service.name]}`);
  };

  const up = {};
  const bringUp = (name) => {
    up[name] ??= (async () => {
      const service = services[name];
      await Promise.all(service.waits.map(({ on }) => bringUp(on)));
      log(`starting ${name}`);
      const isTask = Object.values(services).some(({ waits }) => waits.some(({ on, condition }) => on === name && condition === 'service_completed_successfully'));
      const postgres = service.image === 'postgres' ? await preparePostgres(service, { dir, port: port(name, 5432) }) : null;
      const entrypoint = service.entrypoint ?? entrypoints[service.image] ?? [];
      const command = postgres?.command ?? [...entrypoint, ...service.command].map((argument) => here(argument, service));
      const part = start(service, command, { env: environment(service), ...(postgres && { cwd: dir }) });
      running.push(part);
      await postgres?.afterwards();
      if (isTask) {
        const how = await part.ended;
        if (how !== 0) throw new Error(`${name} ended with ${how}:\n${logs[name]}`);
      } else {
        await healthy(service, part, postgres?.path);
      }
    })();
    return up[name];
  };

  const stop = async () => {
    // Those that stand on others go first.
    for (const { child, ended, over, name } of running.reverse()) {
      if (over) continue;
      child.kill('SIGTERM');
      const patience = setTimeout(() => child.kill('SIGKILL'), 25_000);
      await ended;
      clearTimeout(patience);
      log(`stopped ${name}`);
    }
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await Promise.all(Object.keys(services).map(bringUp));
  } catch (error) {
    await Promise.allSettled(Object.values(up));
    await stop();
    throw error;
  }
  const token = async (whose) => {
    const { issuer } = services;
    const [command, ...args] = [...issuer.entrypoint, 'token', whose].map((argument) => here(argument, issuer));
    return (await run(command, args, { env: environment(issuer) })).stdout.trim();
  };
  return { port, token, logs, stop, services };
}

/** From the command line: until it is interrupted. */
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { VAULT_STACK_PROGRAM: program, VAULT_STACK_OPENFGA: openfga } = process.env;
  const stack = await startStack({ program, openfga, log: (line) => console.error(line) });
  const interrupted = Promise.race(['SIGINT', 'SIGTERM'].map((signal) => once(process, signal)));
  const at = (service, inside) => `http://127.0.0.1:${stack.port(service, inside)}/graphql`;
  console.log(`gateway   ${at('gateway', 4000)}\nruntimes  ${at('vault', 4001)}\nplatform  ${at('vault', 4000)}`);
  for (const whose of ['service:platform', 'user:alice', 'runtime:acme-runtime']) console.log(`${whose}  ${await stack.token(whose)}`);
  await interrupted;
  await stack.stop();
}
