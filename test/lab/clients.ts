/** A server with services of many kinds, and programs that use them from other machines: see programs/*.py. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { LabHost } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Started } from '../../src/exec/run.ts';
import { logs, runContainer, until } from './harness.ts';

const SERVER = program('server.py');
const CLIENT = program('client.py');

export type ClientKind = 'count' | 'datagrams' | 'connected' | 'fill' | 'drain' | 'late' | 'visitors' | 'serve';

/** What a client says in its lines; which of it depends on its kind. */
export interface Said {
  open?: true;
  error?: string;
  /** count, datagrams */
  sent?: number;
  received?: number;
  longestGapMs?: number;
  missing?: number[];
  repeated?: number;
  reordered?: number;
  foreign?: number;
  errors?: number;
  /** fill: bytes that were taken before nothing was any more */
  full?: number;
  /** fill, drain: what came is what was sent */
  whole?: boolean;
  bytes?: number;
  /** late */
  answer?: string;
}

/** Runs the server as `web`, ready to be connected to. @param places `HOST:PORT` to which it connects itself */
export async function serve(
  host: LabHost,
  flags: readonly string[],
  { name = 'web', places = [] as readonly string[] } = {},
): Promise<void> {
  const command = ['python3', '-u', '-c', SERVER, ...places];
  await runContainer(host, name, 'python', { flags: [...flags], command });
  await until('it serves', async () => (await logs(host, name)).includes('ready'));
}

export class Client {
  readonly #program: Started;
  readonly #lines: Said[] = [];
  #error = '';

  /**
   * Starts one in a lab host, or with `wrap` in something else there, such as a container.
   * @returns once it is under way
   */
  static async open(
    at: LabHost,
    kind: ClientKind,
    { host, port, wrap = [] }: { host: string; port: number; wrap?: readonly string[] },
  ): Promise<Client> {
    const [first = '', ...rest] = [...wrap, 'python3', '-u', '-c', CLIENT, kind, host, String(port)];
    const client = new Client(at.start(first, rest));
    const { error } = await client.said();
    if (error !== undefined) throw new Error(`${kind} ${host} ${port}: ${error}`);
    return client;
  }

  private constructor(program: Started) {
    this.#program = program;
    createInterface(program.stdout).on('line', (line) => this.#lines.push(JSON.parse(line)));
    program.stderr.on('data', (chunk: Buffer) => {
      this.#error += chunk.toString();
    });
  }

  /** Resolves when it has said that many lines, to the last of them; the first says that it is under way. */
  async said(lines = 1, timeoutMs = 10_000): Promise<Said> {
    const heard = await until('', async () => this.#lines[lines - 1], timeoutMs).catch(() => undefined);
    if (heard === undefined) {
      throw new Error(`it has not said that much: ${JSON.stringify(this.#lines)} ${this.#error}`);
    }
    return heard;
  }

  /** Lets it end, or go on after its pause; resolves to what it saw. */
  async end(): Promise<Said> {
    this.#program.stdin.end();
    await Promise.race([this.#program.exited, new Promise((resolve) => setTimeout(resolve, 15_000))]);
    this.#program.kill('SIGKILL');
    return this.#lines.at(-1) ?? { error: `it said nothing ${this.#error}` };
  }

  kill(): void {
    this.#program.kill('SIGKILL');
  }
}

/** Gives the hosts of a lab addresses of IPv6, which stay. */
export async function routeIPv6(lab: Lab): Promise<{ a: string; b: string; c: string }> {
  const addresses = { a: 'fd77::1', b: 'fd77::2', c: 'fd77::3' };
  for (const [name, address] of Object.entries(addresses)) {
    await lab.host(name).run('ip', ['address', 'replace', `${address}/64`, 'dev', 'eth0', 'nodad']);
  }
  return addresses;
}

function program(name: string): string {
  return readFileSync(new URL(`programs/${name}`, import.meta.url), 'utf8');
}
