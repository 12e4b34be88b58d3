/**
 * Memory images on their way: the source sends CRIU's image files while CRIU still writes them, the target puts them
 * into its staging area. A frame is a header of 16 bytes, {file number: u32, length: u32, offset: u64}, and then
 * `length` bytes. File number 0 announces a file: its payload is `number name`; a frame of number 0 and no payload is
 * the end, which the target answers with one byte when all is written.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';

const HEADER = 16;
/** Bytes of one data frame. One write a frame, from a pool of few buffers, keeps the agent's memory small. */
const CHUNK = 512 << 10;
/** Chunks that may be under way in the stream at once. */
const IN_FLIGHT = 8;
const MAX_FILES = 100_000;
/** CRIU only appends to these while it dumps; the other images are small and sent when the dump has ended. */
const APPEND_ONLY = /^pages-\d+\.img$/;
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,250}$/;

/**
 * Sends every file of `dir`, beginning while `dumped` is still pending, and resolves when the target has them all.
 * @returns bytes sent.
 * @throws what `dumped` rejects with, or the stream's error.
 */
export async function sendImages(
  dir: string,
  out: Duplex,
  dumped: Promise<void>,
  onBytes: (bytes: number) => void = () => {},
): Promise<number> {
  const sender = new Sender(out, onBytes);
  const acknowledged = readAcknowledgement(out);
  acknowledged.catch(() => {});
  let done = false;
  const settled = dumped.finally(() => {
    done = true;
  });
  settled.catch(() => {});
  const files = new Map<string, OpenFile>();
  try {
    for (;;) {
      const last = done;
      if (last) await settled;
      let moved = 0;
      for (const name of readdirSync(dir)) {
        if (!last && !APPEND_ONLY.test(name)) continue;
        let file = files.get(name);
        if (file === undefined) {
          file = { number: files.size + 1, fd: openSync(join(dir, name), 'r'), offset: 0 };
          files.set(name, file);
          await sender.announce(file.number, name);
        }
        moved += await sender.drain(file, last);
      }
      if (last) break;
      if (moved === 0) await Promise.race([settled, sleep(1)]);
    }
  } finally {
    for (const file of files.values()) closeSync(file.fd);
  }
  await sender.end();
  await acknowledged;
  return sender.bytes;
}

interface OpenFile {
  number: number;
  fd: number;
  offset: number;
}

class Sender {
  bytes = 0;
  readonly #out: Duplex;
  readonly #onBytes: (bytes: number) => void;
  readonly #pool: Buffer[] = [];
  readonly #freed: (() => void)[] = [];
  #made = 0;

  constructor(out: Duplex, onBytes: (bytes: number) => void) {
    this.#out = out;
    this.#onBytes = onBytes;
  }

  async announce(number: number, name: string): Promise<void> {
    const payload = Buffer.from(`${number} ${name}`);
    await this.#write(Buffer.concat([header(0, payload.length, 0), payload]));
  }

  /** Sends what the file holds beyond what was sent; unless it is the `last` time, only whole chunks. */
  async drain(file: OpenFile, last: boolean): Promise<number> {
    let moved = 0;
    for (;;) {
      const { size } = fstatSync(file.fd);
      if (size - file.offset < (last ? 1 : CHUNK)) return moved;
      const buffer = await this.#take();
      const length = readSync(file.fd, buffer, HEADER, CHUNK, file.offset);
      header(file.number, length, file.offset).copy(buffer);
      file.offset += length;
      moved += length;
      this.bytes += length;
      this.#send(buffer, HEADER + length);
      this.#onBytes(this.bytes);
    }
  }

  async end(): Promise<void> {
    await this.#write(header(0, 0, 0));
  }

  #send(buffer: Buffer, length: number): void {
    this.#out.write(buffer.subarray(0, length), () => {
      this.#pool.push(buffer);
      this.#freed.shift()?.();
    });
  }

  async #take(): Promise<Buffer> {
    if (this.#pool.length === 0 && this.#made < IN_FLIGHT) {
      this.#made++;
      return Buffer.allocUnsafeSlow(HEADER + CHUNK);
    }
    while (this.#pool.length === 0) {
      if (this.#out.destroyed) throw lost(this.#out.errored);
      await new Promise<void>((resolve) => {
        this.#freed.push(resolve);
        this.#out.once('close', resolve);
      });
    }
    return this.#pool.pop() as Buffer;
  }

  #write(data: Buffer): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#out.write(data, (error) => (error ? reject(lost(error)) : resolve())),
    );
  }
}

