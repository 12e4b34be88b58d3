/**
 * A container's log on its way, the source's side: what `docker logs` reads, as files of the json-file or local driver.
 * First everything while the workload runs, before the target's engine opens the copy's log; at the end of the freeze
 * only what was added since. Descriptors stay open in between, so a rotation in that time loses nothing: what it moved
 * away is still read to its end, and on the target the lines follow each other in one file.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import { MAX_DATA, readAnswer, SUFFIX, writeFrame } from './log-frames.ts';
import { PaddingStripper } from './log-padding.ts';

export type LogFormat = 'json-file' | 'local';

export interface LogSyncOptions {
  /** The file that is being written; rotated ones are beside it. Need not be there. */
  logPath: string;
  format: LogFormat;
  /** A stream to the target's `LogCopy.receive`. */
  open(pass: 'first' | 'final'): Promise<Duplex>;
  signal?: AbortSignal;
  /** Told of the bytes that this pass has sent so far. */
  onProgress?(bytes: number): void;
}

/** Free room in the copy's log for what is written until the final pass: so much, or what comes in so long. */
const RESERVE = { bytes: 64 << 10, seconds: 10, most: 8 << 20 };
const SNAPSHOT_TRIES = 60;
const SNAPSHOT_RETRY_MS = 50;

export class LogSync {
  readonly #options: LogSyncOptions;
  /** The log as it is being written, and how far it has been sent. */
  #current: { fd: number; offset: number } | undefined;
  #prepared: Duplex | undefined;
  #sent = 0;
  readonly #seen: { size: number; at: number };

  /** Made early, it knows better how fast the log grows. */
  constructor(options: LogSyncOptions) {
    this.#options = options;
    this.#seen = { size: sizeOf(options.logPath), at: performance.now() };
  }

