/** Archives that come out of, or go into, the program at the other end: `-o -` and `import -`. */
import { createWriteStream } from 'node:fs';
import { mkdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { DrayageError } from '../errors.ts';
import type { ChannelHandler } from './channels.ts';

const metaSchema = z.object({ token: z.string().regex(/^[0-9a-f]{32}$/) });
const PATIENCE_MS = 30_000;
/** Left to whatever else has its place there; looked at again after so many bytes. */
const RESERVE_BYTES = 256 << 20;
const LOOK_EVERY_BYTES = 32 << 20;

export class ArchiveStreams {
  readonly #spool: string;
  readonly #readers = new Map<string, PromiseWithResolvers<Duplex>>();
  /** Files that an import needs, also when whoever brought them has gone. */
  readonly #kept = new Set<string>();

  /** @param spool where an archive is kept until it is known to be one: it is read twice, and a stream is there once. */
  constructor(spool: string) {
    this.#spool = spool;
  }

  /** What an agent that was stopped has left. */
  async clear(): Promise<void> {
    await rm(this.#spool, { recursive: true, force: true });
  }

  spooled(token: string): string {
    return join(this.#spool, metaSchema.parse({ token }).token);
  }

  keep(path: string): void {
    this.#kept.add(path);
  }

  async remove(path: string): Promise<void> {
    this.#kept.delete(path);
    await rm(path, { force: true });
  }

  /** The reader that comes with this token. @throws DrayageError CHANNEL_FAILED where none does. */
  async reader(token: string): Promise<Duplex> {
    const late = setTimeout(
      () => this.#expected(token).reject(new DrayageError('CHANNEL_FAILED', 'Nobody came to read the archive.')),
      PATIENCE_MS,
    );
    return this.#expected(token).promise.finally(() => {
      clearTimeout(late);
      this.#readers.delete(token);
    });
  }

  get handlers(): Record<string, ChannelHandler<unknown>> {
    return {
      'archive-out': async (stream, meta) => {
        this.#expected(metaSchema.parse(meta).token).resolve(stream);
        await new Promise<void>((resolve) => void stream.once('close', resolve));
      },
      'archive-in': async (stream, meta, { signal }) => {
        const path = this.spooled(metaSchema.parse(meta).token);
        await mkdir(this.#spool, { recursive: true, mode: 0o700 });
        const file = createWriteStream(path, { flags: 'wx', mode: 0o600, highWaterMark: 4 << 20 });
        try {
          await pipeline(this.#whileRoom(stream.iterator({ destroyOnReturn: false })), file);
        } catch (error) {
          await rm(path, { force: true });
          throw (error as NodeJS.ErrnoException).code === 'ENOSPC' ? this.#noRoom(error) : error;
        }
        // Refused, a dry run, a user who says no or is gone: nobody comes back for it.
        const gone = (): void => void (this.#kept.has(path) ? undefined : rm(path, { force: true }));
        signal.addEventListener('abort', gone, { once: true });
        if (signal.aborted) gone();
      },
    };
  }

  async *#whileRoom(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let unseen = LOOK_EVERY_BYTES;
    for await (const piece of pieces) {
      unseen += piece.length;
      if (unseen > LOOK_EVERY_BYTES) {
        const { bavail, bsize } = await statfs(this.#spool);
        if (bavail * bsize < RESERVE_BYTES) throw this.#noRoom();
        unseen = 0;
      }
      yield piece;
    }
  }

  #noRoom(cause?: unknown): DrayageError {
    const message = `The archive does not fit into ${this.#spool}, where it is kept until it has been checked.`;
    const remedy = 'Free room there, or give the archive as a file: that is read in its place.';
    return new DrayageError('ARCHIVE_READ', message, { remedy, cause });
  }

  #expected(token: string): PromiseWithResolvers<Duplex> {
    const known = this.#readers.get(token) ?? Promise.withResolvers<Duplex>();
    known.promise.catch(() => {});
    this.#readers.set(token, known);
    return known;
  }
}
