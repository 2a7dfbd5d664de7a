/**
 * Resolves an agent's secrets from Project Vault, sealed for this process: `resolve('NAME')` gives
 * one secret to a tool, `sessionEnv()` all of them to a coding session. A session receives no name by
 * which programs find or run code, nothing that `provided` has, and nothing that was not asked for,
 * whatever a server answers; `Vault.session()` says what was left out.
 */
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { readFileSync } from 'node:fs';
import { RESERVED_NAMES } from './reserved-names.js';

export type Outcome = 'RESOLVED' | 'EXPIRED' | 'PROVIDED_BY_WORKSPACE' | 'NOT_FOUND';
export type Purpose = 'CODING_SESSION' | 'TOOL_EXECUTION';
/**
 * RESERVED_NAME and NAME_NOT_SUFFIXED are the vault's reasons; another one of it is UNKNOWN. The client
 * has the others, and leaves out reserved names itself, whatever the vault answers.
 */
export type LeftOutReason =
  | 'RESERVED_NAME'
  | 'NAME_NOT_SUFFIXED'
  | 'NOT_ASKED_FOR'
  | 'PROVIDED'
  | 'NOT_A_NAME'
  | 'UNKNOWN';
export type Reason = 'NOT_FOUND' | 'EXPIRED' | 'REFUSED' | 'UNREACHABLE' | 'INPUT';

/** The vault gave no value. No message holds a value or the token, nor characters that steer a terminal. */
export class VaultError extends Error {
  constructor(
    readonly reason: Reason,
    message: string,
  ) {
    super(message);
    this.name = 'VaultError';
  }
}

/** The answer for one name. */
export interface Secret {
  readonly name: string;
  readonly outcome: Outcome;
  /** The value, exactly when the outcome is RESOLVED. It is not enumerable, so that nothing prints or serializes it. */
  readonly value: string | null;
  readonly entryId: string | null;
  readonly version: number | null;
  readonly category: string | null;
  readonly scope: 'PROJECT' | 'MILESTONE' | null;
  readonly expiresAt: string | null;
}

/** A name that is left out; null where no variable can have it. */
export interface LeftOut {
  readonly name: string | null;
  readonly reason: LeftOutReason;
}

/** What a coding session receives. `env` is not enumerable, so that nothing prints or serializes it. */
export interface Session {
  readonly env: Record<string, string>;
  readonly leftOut: readonly LeftOut[];
}

/** What is left out comes from the environment, or from what the token is narrowed to. */
export interface Options {
  url?: string;
  token?: string;
  project?: string;
  agent?: string;
  milestone?: string;
  sessionId?: string;
  tool?: string;
  /** How long to wait for the vault, retries included, in milliseconds. */
  timeout?: number;
  /** Sends the token over http to another machine, where everybody on the way can read it. */
  insecureHttp?: boolean;
}

interface SealedSecret extends Omit<Secret, 'value'> {
  readonly sealedValue: string | null;
}
interface Answer {
  readonly requestId: string;
  readonly secrets: readonly SealedSecret[];
  readonly leftOut?: readonly { name: string; reason: string }[] | null;
}
interface GraphQLError {
  message: string;
  extensions?: { code?: string; requestId?: string; retryAfterSeconds?: number };
}
/** What became of one attempt: an answer, or a reason to try again. */
type Attempt = { answer: Answer } | { again: string; after?: number };

const SUITE = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const DOCUMENT =
  'query($input: ResolveSecretsInput!) { resolveSecrets(input: $input) { requestId secrets ' +
  '{ name outcome sealedValue entryId version category scope expiresAt } leftOut { name reason } } }';
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Rows of patterns and their exceptions. */
const RESERVED = RESERVED_NAMES.trim()
  .replaceAll('\n    ', ' ')
  .split('\n')
  .map((line) => line.split(' except ').map((part) => part.split(' ')));
const ATTEMPTS = 4;
/** The largest answer, in bytes, compression undone. */
const MAX_ANSWER = 16 * 1024 * 1024;
/** The longest text of a server that a message repeats, in UTF-16 units. */
const MAX_SHOWN = 1_000;
const ENCAPSULATED = 32;
/** The largest file of a token, in bytes. */
const MAX_TOKEN_FILE = 1024 * 1024;

/** One agent's view of one project. */
export class Vault {
  readonly #url: URL;
  readonly #token: string;
  readonly #project: string;
  readonly #agent: string;
  readonly #milestone: string | undefined;
  readonly #sessionId: string | undefined;
  readonly #tool: string | undefined;
  readonly #timeout: number;