/**
 * Receives the files into `dir`, which must be empty or hold only files that may be replaced.
 * @returns bytes received.
 * @throws DrayageError PROTOCOL where the peer sends what it should not, MEMORY_STAGING where the staging area is full.
 */
export async function receiveImages(dir: string, input: Duplex): Promise<number> {
  const fds = new Map<number, number>();
  let bytes = 0;
  const frames = new FrameParser({
    announce: (payload) => {
      const [number, name] = payload.toString('utf8').split(' ', 2);
      if (name === undefined || !FILE_NAME.test(name) || fds.size >= MAX_FILES)
        throw protocolError(`image file ${JSON.stringify(name)}`);
      fds.set(Number(number), openSync(join(dir, name), 'w', 0o600));
    },
    data: (number, offset, payload) => {
      const fd = fds.get(number);
      if (fd === undefined) throw protocolError(`data of an unannounced file ${number}`);
      writeAll(fd, payload, offset);
      bytes += payload.length;
    },
  });
  try {
    for await (const chunk of input.iterator({ destroyOnReturn: false })) {
      frames.push(chunk as Buffer);
      if (frames.ended) {
        input.end(Buffer.of(1));
        return bytes;
      }
    }
    throw lost(input.errored);
  } catch (error) {
    throw error instanceof DrayageError ? error : lost(error as Error);
  } finally {
    for (const fd of fds.values()) closeSync(fd);
  }
}

interface FrameHandler {
  announce(payload: Buffer): void;
  data(number: number, offset: number, payload: Buffer): void;
}

/** Cuts a byte stream into frames, without copying the payload of data frames. */
class FrameParser {
  ended = false;
  readonly #on: FrameHandler;
  #head = Buffer.alloc(0);
  #number = 0;
  #offset = 0;
  #left = 0;
  #announced: Buffer[] = [];

  constructor(on: FrameHandler) {
    this.#on = on;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.ended) {
      if (this.#left === 0) {
        const take = Math.min(HEADER - this.#head.length, chunk.length - at);
        this.#head = Buffer.concat([this.#head, chunk.subarray(at, at + take)]);
        at += take;
        if (this.#head.length < HEADER) return;
        this.#begin();
        continue;
      }
      const take = Math.min(this.#left, chunk.length - at);
      this.#payload(chunk.subarray(at, at + take));
      at += take;
    }
  }

  #begin(): void {
    this.#number = this.#head.readUInt32LE(0);
    this.#left = this.#head.readUInt32LE(4);
    this.#offset = Number(this.#head.readBigUInt64LE(8));
    this.#head = Buffer.alloc(0);
    if (this.#left > CHUNK) throw protocolError(`frame of ${this.#left} bytes`);
    if (this.#number === 0 && this.#left === 0) this.ended = true;
  }

  #payload(part: Buffer): void {
    this.#left -= part.length;
    if (this.#number !== 0) {
      this.#on.data(this.#number, this.#offset, part);
      this.#offset += part.length;
      return;
    }
    this.#announced.push(part);
    if (this.#left > 0) return;
    this.#on.announce(Buffer.concat(this.#announced));
    this.#announced = [];
  }
}

function header(number: number, length: number, offset: number): Buffer {
  const buffer = Buffer.alloc(HEADER);
  buffer.writeUInt32LE(number, 0);
  buffer.writeUInt32LE(length, 4);
  buffer.writeBigUInt64LE(BigInt(offset), 8);
  return buffer;
}

function writeAll(fd: number, data: Buffer, position: number): void {
  let done = 0;
  try {
    while (done < data.length) done += writeSync(fd, data, done, data.length - done, position + done);
  } catch (cause) {
    throw new DrayageError('MEMORY_STAGING', `The memory images do not fit: ${(cause as Error).message}.`, { cause });
  }
}

async function readAcknowledgement(stream: Duplex): Promise<void> {
  for await (const _ of stream) return;
  throw lost(stream.errored);
}

function lost(cause: Error | null | undefined): DrayageError {
  return new DrayageError('CHANNEL_LOST', 'The connection for the memory images was lost.', {
    cause: cause ?? undefined,
  });
}

function protocolError(what: string): DrayageError {
  return new DrayageError('PROTOCOL', `The other agent sent what it should not: ${what}.`);
}
