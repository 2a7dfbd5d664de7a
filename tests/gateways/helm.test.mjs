// The Helm chart: what it renders is what Kubernetes accepts, keeps to restricted pod security, and starts
// the real program with the arguments, variables and files that a pod would have.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.mjs';
import { start } from './vault.mjs';

const { VAULT_TEST_HELM: helm, VAULT_TEST_PROGRAM: program, VAULT_TEST_POSTGRES: postgres, VAULT_TEST_OPENFGA: openfga } = process.env;
if (!helm || !postgres || !openfga) throw new Error('run the tests with scripts/test, which starts the servers and builds helm');

const chart = fileURLToPath(new URL('../../docker/helm/project-vault', import.meta.url));
const ISSUER = { iss: 'https://login.example.com', jwksUrl: 'https://login.example.com/jwks.json', kinds: ['user', 'service', 'runtime'] };
const VALUES = { openfga: { url: 'http://openfga:8081' }, issuers: [ISSUER] };

let dir;
let manifests;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'helm-'));
  manifests = join(dir, 'manifests');
  execFileSync('go', ['build', '-o', manifests, '.'], { cwd: fileURLToPath(new URL('helm', import.meta.url)), stdio: 'inherit' });
});
after(async () => { if (dir) await rm(dir, { recursive: true, force: true }); });

/** Runs a program to its end; gives what it printed. */
const run = (command, args, { input = '', env = process.env } = {}) =>
  new Promise((resolve, reject) => {
    const child = execFile(command, args, { env, maxBuffer: 1 << 26 }, (error, out, err) =>
      error ? reject(new Error(`${error.message}\n${out}${err}`)) : resolve(out));
    child.stdin.end(input);
  });

const home = () => ({ ...process.env, HELM_CACHE_HOME: dir, HELM_CONFIG_HOME: dir, HELM_DATA_HOME: dir });
const withHelm = async (command, values, ...args) =>
  run(helm, [...command, chart, '--kube-version', '1.33.0', '--values', '-', ...args], { input: JSON.stringify(values), env: home() });
/** The text of the manifests. */
const text = (values = {}) => withHelm(['template', 'vault', '--namespace', 'vault'], { ...VALUES, ...values });
/** What Kubernetes reads in them. */
const render = async (values) => JSON.parse(await run(manifests, [], { input: await text(values) }));
const one = (objects, kind, end = '') => {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name.endsWith(end));
  assert.equal(found.length, 1, `${kind} ${end}`);
  return found[0];
};
const pod = (object) => object.spec.template.spec;

test('the chart is linted', async () => {
  assert.match(await withHelm(['lint', '--strict'], VALUES), /0 chart\(s\) failed/);
});

test('with every part, Kubernetes accepts it and its pods are restricted', async () => {
  const every = {
    tls: { existingSecret: 'tls' },
    keys: { provider: 'transit', keyring: { existingSecret: 'old' }, transit: { url: 'https://bao:8200', key: 'vault', existingSecret: 'bao' } },
    openfga: { url: 'https://openfga:8081', token: { existingSecret: 'openfga' } },
    serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
    prometheusRule: { enabled: true },
    imagePullSecrets: [{ name: 'registry' }],
    tolerations: [{ key: 'vault', operator: 'Exists' }],
    nodeSelector: { disk: 'ssd' },
    podLabels: { team: 'platform' },
    podAnnotations: { note: 'x' },
    priorityClassName: 'high',
    extraEnv: [{ name: 'VAULT_KEYRING_COMMAND', value: 'kms' }],
  };
  const kinds = (objects) => objects.map(({ kind }) => kind).sort();
  assert.deepEqual(kinds(await render(every)), ['ConfigMap', 'Deployment', 'Job', 'NetworkPolicy', 'PodDisruptionBudget', 'PrometheusRule',
    'Service', 'Service', 'Service', 'ServiceAccount', 'ServiceMonitor']);
  assert.deepEqual(kinds(await render({ runtimes: { enabled: false }, migrate: { enabled: false }, networkPolicy: { enabled: false }, podDisruptionBudget: { enabled: false } })),
    ['ConfigMap', 'Deployment', 'Service', 'Service', 'ServiceAccount']);

  const rendered = await text(every);
  const refused = async (from, to, what) => {
    assert.ok(rendered.includes(from), from);
    await assert.rejects(run(manifests, [], { input: rendered.replaceAll(from, to) }), what);
  };
  await refused('runAsNonRoot: true', 'runAsNonRoot: false', /runAsNonRoot/);
  await refused('allowPrivilegeEscalation: false', 'allowPrivilegeEscalation: true', /allowPrivilegeEscalation/);
  await refused('readOnlyRootFilesystem:', 'readOnlyRootFileSystem:', /unknown field/);
});

