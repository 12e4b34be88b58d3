/** A server with services of many kinds, and programs that use them from other machines: see programs/*.py. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { LabHost } from '../../lab/host.ts';
import type { Started } from '../../src/exec/run.ts';
import { logs, runContainer, until } from './harness.ts';

const SERVER = program('server.py');
const CLIENT = program('client.py');

export type ClientKind = 'count' | 'datagrams' | 'connected' | 'fill' | 'drain' | 'late' | 'serve';

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
export async function serve(host: LabHost, flags: readonly string[], places: readonly string[] = []): Promise<void> {
  const command = ['python3', '-u', '-c', SERVER, ...places];
  await runContainer(host, 'web', 'python', { flags: [...flags], command });
  await until('it serves', async () => (await logs(host, 'web')).includes('ready'));
}

export class Client {
  readonly #program: Started;
  readonly #lines: Said[] = [];
  #error = '';

  /** Starts one in a lab host, or with `wrap` in something else there, such as a container. */
  constructor(at: LabHost, kind: ClientKind, host: string, port: number, wrap: readonly string[] = []) {
    const [first = '', ...rest] = [...wrap, 'python3', '-u', '-c', CLIENT, kind, host, String(port)];
    this.#program = at.start(first, rest);
    createInterface(this.#program.stdout).on('line', (line) => this.#lines.push(JSON.parse(line)));
    this.#program.stderr.on('data', (chunk: Buffer) => {
      this.#error += chunk.toString();
    });
  }

  /** Resolves when it has said that many lines, to the last of them; the first says that it is under way. */
  async said(lines = 1, timeoutMs = 5000): Promise<Said> {
    return until(`it says something${this.#error}`, async () => this.#lines[lines - 1], timeoutMs).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(this.#lines)} ${this.#error}`);
    });
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

function program(name: string): string {
  return readFileSync(new URL(`programs/${name}`, import.meta.url), 'utf8');
}