  constructor(options: Options = {}) {
    this.#url = readUrl(options.url ?? setting('URL') ?? 'http://127.0.0.1:4000/graphql', options.insecureHttp ?? false);
    // Mounted secrets end with a line's end, and some editors put a byte order mark before it; `trim`
    // takes both away.
    this.#token = (options.token ?? setting('TOKEN') ?? readToken(setting('TOKEN_FILE'))).trim();
    if (!/^[!-~]+$/.test(this.#token)) throw input('PROJECT_VAULT_TOKEN is no token; a token is one line of visible ASCII');
    const claims = claimsOf(this.#token);
    const project = options.project ?? setting('PROJECT') ?? claims['vault:project'];
    const agent = options.agent ?? setting('AGENT') ?? claims['vault:agent'];
    if (!project || !agent) throw input('say which project and agent: PROJECT_VAULT_PROJECT and PROJECT_VAULT_AGENT');
    this.#project = project;
    this.#agent = agent;
    this.#milestone = options.milestone ?? setting('MILESTONE') ?? claims['vault:milestone'];
    this.#sessionId = options.sessionId ?? setting('SESSION_ID');
    this.#tool = options.tool ?? setting('TOOL');
    this.#timeout = options.timeout ?? 30_000;
  }

  /** The value of one secret, for a tool. */
  async resolve(name: string): Promise<string> {
    const secret = (await this.answers([name], 'TOOL_EXECUTION')).find((answer) => answer.name === name);
    if (secret?.value != null) return secret.value;
    if (secret?.outcome === 'EXPIRED') {
      throw new VaultError('EXPIRED', `${name}: expired; ask a Responsible person of the project to rotate it`);
    }
    throw new VaultError('NOT_FOUND', `${name}: not found for this agent`);
  }

  /**
   * What a coding session's environment gets beside what it has, which wins. Where names are left
   * out, the process emits a warning with the code PROJECT_VAULT_LEFT_OUT.
   */
  async sessionEnv(provided: Readonly<Record<string, string | undefined>> = process.env): Promise<Record<string, string>> {
    const { env, leftOut } = await this.session(provided);
    if (leftOut.length > 0) {
      const listed = leftOut.slice(0, 20).map(({ name, reason }) => `${name ?? 'a name that no variable can have'} (${reason})`);
      const more = leftOut.length > 20 ? `, and ${leftOut.length - 20} more` : '';
      const message = `left out of the session: ${listed.join(', ')}${more}`;
      process.emitWarning(message, { type: 'ProjectVaultWarning', code: 'PROJECT_VAULT_LEFT_OUT' });
    }
    return env;
  }

  /** As `sessionEnv`, with what is left out instead of a warning. */
  async session(provided: Readonly<Record<string, string | undefined>> = process.env): Promise<Session> {
    const names = Object.keys(provided).filter((name) => NAME.test(name) && !isReserved(name));
    const { secrets, leftOut } = await this.#screened(null, 'CODING_SESSION', names);
    const entries = secrets.flatMap(({ name, value }) => (value === null || Object.hasOwn(provided, name) ? [] : [[name, value]]));
    const env: Record<string, string> = Object.fromEntries(entries);
    return Object.defineProperty({ leftOut }, 'env', { value: env, enumerable: false }) as unknown as Session;
  }

  /**
   * Every name's answer; of all names the agent may use where `names` is null. What was not asked for
   * is left out, and without `names` also what a session must not receive.
   */
  async answers(names: readonly string[] | null, purpose: Purpose, provided: readonly string[] = []): Promise<Secret[]> {
    return (await this.#screened(names, purpose, provided)).secrets;
  }

  async #screened(
    names: readonly string[] | null,
    purpose: Purpose,
    provided: readonly string[],
  ): Promise<{ secrets: Secret[]; leftOut: LeftOut[] }> {
    const pair = await SUITE.kem.generateKeyPair();
    const publicKey = Buffer.from(await SUITE.kem.serializePublicKey(pair.publicKey)).toString('base64url');
    const answer = await this.#ask({
      projectId: this.#project,
      agentId: this.#agent,
      milestoneId: this.#milestone ?? null,
      names,
      providedNames: provided,
      purpose,
      sessionId: this.#sessionId ?? null,
      tool: this.#tool ?? null,
      recipientKey: publicKey,
    });
    const info = fields('sealed', this.#project, this.#agent, answer.requestId);
    const { kept, leftOut } = screen(answer.secrets, names, provided);
    const told = (answer.leftOut ?? []).map(({ name, reason }) => left(name, reasonOf(reason)));
    const secrets = await Promise.all(kept.map((secret) => this.#open(secret, pair.privateKey, info)));
    return { secrets, leftOut: [...told, ...leftOut] };
  }

  async #ask(given: Record<string, unknown>): Promise<Answer> {
    const body = JSON.stringify({ query: DOCUMENT, variables: { input: given } });
    const until = Date.now() + this.#timeout;
    for (let attempt = 1; ; attempt += 1) {
      const result = await this.#attempt(body, Math.max(Math.min(15_000, until - Date.now()), 1));
      if ('answer' in result) return result.answer;
      const jittered = (0.5 + Math.random() / 2) * 200 * 2 ** (attempt - 1);
      const pause = Math.min(result.after === undefined ? jittered : result.after * 1000, 10_000);
      if (attempt === ATTEMPTS || Date.now() + pause > until) {
        throw unreachable(`the vault cannot be asked: ${result.again}`);
      }
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  async #attempt(body: string, timeout: number): Promise<Attempt> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url, {
        method: 'POST',
        // The token is for this address and no other.
        redirect: 'manual',
        headers: {
          authorization: `Bearer ${this.#token}`,
          'content-type': 'application/json',
          accept: 'application/json',
        },
        body,
        signal: AbortSignal.timeout(timeout),
      });
      text = await readAll(response);
    } catch (error) {
      if (error instanceof VaultError) throw error;
      return { again: error instanceof Error ? error.name : 'no connection' };
    }
    let parsed: { data?: { resolveSecrets?: unknown } | null; errors?: GraphQLError[] } | null;
    try {
      parsed = JSON.parse(text);
    } catch {
      if ([401, 403].includes(response.status)) throw new VaultError('REFUSED', `the vault refuses: ${response.status}`);
      if ([408, 429, 502, 503, 504].includes(response.status)) {
        const after = Number(response.headers.get('retry-after') ?? Number.NaN);
        return { again: `it answers ${response.status}`, ...(Number.isFinite(after) && { after }) };
      }
      throw unreachable(`the vault's address answers ${response.status}, and no GraphQL`);
    }
    const error = parsed?.errors?.[0];
    if (error) return this.#judge(error);
    const answer = parsed?.data?.resolveSecrets;
    if (!isAnswer(answer)) throw unreachable("the answer is none of a vault's");
    return { answer };
  }

  #judge({ message, extensions }: GraphQLError): Attempt {
    const said = `${this.#shown(message)} (${this.#shown(extensions?.requestId ?? 'no request id')})`;
    switch (extensions?.code) {
      case 'UNAUTHENTICATED':
      case 'FORBIDDEN':
        throw new VaultError('REFUSED', said);
      case 'INVALID_INPUT':
      case 'LIMIT_EXCEEDED':
        throw input(said);
      case 'UNAVAILABLE':
      case 'RATE_LIMITED': {
        const after = extensions.retryAfterSeconds;
        return { again: said, ...(typeof after === 'number' && after >= 0 && { after }) };
      }
      default:
        throw unreachable(`the vault failed: ${said}`);
    }
  }

