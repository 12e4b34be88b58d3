/** A client with one open connection, over which the lab's web image counts: what came, when, and whether any is missing. */
import type { LabHost } from '../lab/host.ts';
import type { Started } from '../src/exec/run.ts';

const LINE = /^connection (\d+), from (\S+) port (\d+): (\d+)$/;

export class CountingClient {
  readonly #nc: Started;
  readonly #server: string;
  /** When each count came, by `performance.now()`. */
  readonly #times: number[] = [];
  #rest = '';
  #last = '';
  #fault: string | undefined;
  #isOver = false;

  /** Begins at once, as a program that connects once and ends with its connection. */
  constructor(host: LabHost, address: string, port: number) {
    this.#server = `${address}:${port}`;
    this.#nc = host.start('busybox', ['nc', address, String(port)]);
    this.#nc.stdout.on('data', (chunk: Buffer) => this.#take(chunk.toString()));
    void this.#nc.ended.then(() => this.#wrong('the connection ended'));
  }

  /** The last line that came, and the first thing that went wrong, if any did. */
  get line(): string {
    return this.#fault ?? this.#last;
  }

  get isWell(): boolean {
    return this.#fault === undefined;
  }

  /** How many counts came until now. */
  get counted(): number {
    return this.#times.length;
  }

  /** The longest time between two counts, of those from the one to the other. */
  longestPauseMs(from: number, to: number): number {
    const times = this.#times.slice(Math.max(0, from - 1), to);
    return Math.max(0, ...times.map((time, i) => time - (times[i - 1] ?? time)));
  }

  /** The way from the client to the server, and what became of the count. */
  get summary(): { way: string; count: string } {
    const [, number, address, port] = LINE.exec(this.#last) ?? [];
    return {
      way: `${address}:${port} → ${this.#server}, the container's connection ${number} from first to last`,
      count: `counted to ${this.counted}, ${this.#fault ?? 'no number missing, none twice'}`,
    };
  }

  /** What happens from now on is not told. */
  end(): void {
    this.#isOver = true;
    this.#nc.stdout.removeAllListeners('data');
    this.#nc.kill('SIGKILL');
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, connection, , , count] = LINE.exec(line) ?? [];
      const expected = this.counted + 1;
      if (connection !== (LINE.exec(this.#last)?.[1] ?? connection)) this.#wrong(`another connection: ${line}`);
      if (Number(count) !== expected) this.#wrong(`${line}, where ${expected} was due`);
      this.#times.push(performance.now());
      this.#last = line;
    }
  }

  #wrong(what: string): void {
    if (!this.#isOver) this.#fault ??= what;
  }
}
