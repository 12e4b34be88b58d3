/** Where the bytes of an archive come from: a stream, which is there once, or a file, which threads read by themselves. */
import type { FileHandle } from 'node:fs/promises';
import { PACKED, type Piece } from './chunk-threads.ts';

export interface ArchiveInput {
  /** The next bytes: as many as asked for, or all that are left. */
  take(length: number): Promise<Buffer>;
  /** The next bytes, for a thread; undefined where there are less. */
  piece(length: number): Promise<Piece | undefined>;
  close(): Promise<void>;
}

export class StreamInput implements ArchiveInput {
  readonly #pieces: AsyncIterator<Buffer>;
  #current: Buffer = Buffer.alloc(0);
  /** Memory of pieces, to be used again, see ChunkThreads.pack. */
  readonly #spare: SharedArrayBuffer[] = [];

  constructor(pieces: AsyncIterable<Buffer>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Buffer> {
    const into = Buffer.alloc(length);
    return into.subarray(0, await this.#fill(into));
  }

  async piece(length: number): Promise<Piece | undefined> {
    const pooled = length > PACKED ? undefined : (this.#spare.pop() ?? new SharedArrayBuffer(PACKED));
    const bytes = Buffer.from(pooled ?? new SharedArrayBuffer(length), 0, length);
    if ((await this.#fill(bytes)) < length) return undefined;
    return { from: bytes, free: () => void (pooled && this.#spare.push(pooled)) };
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  async #fill(into: Buffer): Promise<number> {
    for (let filled = 0; ; ) {
      const copied = this.#current.copy(into, filled);
      this.#current = this.#current.subarray(copied);
      filled += copied;
      if (filled === into.length) return filled;
      const { value, done } = await this.#pieces.next();
      if (done) return filled;
      this.#current = value;
    }
  }
}

/** What its pieces hold goes through no hands but the threads'. */
export class FileInput implements ArchiveInput {
  readonly #file: FileHandle;
  readonly #size: number;
  #position = 0;

  /** @param file is closed by whoever has opened it, when nothing of it is read any more. */
  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  async take(length: number): Promise<Buffer> {
    const into = Buffer.alloc(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#file.read(into, filled, length - filled, this.#position);
      if (bytesRead === 0) break;
      filled += bytesRead;
      this.#position += bytesRead;
    }
    return into.subarray(0, filled);
  }

  async piece(length: number): Promise<Piece | undefined> {
    const position = this.#position;
    if (position + length > this.#size) return undefined;
    this.#position += length;
    return { from: { fd: this.#file.fd, position, length } };
  }

  async close(): Promise<void> {}
}
