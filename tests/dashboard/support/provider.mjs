// A real OpenID provider: authorization code with PKCE, refresh tokens, and sign-out. Any name signs in,
// with any password.
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

/** The dashboard's client id. */
export const CLIENT = 'vault-dashboard';
const AUDIENCES = {
  user: 'project-vault',
  service: 'project-vault-service',
  runtime: 'project-vault-runtime',
};

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Starts it for a dashboard at `origin`. `lifetime`, of access tokens, is in seconds, and may be changed. */
export async function startProvider(origin) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'ES256', use: 'sig' };
  const running = {
    issuer,
    lifetime: 3600,
    /** How often tokens were renewed. */
    renewals: 0,
    /** A token that its key signs, for `user:alice`, `service:…` or `runtime:…`. */
    token(whose, { ttl = 3600, project, agent } = {}) {
      const [kind, ...id] = whose.split(':');
      const now = Math.floor(Date.now() / 1000);
      const narrowing = {
        ...(project && { 'vault:project': project }),
        ...(agent && { 'vault:agent': agent }),
      };
      const claims = {
        iss: issuer,
        aud: AUDIENCES[kind],
        sub: id.join(':'),
        iat: now,
        exp: now + ttl,
        ...narrowing,
      };
      const signed = `${encoded({ alg: 'ES256', kid: key.kid })}.${encoded(claims)}`;
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return `${signed}.${signature.toString('base64url')}`;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };

  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    cookies: { keys: [randomUUID()] },
    clients: [
      {
        client_id: CLIENT,
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        redirect_uris: [`${origin}/`],
        post_logout_redirect_uris: [`${origin}/`],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    clientBasedCORS: (_, requested) => requested === origin,
    ttl: {
      Interaction: 600,
      Session: 3600,
      Grant: 3600,
      AccessToken: () => running.lifetime,
      RefreshToken: 3600,
      IdToken: 3600,
    },
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    issueRefreshToken: () => true,
    features: {
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:project-vault',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: '',
          audience: AUDIENCES.user,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  provider.on('grant.success', ({ oidc }) => {
    if (oidc.params.grant_type === 'refresh_token') running.renewals += 1;
  });
  server.on('request', provider.callback());
  return running;
}

/** What a person does on the provider's pages: name, password, consent. */
export async function passProvider(page, person) {
  await page.getByPlaceholder('Enter any login').fill(person);
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
}
