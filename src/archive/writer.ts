/** Writes an archive: documents, and any number of streams at the same time, in pieces that are compressed in parallel. */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { type Pack, pack } from 'tar-stream';
import { AT_ONCE, ChunkThreads, PACKED, type Packed } from './chunk-threads.ts';
import { CHUNK, chunkName, MAGIC, README, sealOf } from './layout.ts';
import { Skeleton } from './skeleton.ts';

const EPOCH = new Date(0);

export class ArchiveWriter {
  /** Bytes written so far. */
  bytes = 0;
  /** The seal has been handed over: whoever reads may have the whole archive. */
  isSealed = false;
  readonly #out: Writable;
  readonly #tar: Pack = pack();
  readonly #skeleton = new Skeleton();
  readonly #written: Promise<void>;
  #tail: Promise<void> = Promise.resolve();
  #failed: unknown;
  #busy = 0;
  readonly #waiting: (() => void)[] = [];
  /** Used again: memory that is touched for the first time is slow. */
  readonly #pieces: SharedArrayBuffer[] = [];
  readonly #packed: SharedArrayBuffer[] = [];
  /** Packed pieces on their way into `out`, by their memory. */
  readonly #leaving = new Map<ArrayBufferLike, { left: number; gone: () => void }>();
  readonly #keepsNothing: boolean;
  readonly #threads = new ChunkThreads();

  /**
   * @param out is ended by `finish`, and destroyed by `destroy`
   * @param options.keepsNothing `out` has no use for what was written to it once it has called back
   */
  constructor(out: Writable, { keepsNothing = false } = {}) {
    this.#out = out;
    this.#keepsNothing = keepsNothing;
    out.on('error', (error) => this.#fail(error));
    this.#written = this.#drain();
    this.#written.catch((error: unknown) => this.#fail(error));
    this.#tar.entry({ ...plain(MAGIC), size: Buffer.byteLength(README) }, README);
  }

  /** On its way, in order with what follows. @throws where nothing can be written any more. */
  async document(name: string, value: unknown): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(value, null, 1));
    await this.#enqueue(name, Promise.resolve({ bytes, digest: digestOf(bytes) }));
  }

  /** A stream of this name; its `finish` says that all of it is on its way. */
  stream(name: string): Writable {
    let filled = 0;
    let number = 0;
    let memory: SharedArrayBuffer | undefined;
    const send = async (last: boolean): Promise<void> => {
      const [whole, length] = [memory ?? this.#memory(), filled];
      memory = undefined;
      filled = 0;
      await this.#slot();
      const into = this.#packed.pop() ?? new SharedArrayBuffer(PACKED);
      const packed = this.#threads.pack(whole, length, into).then((piece) => {
        this.#pieces.push(whole);
        return piece;
      });
      // Not before it is written: what is packed sooner than the file takes it would fill the memory.
      const written = this.#enqueue(chunkName(name, number++, last), packed);
      const free = (): void => {
        this.#packed.push(into);
        this.#free();
      };
      void written.then(({ gone }) => gone).then(free, free);
    };
    const take = async (piece: Buffer): Promise<void> => {
      for (let at = 0; at < piece.length; ) {
        this.#check();
        memory ??= this.#memory();
        const taken = piece.copy(new Uint8Array(memory), filled, at);
        filled += taken;
        at += taken;
        // The last piece is only known when the stream ends: one that is full waits for what comes.
        if (filled === CHUNK) await send(false);
      }
    };
    return new Writable({
      highWaterMark: CHUNK,
      write: (piece: Buffer, _encoding, done) => void take(piece).then(() => done(), done),
      final: (done) =>
        void send(true)
          .then(() => this.#tail)
          .then(() => this.#check())
          .then(() => done(), done),
    });
  }

  /** Writes the end of the tar and the seal; all has been handed to `out` and that has finished when it resolves. */
  async finish(): Promise<void> {
    await this.#tail;
    this.#check();
    this.#tar.finalize();
    await this.#written;
    const seal = sealOf(this.#skeleton.digest());
    this.bytes += seal.length;
    this.isSealed = true;
    this.#threads[Symbol.dispose]();
    this.#out.end(seal);
    if (!this.#out.writableFinished) await once(this.#out, 'finish');
  }

  destroy(error: Error): void {
    this.#fail(error);
    this.#threads[Symbol.dispose]();
    this.#tar.destroy();
    this.#out.destroy();
  }

  /** Resolves when it is on its way, to what resolves when its memory may be used again. */
  #enqueue(name: string, packed: Promise<Packed>): Promise<{ gone: Promise<void> }> {
    const written = this.#tail.then(async () => {
      const { bytes, digest } = await packed;
      this.#check();
      const gone = this.#leave(bytes);
      const header = { ...plain(name), size: bytes.length, pax: { comment: `sha256:${digest}` } };
      await new Promise<void>((resolve, reject) => {
        this.#tar.entry(header, bytes, (error) => (error ? reject(error) : resolve()));
      });
      return { gone };
    });
    packed.catch(() => {});
    this.#tail = written.then(
      () => {},
      (error: unknown) => this.#fail(error),
    );
    return written;
  }

  #leave({ buffer, length }: Buffer): Promise<void> {
    if (!(buffer instanceof SharedArrayBuffer)) return Promise.resolve();
    return new Promise((gone) => this.#leaving.set(buffer, { left: length, gone }));
  }

  #left({ buffer, length }: Buffer): void {
    const leaving = this.#leaving.get(buffer);
    if (leaving === undefined) return;
    leaving.left -= length;
    if (leaving.left > 0) return;
    this.#leaving.delete(buffer);
    leaving.gone();
  }

  async #drain(): Promise<void> {
    for await (const piece of this.#tar as unknown as AsyncIterable<Buffer>) {
      this.#skeleton.update(piece);
      this.bytes += piece.length;
      const given = this.#keepsNothing ? piece : Buffer.from(piece);
      const hasRoom = this.#out.write(given, () => this.#left(piece));
      if (hasRoom || this.#failed !== undefined) continue;
      await new Promise<void>((resolve) => {
        const go = () => {
          this.#out.off('drain', go).off('close', go);
          resolve();
        };
        this.#out.on('drain', go).on('close', go);
        if (this.#out.destroyed) go();
      });
    }
    this.#check();
  }

  #memory(): SharedArrayBuffer {
    return this.#pieces.pop() ?? new SharedArrayBuffer(CHUNK);
  }

  async #slot(): Promise<void> {
    // Handed over by `#free` without ever being nobody's.
    if (this.#busy >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#busy++;
    if (this.#failed === undefined) return;
    this.#free();
    throw this.#failed;
  }

  #free(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy--;
    else next();
  }

  #fail(error: unknown): void {
    if (this.#failed !== undefined) return;
    this.#failed = error ?? new Error('The archive is not written on.');
    this.#tar.destroy();
    for (const { gone } of this.#leaving.values()) gone();
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }
}

/** Of what is small; see ChunkThreads for the rest. */
export function digestOf(bytes: Buffer): string {
  return hash('sha256', bytes);
}

/** The same bytes for the same content, whenever and by whomever it is written. */
function plain(name: string) {
  return { name, mode: 0o600, uid: 0, gid: 0, mtime: EPOCH, type: 'file' as const };
}