test('pods cannot write, hold no token of Kubernetes, and read secrets from files alone', async () => {
  const objects = await render({ tls: { existingSecret: 'tls' } });
  for (const object of [one(objects, 'Deployment'), one(objects, 'Job')]) {
    const { automountServiceAccountToken, containers, volumes } = pod(object);
    assert.equal(automountServiceAccountToken, false);
    for (const { securityContext, volumeMounts, env, resources } of containers) {
      assert.equal(securityContext.readOnlyRootFilesystem, true);
      assert.ok(volumeMounts.every(({ readOnly }) => readOnly));
      assert.ok(env.every(({ value, valueFrom }) => value !== undefined && !valueFrom), 'a variable is not a secret');
      assert.ok(resources.limits.memory && resources.requests.memory);
    }
    for (const { secret } of volumes.filter(({ secret }) => secret)) assert.equal(secret.defaultMode, 0o440);
    assert.deepEqual(containers[0].volumeMounts.map(({ name }) => name).sort(), volumes.map(({ name }) => name).sort());
  }
  assert.ok(!objects.some(({ kind }) => kind === 'Secret'));
});

test('services, policy, budget and monitor find the servers, and only them', async () => {
  const objects = await render({ serviceMonitor: { enabled: true } });
  const server = one(objects, 'Deployment').spec.template.metadata.labels;
  const migrate = one(objects, 'Job').spec.template.metadata.labels;
  const finds = (selector, labels) => Object.entries(selector).every(([key, value]) => labels[key] === value);
  const selectors = objects.filter(({ kind }) => kind === 'Service').map(({ spec }) => spec.selector);
  selectors.push(one(objects, 'PodDisruptionBudget').spec.selector.matchLabels, one(objects, 'Deployment').spec.selector.matchLabels);
  assert.equal(selectors.length, 5);
  for (const selector of selectors) assert.deepEqual([finds(selector, server), finds(selector, migrate)], [true, false]);
  const policy = one(objects, 'NetworkPolicy').spec;
  assert.ok(finds(policy.podSelector.matchLabels, server) && finds(policy.podSelector.matchLabels, migrate));
  assert.ok(policy.ingress.every(({ from }) => from.length > 0), 'a rule without peers lets everybody in');
  const dns = policy.egress.find(({ ports }) => ports.some(({ port }) => port === 53));
  assert.ok(dns.to?.length > 0, 'names can be asked of the resolver of the cluster alone');
  const closed = one(await render({ networkPolicy: { metrics: [], runtimes: [] } }), 'NetworkPolicy').spec;
  assert.deepEqual(closed.ingress.map(({ ports }) => ports[0].port), ['api']);
  assert.deepEqual(policy.ingress.map(({ ports }) => ports[0].port).sort(), ['api', 'metrics', 'runtimes']);
  const monitor = one(objects, 'ServiceMonitor').spec;
  const monitored = objects.filter(({ kind, metadata }) => kind === 'Service' && finds(monitor.selector.matchLabels, metadata.labels));
  assert.deepEqual(monitored.map(({ spec }) => spec.ports.map(({ name }) => name)), [monitor.endpoints.map(({ port }) => port)]);
  const { rollingUpdate } = one(objects, 'Deployment').spec.strategy;
  assert.equal(rollingUpdate.maxUnavailable, 0);
  const hook = one(objects, 'Job').metadata.annotations['helm.sh/hook'];
  assert.equal(hook, 'pre-install,pre-upgrade', 'the database is brought up to date before new pods start');
});