  /**
   * Sends the whole log. The target's engine may open the copy's log when this has resolved, and not before.
   * @returns bytes sent
   * @throws DrayageError FILES_LOG_STREAM | FILES_UNREADABLE
   */
  async firstPass(): Promise<number> {
    const { format } = this.#options;
    this.#close();
    const files = await this.#snapshot();
    const stream = await this.#open('first');
    this.#sent = 0;
    try {
      for (const { suffix, fd } of files) {
        await writeFrame(stream, { op: 'file', suffix });
        await this.#drain(stream, { fd, offset: 0 });
      }
      await writeFrame(stream, { op: 'file', suffix: '' });
      if (this.#current !== undefined) {
        await this.#drain(stream, this.#current, format === 'json-file' ? new PaddingStripper() : undefined);
      }
      await writeFrame(stream, { op: 'seal', reserve: this.#reserve() });
      await this.#finish(stream);
    } finally {
      for (const { fd } of files) closeSync(fd);
    }
    return this.#sent;
  }

  /** Opens the stream of the final pass beforehand. */
  async prepareFinal(): Promise<void> {
    this.#prepared ??= await this.#open('final');
  }

  /**
   * Sends what was added since the first pass. For a workload that stands still, and whose log has settled.
   * @returns bytes sent, and those that found no room on the target: 0, or the workload logged megabytes meanwhile
   */
  async finalPass(): Promise<{ bytes: number; lost: number }> {
    this.#sent = 0;
    const files = this.#added();
    if (files.length === 0) {
      await this[Symbol.asyncDispose]();
      return { bytes: 0, lost: 0 };
    }
    await this.prepareFinal();
    const stream = this.#prepared as Duplex;
    this.#prepared = undefined;
    for (const file of files) await this.#drain(stream, file);
    const { lost } = await this.#finish(stream);
    this.#close();
    return { bytes: this.#sent, lost };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Ended, not broken off: the other side takes that for a stream that was not needed.
    this.#prepared?.end().resume();
    this.#prepared = undefined;
    this.#close();
  }

  async #open(pass: 'first' | 'final'): Promise<Duplex> {
    const stream = await this.#options.open(pass);
    stream.on('error', () => {}); // The next write or read tells.
    return stream;
  }

  /** Opens all files of the log such that no rotation came in between. */
  async #snapshot(): Promise<{ suffix: string; fd: number }[]> {
    const { logPath, signal } = this.#options;
    for (let attempt = 0; attempt < SNAPSHOT_TRIES; attempt++) {
      const suffixes = suffixesOf(logPath);
      const opened = suffixes.map((suffix) => ({ suffix, fd: openIfThere(logPath + suffix) }));
      const current = openIfThere(logPath);
      const isWhole = opened.every(({ suffix, fd }) => isStill(logPath + suffix, fd)) && isStill(logPath, current);
      // While the engine compresses a file it is there twice, once not whole.
      const isCompressing = suffixes.some((suffix) => suffixes.includes(`${suffix}.gz`));
      if (isWhole && !isCompressing) {
        if (current !== undefined) this.#current = { fd: current, offset: 0 };
        return opened.flatMap(({ suffix, fd }) => (fd === undefined ? [] : [{ suffix, fd }]));
      }
      for (const fd of [current, ...opened.map((file) => file.fd)]) if (fd !== undefined) closeSync(fd);
      await sleep(SNAPSHOT_RETRY_MS, undefined, signal === undefined ? {} : { signal });
    }
    throw new DrayageError('FILES_UNREADABLE', `The log ${logPath} is rotated too fast to be copied.`);
  }

  /** What has bytes that have not been sent, oldest first; the last one is `#current`. */
  #added(): { fd: number; offset: number }[] {
    const { logPath } = this.#options;
    const chain = this.#current === undefined ? [] : [this.#current];
    if (!isStill(logPath, this.#current?.fd)) {
      // Rotated meanwhile, perhaps more than once: between ours and the newest are those with lower numbers.
      const ours = suffixesOf(logPath).find((suffix) => isStill(logPath + suffix, this.#current?.fd));
      for (let number = Number(ours?.slice(1) ?? 1) - 1; number >= 0; number--) {
        const fd = openIfThere(number === 0 ? logPath : `${logPath}.${number}`);
        if (fd !== undefined) chain.push({ fd, offset: 0 });
      }
      this.#current = chain.at(-1);
    }
    return chain.filter(({ fd, offset }) => fstatSync(fd).size > offset);
  }

  async #drain(stream: Duplex, file: { fd: number; offset: number }, stripper?: PaddingStripper): Promise<void> {
    const { signal, onProgress } = this.#options;
    const buffer = Buffer.allocUnsafe(MAX_DATA);
    for (;;) {
      signal?.throwIfAborted();
      const length = readSync(file.fd, buffer, 0, buffer.length, file.offset);
      if (length === 0) return;
      file.offset += length;
      const read = buffer.subarray(0, length);
      const data = stripper === undefined ? read : stripper.strip(read);
      if (data.length === 0) continue;
      await writeFrame(stream, { op: 'data', bytes: data.length }, data);
      this.#sent += data.length;
      onProgress?.(this.#sent);
    }
  }

  async #finish(stream: Duplex): Promise<{ lost: number }> {
    await writeFrame(stream, { op: 'end' });
    const answer = await readAnswer(stream);
    stream.end();
    return answer;
  }

  #reserve(): number {
    const { size, at } = this.#seen;
    const grown = Math.max(0, (this.#current?.offset ?? 0) - size);
    const perSecond = (grown * 1000) / Math.max(performance.now() - at, 50);
    return Math.min(RESERVE.most, Math.max(RESERVE.bytes, Math.ceil(perSecond * RESERVE.seconds)));
  }

  #close(): void {
    if (this.#current !== undefined) closeSync(this.#current.fd);
    this.#current = undefined;
  }
}

/**
 * Resolves when nothing has been written to a file for a while: the last lines of a frozen container are still on their
 * way through a pipe, the engine and its driver.
 */
export async function settle(
  path: string,
  { quietMs = 5, atMostMs = 500, signal }: { quietMs?: number; atMostMs?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const deadline = performance.now() + atMostMs;
  let size = -1;
  let since = performance.now();
  for (;;) {
    const now = sizeOf(path);
    if (now !== size) since = performance.now();
    size = now;
    if (performance.now() - since >= quietMs || performance.now() > deadline) return;
    await sleep(1, undefined, signal === undefined ? {} : { signal });
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function suffixesOf(logPath: string): string[] {
  const name = basename(logPath);
  let names: string[];
  try {
    names = readdirSync(dirname(logPath));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new DrayageError('FILES_UNREADABLE', `The log ${logPath} cannot be read.`, { cause: error });
  }
  return names
    .filter((other) => other.startsWith(name))
    .map((other) => other.slice(name.length))
    .filter((suffix) => SUFFIX.test(suffix));
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new DrayageError('FILES_UNREADABLE', `The log ${path} cannot be read.`, { cause: error });
  }
}

/** Whether a path still names the open file; of a path where nothing was, whether nothing is. */
function isStill(path: string, fd: number | undefined): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (fd === undefined || stat === undefined) return fd === undefined && stat === undefined;
  const open = fstatSync(fd);
  return open.ino === stat.ino && open.dev === stat.dev;
}