  async #open(answer: SealedSecret, recipientKey: CryptoKey, info: ArrayBuffer): Promise<Secret> {
    const { sealedValue, ...shown } = answer;
    let value: string | null = null;
    if (answer.outcome === 'RESOLVED') {
      try {
        const sealed = Uint8Array.from(Buffer.from(sealedValue ?? '', 'base64url'));
        const [enc, ciphertext] = [sealed.slice(0, ENCAPSULATED).buffer, sealed.slice(ENCAPSULATED).buffer];
        const place = fields('sealed-value', answer.entryId ?? '', String(answer.version), answer.name);
        const context = await SUITE.createRecipientContext({ recipientKey, enc, info });
        value = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await context.open(ciphertext, place));
      } catch {
        throw unreachable(`${this.#shown(answer.name)}: what arrived is not what the vault sealed for this call`);
      }
    }
    return Object.defineProperty(shown, 'value', { value, enumerable: false }) as Secret;
  }

  /** A text of the server on one line, without what would steer a terminal, and without the token. */
  #shown(text: unknown): string {
    const shown = typeof text === 'string' ? text : (JSON.stringify(text) ?? '');
    return printable(shown.replaceAll(this.#token, '[token]'));
  }
}

/** The value of one secret, by the settings of the environment. */
export const resolve = (name: string): Promise<string> => new Vault().resolve(name);

/** What a coding session's environment gets beside what it has, by the settings of the environment. */
export const sessionEnv = (): Promise<Record<string, string>> => new Vault().sessionEnv();

/** Whether programs find, configure or run code by this variable, or send data where it says. */
export function isReserved(name: string): boolean {
  const upper = name.toUpperCase();
  const some = (patterns: readonly string[] = []) => patterns.some((pattern) => matches(pattern, upper));
  return RESERVED.some(([patterns, exceptions]) => some(patterns) && !some(exceptions));
}

function matches(pattern: string, name: string): boolean {
  const [prefix = '', suffix] = pattern.split('*');
  if (suffix === undefined) return name === prefix;
  return name.length >= prefix.length + suffix.length && name.startsWith(prefix) && name.endsWith(suffix);
}