test('values that cannot work are refused', async () => {
  for (const [values, what] of [
    [{ openfga: { url: '' } }, /openfga/],
    [{ openfga: { url: 'http://user:password@openfga:8081' } }, /openfga/],
    [{ issuers: [] }, /issuers/],
    [{ issuers: [{ ...ISSUER, jwksUrl: 'http://login.example.com' }] }, /jwksUrl/],
    [{ issuers: [{ ...ISSUER, kinds: ['robot'] }] }, /kinds/],
    [{ replicas: 0 }, /replicas/],
    [{ keys: { provider: 'transit' } }, /transit/],
    [{ keys: { keyring: { existingSecret: '' } } }, /existingSecret/],
    [{ settings: { retention: 3 } }, /retention/],
    [{ extraEnv: [{ name: 'DATABASE_URL', value: 'postgres://a:b@c' }] }, /extraEnv/],
  ]) await assert.rejects(text(values), what);
  const command = { keys: { keyring: { existingSecret: '' } }, extraEnv: [{ name: 'VAULT_KEYRING_COMMAND', value: 'kms' }] };
  const { env } = pod(one(await render(command), 'Deployment')).containers[0];
  assert.ok(!env.some(({ name }) => name === 'VAULT_KEYRING_FILE') && env.some(({ name }) => name === 'VAULT_KEYRING_COMMAND'));
});

/** What an update of the issuers changes in the pods, so that they restart. */
test('pods restart when the issuers change', async () => {
  const checksum = async (issuers) => one(await render({ issuers }), 'Deployment').spec.template.metadata.annotations['checksum/issuers'];
  assert.notEqual(await checksum([ISSUER]), await checksum([{ ...ISSUER, iss: 'https://id.example.com' }]));
});

test('the real program takes the command lines and variables of the pods', async () => {
  const url = new URL(postgres);
  const database = `helm_${Date.now()}`;
  await run('psql', ['-q', '-X', '-c', `CREATE DATABASE ${database}`, postgres]);
  url.pathname = `/${database}`;
  const prefixed = { ...ISSUER, iss: 'https://id."quoted".example', subjectPrefix: 'globex:', kinds: ['user'] };
  const objects = await render({ openfga: { url: openfga, store: database }, issuers: [ISSUER, prefixed] });
  const [server, job] = [one(objects, 'Deployment'), one(objects, 'Job')];
  // The files of the mounted volumes, in a folder of this test.
  const secrets = { 'project-vault-database/url': url.href, 'project-vault-keyring/keyring.toml': await run(program, ['keys', 'generate']) };
  const root = join(dir, 'root');
  for (const { name, secret, configMap } of pod(server).volumes) {
    const { mountPath } = pod(server).containers[0].volumeMounts.find((mount) => mount.name === name);
    const files = secret
      ? secret.items.map(({ key, path }) => [path, secrets[`${secret.secretName}/${key}`]])
      : Object.entries(one(objects, 'ConfigMap', configMap.name).data);
    for (const [path, content] of files) {
      const file = join(root, mountPath, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      await chmod(file, 0o440);
    }
  }
  const ports = { 4000: await freePort(), 4001: await freePort(), 9464: await freePort() };
  const environment = ({ env }) => Object.fromEntries(env.map(({ name, value }) => {
    const here = value.startsWith('/etc/project-vault/') ? join(root, value) : value;
    return [name, here.replace(/^0\.0\.0\.0:(\d+)$/, (_, port) => `127.0.0.1:${ports[port]}`)];
  }));
  const [migrate] = pod(job).containers;
  assert.match(await run(program, migrate.args, { env: environment(migrate) }), /brought up to date/);
  const [container] = pod(server).containers;
  // The issuers' addresses are nowhere; the server starts without them.
  const { stop } = await start(program, container.args, /"message":"listening"/, { env: environment(container) });
  try {
    const named = Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, ports[containerPort]]));
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
      const { path, port } = container[probe].httpGet;
      assert.equal((await fetch(`http://127.0.0.1:${named[port]}${path}`)).status, 200, probe);
    }
    assert.equal((await fetch(`http://127.0.0.1:${named.metrics}/metrics`)).status, 200);
    for (const port of ['api', 'runtimes']) {
      const answer = await fetch(`http://127.0.0.1:${named[port]}/metrics`);
      assert.equal(answer.status, 404, `metrics are not for the callers of ${port}`);
    }
    const help = await run(program, ['serve', '--help']);
    for (const { name } of container.env) assert.ok(help.includes(`[env: ${name}]`), `${name} is a setting`);
  } finally {
    await stop();
    await run('psql', ['-q', '-X', '-c', `DROP DATABASE ${database} WITH (FORCE)`, postgres]);
  }
});
