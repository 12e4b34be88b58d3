/** What is measured: where it is, that it answers at all, and how to connect to it again and again. */
import { lookup } from 'node:dns/promises';
import { connect, isIP, type LookupFunction, type Socket } from 'node:net';
import { buildConnector, Client } from 'undici';
import { DrayageError } from '../errors.ts';
import { FAILURE_MEANINGS, type Failure, failureOf } from './failure.ts';
import { get } from './get.ts';

export interface HttpTarget {
  url: URL;
  /** Connects to the address that answered: names are looked up once, not for every request. */
  connector: buildConnector.connector;
  /** Whether it keeps connections open between requests. */
  keepsAlive: boolean;
}

export interface TcpTarget {
  /** As the user named it. */
  name: string;
  address: string;
  port: number;
}

export interface ReachOptions {
  /** Default 5 s. */
  deadlineMs?: number;
  signal?: AbortSignal;
}

/** A server that needs longer for its first answer does not answer. */
export const REACH_MS = 5000;
const LONGEST_LINE = 64;

/** @throws DrayageError USAGE */
export function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  throw usage(`${text} is no address of a web server.`, 'Write it as http://HOST:PORT/PATH.');
}

/** `host:port`, `[v6]:port`. @throws DrayageError USAGE */
export function parseTcp(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text);
  const [host, port] = [match?.[1] ?? match?.[2], Number(match?.[3])];
  if (host !== undefined && port >= 1 && port <= 65_535) return { host, port };
  throw usage(`${text} is no address of a TCP server.`, 'Write it as HOST:PORT, or [IPV6]:PORT.');
}

/**
 * Asks once, address by address.
 * @throws DrayageError MEASURE_NO_ANSWER
 */
export async function reachHttp(url: URL, options: ReachOptions = {}): Promise<HttpTarget> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return firstOf(await addressesOf(host, url.href), url.href, async (address) => {
    const connector = buildConnector({ allowH2: false, timeout: 0, lookup: always(address), autoSelectFamily: false });
    const client = new Client(url.origin, { connect: connector, headersTimeout: 0, bodyTimeout: 0 });
    try {
      return { url, connector, keepsAlive: await keepsAlive(client, url, options) };
    } finally {
      client.destroy().catch(() => {});
    }
  });
}

/**
 * Sends one line, and expects it back.
 * @throws DrayageError MEASURE_NO_ANSWER, MEASURE_NO_ECHO
 */
export async function reachTcp(text: string, options: ReachOptions = {}): Promise<TcpTarget> {
  const { host, port } = parseTcp(text);
  return firstOf(await addressesOf(host, text), text, async (address) => {
    await echo(text, connect({ host: address, port, noDelay: true }), options);
    return { name: text, address, port };
  });
}

/** What a server says of the connection is one thing; whether a second request can use it is what counts. */
async function keepsAlive(client: Client, url: URL, { deadlineMs = REACH_MS, signal }: ReachOptions): Promise<boolean> {
  let connections = 0;
  client.on('connect', () => connections++);
  const first = await get(client, url, deadlineMs, { ...(signal && { signal }) });
  if (first.error !== undefined) throw first.error;
  if (first.status >= 400) {
    throw new DrayageError('MEASURE_NO_ANSWER', `${url.href} answers with status ${first.status}.`, {
      remedy: 'Name a path that it answers with a status below 400.',
    });
  }
  if (!first.keepsAlive) return false;
  const second = await get(client, url, deadlineMs, { ...(signal && { signal }) });
  return second.error === undefined && connections === 1;
}

async function echo(name: string, socket: Socket, { deadlineMs = REACH_MS, signal }: ReachOptions): Promise<void> {
  const stop = AbortSignal.any([AbortSignal.timeout(deadlineMs), ...(signal === undefined ? [] : [signal])]);
  using _ = { [Symbol.dispose]: () => void socket.destroy() };
  let connected = false;
  const line = await new Promise<string>((resolve, reject) => {
    let received = '';
    stop.addEventListener('abort', () => (connected && !signal?.aborted ? resolve(received) : reject(stop.reason)));
    socket.once('connect', () => {
      connected = true;
      socket.write('0\n');
    });
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (received.includes('\n') || received.length > LONGEST_LINE) resolve(received);
    });
    socket.once('end', () => resolve(received));
    socket.once('error', reject);
  });
  if (line === '0\n') return;
  const what = line === '' ? 'with nothing' : `with ${JSON.stringify(line.slice(0, LONGEST_LINE))}`;
  throw new DrayageError('MEASURE_NO_ECHO', `${name} answers the line "0" ${what}.`);
}

async function firstOf<T>(addresses: readonly string[], name: string, attempt: (address: string) => Promise<T>) {
  let failure: unknown;
  for (const address of addresses) {
    try {
      return await attempt(address);
    } catch (error) {
      if (error instanceof DrayageError) throw error;
      failure ??= error;
    }
  }
  if (failure instanceof Error && failure.name === 'AbortError') throw DrayageError.from(failure);
  const reason = failure instanceof Error ? failure.message : String(failure);
  const kind = isTimeout(failure) ? 'timeout' : failureOf(failure);
  const why = kind === 'other' ? reason : `${kind}, ${FAILURE_MEANINGS[kind]} (${reason})`;
  const remedy = REMEDIES[kind];
  throw new DrayageError('MEASURE_NO_ANSWER', `${name} does not answer: ${why}.`, {
    ...(remedy !== undefined && { remedy }),
    cause: failure,
  });
}

/** What to do about an address that does not answer, where its kind of failure tells more than the table of errors. */
const REMEDIES: Partial<Record<Failure, string>> = {
  refused: 'See on that host which ports are published, by docker ps, and name one of them.',
  timeout: 'See whether a firewall drops what comes to that port, and whether the server answers on its own host.',
  unreachable: 'See by ip route get ADDRESS how this host would get there.',
  garbled: 'It speaks something else than HTTP: name it by --tcp if it echoes lines, or name another port.',
};

async function addressesOf(host: string, name: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw new DrayageError('MEASURE_NO_ANSWER', `${name} does not answer: no address is known for ${host}.`, { cause });
  }
}

function always(address: string): LookupFunction {
  const family = isIP(address);
  return (_, options, callback) => {
    if (options.all) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError';
}

function usage(message: string, remedy: string): DrayageError {
  return new DrayageError('USAGE', message, { remedy });
}