/** The vault's reason, unless this release does not know it: it may be any text. */
const reasonOf = (told: string): LeftOutReason =>
  told === 'RESERVED_NAME' || told === 'NAME_NOT_SUFFIXED' ? told : 'UNKNOWN';

const left = (name: unknown, reason: LeftOutReason): LeftOut => ({
  name: typeof name === 'string' && NAME.test(name) ? name : null,
  reason,
});

/** The answers that were asked for, each once, and what of the others is left out. */
function screen(
  answers: readonly SealedSecret[],
  names: readonly string[] | null,
  provided: readonly string[],
): { kept: SealedSecret[]; leftOut: LeftOut[] } {
  const [asked, given, seen] = [names && new Set(names), new Set(provided), new Set<string>()];
  const kept: SealedSecret[] = [];
  const leftOut: LeftOut[] = [];
  for (const answer of answers) {
    const { name, outcome } = answer;
    let reason: LeftOutReason | undefined;
    if (typeof name !== 'string') reason = 'NOT_A_NAME';
    else if (seen.has(name) || (asked && !asked.has(name))) reason = 'NOT_ASKED_FOR';
    else if (!NAME.test(name)) {
      // Asking for what is no name is answered NOT_FOUND.
      if (!asked || outcome === 'RESOLVED') reason = 'NOT_A_NAME';
    } else if (outcome === 'RESOLVED' && given.has(name)) reason = 'PROVIDED';
    else if (!asked && (outcome === 'RESOLVED' || outcome === 'EXPIRED') && isReserved(name)) reason = 'RESERVED_NAME';
    if (reason === undefined) {
      seen.add(name);
      kept.push(answer);
    } else leftOut.push(left(name, reason));
  }
  return { kept, leftOut };
}

/** A text on one line, without what would steer a terminal. */
function printable(text: string): string {
  const escape = (c: string): string => `\\u{${c.codePointAt(0)?.toString(16)}}`;
  return text.slice(0, MAX_SHOWN).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escape);
}

/** The body, unless it is larger than any answer. */
async function readAll(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let [text, length] = ['', 0];
  for await (const piece of response.body ?? []) {
    length += piece.length;
    if (length > MAX_ANSWER) throw unreachable("the vault's answer is larger than 16 MiB");
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

/** Whether the field is there with everything that is read from it. */
function isAnswer(found: unknown): found is Answer {
  const { requestId, secrets, leftOut } = (found ?? {}) as Partial<Record<keyof Answer, unknown>>;
  const named = (given: unknown): boolean => typeof (given as SealedSecret | null)?.name === 'string';
  const told = (given: unknown): boolean => named(given) && typeof (given as LeftOut).reason === 'string';
  const left = leftOut ?? [];
  return (
    typeof requestId === 'string' && Array.isArray(secrets) && secrets.every(named) && Array.isArray(left) && left.every(told)
  );
}

/** Each field in UTF-8 with its length in front, in four bytes. */
function fields(...texts: string[]): ArrayBuffer {
  const parts = ['project-vault/v1', ...texts].map((text) => new TextEncoder().encode(text));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  let at = 0;
  for (const part of parts) {
    new DataView(bytes.buffer).setUint32(at, part.length);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes.buffer;
}

function readUrl(text: string, insecure: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username || url.password) {
    throw input('PROJECT_VAULT_URL is no address such as https://vault.example/graphql');
  }
  const local = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol === 'http:' && !insecure && !local) {
    throw input('PROJECT_VAULT_URL is http, over which everybody on the way can read the token; use https');
  }
  return url;
}

function readToken(path: string | undefined): string {
  if (!path) throw input('PROJECT_VAULT_TOKEN is not set');
  let problem: string;
  try {
    const content = readFileSync(path);
    if (content.length <= MAX_TOKEN_FILE) return content.toString('utf8');
    problem = 'it is larger than 1 MiB';
  } catch (error) {
    problem = (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
  // The path could be the token itself, in the wrong variable.
  throw input(`PROJECT_VAULT_TOKEN_FILE: the file it names cannot be read: ${problem}`);
}

/** What the token says, unchecked: good for defaults only. */
function claimsOf(token: string): Record<string, string | undefined> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    const texts = Object.entries(claims ?? {}).filter(([, claim]) => typeof claim === 'string');
    return Object.fromEntries(texts);
  } catch {
    return {};
  }
}

const setting = (name: string): string | undefined => process.env[`PROJECT_VAULT_${name}`] || undefined;
const input = (message: string): VaultError => new VaultError('INPUT', message);
const unreachable = (message: string): VaultError => new VaultError('UNREACHABLE', message);
