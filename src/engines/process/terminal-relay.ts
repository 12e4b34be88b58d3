/**
 * One terminal that restored processes are on: takes what they write, keeps the last of it, and hands it to whoever is
 * attached. script(1) holds the terminal itself, so that nothing ends when the agent does.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Run } from '../../exec/run.ts';
import { hasEnded } from '../processes/state.ts';

/** What somebody sees who attaches later. */
const KEPT_BYTES = 64 << 10;
const WATCH_MS = 500;

/** Resolves when more may come: until then the processes wait, as at a slow terminal. */
export type Viewer = (output: Buffer) => Promise<void>;

export interface TerminalSize {
  columns: number;
  rows: number;
}

export class TerminalRelay {
  /** Resolves when the terminal is gone, and all that was written to it has been handed on. */
  readonly ended: Promise<void>;
  readonly #dir: string;
  readonly #run: Run;
  readonly #in: number;
  readonly #out: Socket;
  readonly #viewers = new Set<Viewer>();
  readonly #watch: NodeJS.Timeout;
  readonly #end: () => void;
  /** It ended because the terminal did. */
  isGone = false;
  #kept: Buffer[] = [];
  #keptBytes = 0;

  /** @throws the file system's error where its fifos are not there (yet). */
  constructor(dir: string, run: Run) {
    this.#dir = dir;
    this.#run = run;
    // For both ways: neither opening nor the other side's end is waited for.
    const open = (name: string): number => openSync(join(dir, name), constants.O_RDWR | constants.O_NONBLOCK);
    this.#in = open('in');
    this.#out = new Socket({ fd: open('out'), readable: true, writable: false });
    this.#out.on('error', () => {});
    this.#out.on('data', (output: Buffer) => this.#take(output));
    ({ promise: this.ended, resolve: this.#end } = Promise.withResolvers<void>());
    this.#watch = setInterval(() => this.#look(), WATCH_MS).unref();
  }

  /** What was written last, and then all that comes, until disposed of. */
  attach(viewer: Viewer): Disposable {
    // One that has left already is told of by its connection.
    if (this.#keptBytes > 0) viewer(Buffer.concat(this.#kept)).catch(() => {});
    this.#viewers.add(viewer);
    return { [Symbol.dispose]: () => void this.#viewers.delete(viewer) };
  }

  type(input: Buffer): void {
    try {
      writeSync(this.#in, input);
    } catch {
      // The terminal takes no more: so would a real one drop what is typed then.
    }
  }

  /** The kernel tells the processes by SIGWINCH. */
  async resize({ columns, rows }: TerminalSize): Promise<void> {
    const name = (await readFile(join(this.#dir, 'name'), 'utf8').catch(() => '')).trim();
    if (!/^\/dev\/pts\/\d+$/.test(name)) return;
    await this.#run('stty', ['-F', name, 'cols', `${columns}`, 'rows', `${rows}`], { okCodes: [0, 1] });
  }

  /** Lets go of it; the terminal stays. */
  close(): void {
    clearInterval(this.#watch);
    if (!this.#out.destroyed) closeSync(this.#in);
    this.#out.destroy();
    this.#end();
  }

  #take(output: Buffer): void {
    this.#kept.push(output);
    this.#keptBytes += output.length;
    for (let first = this.#kept[0]; first !== undefined && this.#keptBytes - first.length >= KEPT_BYTES; ) {
      this.#keptBytes -= first.length;
      this.#kept.shift();
      first = this.#kept[0];
    }
    if (this.#viewers.size === 0) return;
    this.#out.pause();
    const views = [...this.#viewers].map((viewer) => viewer(output).catch(() => {}));
    void Promise.all(views).then(() => this.#out.resume());
  }

  #look(): void {
    if (isHeld(this.#dir)) return;
    this.isGone = true;
    this.close();
  }
}

/** Whether the program that holds the terminal still runs; true also before it has said who it is. */
function isHeld(dir: string): boolean {
  let pid: string;
  try {
    pid = readFileSync(join(dir, 'pid'), 'utf8').trim();
  } catch {
    return true;
  }
  return !hasEnded(Number(pid));
}
