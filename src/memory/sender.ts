/** The source's end of the stream of memory images: frames out of a few buffers that are used again and again. */
import type { Duplex } from 'node:stream';
import { CHUNK, frameHeader, HEADER, lost } from './frames.ts';

/** Less room than for this is not worth a frame. */
const LEAST_PIECE = 4096 + HEADER;

export class ImageSender {
  /** Payload sent so far. */
  bytes = 0;
  /** Told of it. */
  onBytes: (bytes: number) => void = () => {};
  readonly #out: Duplex;
  readonly #free: Buffer[];
  readonly #waiting: PromiseWithResolvers<Buffer>[] = [];
  readonly #acknowledged: Promise<void>;
  #files = 0;
  /** Frames that wait for more. */
  #gathered: { buffer: Buffer; length: number } | undefined;

  /** @param buffers of CHUNK bytes each: as many chunks can be under way at once. */
  constructor(out: Duplex, buffers: readonly Buffer[]) {
    this.#out = out;
    this.#free = [...buffers];
    out.once('close', () => {
      for (const waiting of this.#waiting.splice(0)) waiting.reject(lost(out.errored));
    });
    this.#acknowledged = acknowledgement(out);
    this.#acknowledged.catch(() => {});
  }

  /** A buffer that is nobody's; to be given back by `give`, or by `send`. */
  take(): Promise<Buffer> {
    if (this.#out.destroyed) return Promise.reject(lost(this.#out.errored));
    const buffer = this.#free.pop();
    if (buffer !== undefined) return Promise.resolve(buffer);
    const waiting = Promise.withResolvers<Buffer>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  give(buffer: Buffer): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(buffer);
    else next.resolve(buffer);
  }

  /** Begins a file; its number. */
  announce(name: string): number {
    const [number, announcement] = this.#announcement(name);
    this.#out.write(Buffer.concat(announcement));
    return number;
  }

  /** Sends the first `length` bytes of a taken buffer and gives it back when they are gone. */
  send(file: number, offset: number, buffer: Buffer, length: number): void {
    this.#out.write(frameHeader(file, length, offset));
    this.bytes += length;
    this.onBytes(this.bytes);
    this.#write(buffer.subarray(0, length)).then(
      () => this.give(buffer),
      () => {}, // `take`, `end` and the stream's own error tell.
    );
  }

  /**
   * Sends what `fill` puts into the buffers that it is given, `done` bytes of it being there already. Small pieces from
   * all over share a buffer and a write; the last of them leaves with `flush`.
   */
  async gather(
    file: number,
    offset: number,
    length: number,
    fill: (into: Buffer, done: number) => void,
  ): Promise<void> {
    for (let done = 0; done < length; ) {
      if (this.#gathered !== undefined && CHUNK - this.#gathered.length < LEAST_PIECE) this.flush();
      this.#gathered ??= { buffer: await this.take(), length: 0 };
      const { buffer, length: at } = this.#gathered;
      const size = Math.min(length - done, CHUNK - at - HEADER);
      frameHeader(file, size, offset + done).copy(buffer, at);
      fill(buffer.subarray(at + HEADER, at + HEADER + size), done);
      this.#gathered.length += HEADER + size;
      done += size;
      this.bytes += size;
    }
    this.onBytes(this.bytes);
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#gathered === undefined) return;
    const { buffer, length } = this.#gathered;
    this.#gathered = undefined;
    this.#write(buffer.subarray(0, length)).then(
      () => this.give(buffer),
      () => {}, // `take`, `end` and the stream's own error tell.
    );
  }

  /** Sends whole files that are in memory anyway, in as few writes as they fit in. */
  sendFiles(files: Iterable<{ name: string; bytes: Buffer }>): void {
    let parts: Buffer[] = [];
    let size = 0;
    const flush = () => {
      if (size > 0) this.#out.write(Buffer.concat(parts, size));
      [parts, size] = [[], 0];
    };
    const add = (...more: Buffer[]) => {
      for (const part of more) size += part.length;
      parts.push(...more);
      if (size >= CHUNK) flush();
    };
    for (const { name, bytes } of files) {
      const [number, announcement] = this.#announcement(name);
      add(...announcement);
      for (let at = 0; at < bytes.length; at += CHUNK) {
        const part = bytes.subarray(at, at + CHUNK);
        add(frameHeader(number, part.length, at), part);
      }
      this.bytes += bytes.length;
    }
    flush();
    this.onBytes(this.bytes);
  }

  /** Resolves when the target has everything. */
  async end(): Promise<void> {
    this.flush();
    this.#out.write(frameHeader(0, 0, 0));
    this.#out.end();
    await this.#acknowledged;
  }

  /** Breaks it off. */
  destroy(): void {
    this.#out.destroy();
  }

  /** Resolves when the memory may be used again. */
  #write(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#out.write(bytes, (error) => (error ? reject(lost(error)) : resolve())),
    );
  }

  #announcement(name: string): [number, [Buffer, Buffer]] {
    const payload = Buffer.from(`${++this.#files} ${name}`);
    return [this.#files, [frameHeader(0, payload.length, 0), payload]];
  }
}

async function acknowledgement(stream: Duplex): Promise<void> {
  for await (const _ of stream.iterator({ destroyOnReturn: false })) return;
  throw lost(stream.errored);
}
