/**
 * A container's log on the target. The engine opens the copy's log when its start begins, which is before the source
 * has written its last lines, and from then on goes by the size that it found (`pos` in moby's loggerutils/logfile.go):
 * what somebody else appends would hide as many bytes at the end from `docker logs`, for as long as the container runs.
 * So room is kept for those lines before the engine opens the file, and they are written into it; the file's size stays
 * what the engine believes.
 */
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { DrayageError } from '../errors.ts';
import { readFrames, SUFFIX, writeAnswer } from './log-frames.ts';
import { JsonTail, LocalTail, type LogTail } from './log-tail.ts';
import type { LogFormat } from './logs.ts';

export class LogCopy {
  readonly #path: string;
  readonly #format: LogFormat;
  /** The file begun last. */
  #fd: number | undefined;
  #size = 0;
  #tail: LogTail | undefined;

  /** @param path of the log that the engine will write for the copy; rotated ones go beside it. */
  constructor({ path, format }: { path: string; format: LogFormat }) {
    this.#path = path;
    this.#format = format;
  }

  /**
   * Serves one stream of `LogSync`, first or final pass, and resolves when it is answered. A stream that ends without
   * a word is one that was not needed.
   * @throws DrayageError FILES_LOG_STREAM, or the file system's error
   */
  async receive(stream: Duplex, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    stream.on('error', () => {}); // The next write or read tells.
    try {
      for await (const { frame, data } of readFrames(stream)) {
        signal?.throwIfAborted();
        switch (frame.op) {
          case 'file':
            this.#begin(frame.suffix);
            break;
          case 'data':
            this.#write(data);
            break;
          case 'seal':
            this.#seal(frame.reserve);
            break;
          case 'end':
            await writeAnswer(stream, { ok: true, lost: this.#tail?.finish() ?? 0 });
            return;
          default:
            frame satisfies never;
        }
      }
    } finally {
      this.#close();
    }
  }

  #begin(suffix: string): void {
    if (this.#tail !== undefined) throw new DrayageError('FILES_LOG_STREAM', 'A log was sent anew after its seal.');
    if (this.#fd === undefined) this.#clear();
    this.#close();
    this.#fd = openSync(this.#path + suffix, 'w', 0o640);
    this.#size = 0;
  }

  /** What an earlier first pass left. */
  #clear(): void {
    const directory = dirname(this.#path);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const name = basename(this.#path);
    for (const other of readdirSync(directory)) {
      if (other.startsWith(name) && SUFFIX.test(other.slice(name.length))) rmSync(join(directory, other));
    }
  }

  #write(data: Buffer): void {
    if (this.#tail !== undefined) {
      this.#tail.add(data);
      return;
    }
    if (this.#fd === undefined) throw new DrayageError('FILES_LOG_STREAM', 'Bytes of a log came before its name.');
    for (let done = 0; done < data.length; ) done += writeSync(this.#fd, data, done);
    this.#size += data.length;
  }

  #seal(reserve: number): void {
    this.#close();
    const place = { path: this.#path, size: this.#size, reserve };
    this.#tail = this.#format === 'local' ? new LocalTail(place) : new JsonTail(place);
  }

  #close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
