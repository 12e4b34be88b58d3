/**
 * How memory images cross. A frame is a header of 16 bytes, {file number: u32, length: u32, offset: u64}, and then
 * `length` bytes of that file. File number 0 announces a file: its payload is `number name`; a frame of number 0 and no
 * payload is the end, which the target answers with one byte when all is written.
 */
import { DrayageError } from '../errors.ts';

export const HEADER = 16;
/** The most payload of a frame. */
export const CHUNK = 512 << 10;
/** Where images of this name go, in place of the dump's own directory: what was sent while the workload ran. */
export const PARENT = 'parent';
export const FILE_NAME = /^(?:parent\/)?[A-Za-z0-9][A-Za-z0-9._-]{0,250}$/;

export function frameHeader(number: number, length: number, offset: number, into = Buffer.allocUnsafe(HEADER)): Buffer {
  into.writeUInt32LE(number, 0);
  into.writeUInt32LE(length, 4);
  into.writeUInt32LE(offset % 2 ** 32, 8);
  into.writeUInt32LE(Math.floor(offset / 2 ** 32), 12);
  return into;
}

export interface FrameHandler {
  announce(payload: Buffer): void;
  data(number: number, offset: number, payload: Buffer): void;
}

/** Cuts a byte stream into frames, without copying the payload of data frames. */
export class FrameParser {
  ended = false;
  readonly #on: FrameHandler;
  readonly #head = Buffer.alloc(HEADER);
  #headFilled = 0;
  #number = 0;
  #offset = 0;
  #left = 0;
  #announced: Buffer[] = [];

  constructor(on: FrameHandler) {
    this.#on = on;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.ended) throw protocolError('more after the end of the memory images');
      if (this.#left === 0) {
        const take = chunk.copy(this.#head, this.#headFilled, at, at + HEADER - this.#headFilled);
        this.#headFilled += take;
        at += take;
        if (this.#headFilled === HEADER) this.#begin();
        continue;
      }
      const take = Math.min(this.#left, chunk.length - at);
      this.#payload(chunk.subarray(at, at + take));
      at += take;
    }
  }

  #begin(): void {
    this.#headFilled = 0;
    this.#number = this.#head.readUInt32LE(0);
    this.#left = this.#head.readUInt32LE(4);
    this.#offset = Number(this.#head.readBigUInt64LE(8));
    if (this.#left > CHUNK) throw protocolError(`a frame of ${this.#left} bytes`);
    if (this.#number === 0 && this.#left === 0) this.ended = true;
  }

  #payload(part: Buffer): void {
    this.#left -= part.length;
    if (this.#number !== 0) {
      this.#on.data(this.#number, this.#offset, part);
      this.#offset += part.length;
      return;
    }
    this.#announced.push(Buffer.from(part)); // Its memory may be used again before the rest has come.
    if (this.#left > 0) return;
    this.#on.announce(Buffer.concat(this.#announced));
    this.#announced = [];
  }
}

export function lost(cause: Error | null | undefined): DrayageError {
  return new DrayageError('CHANNEL_LOST', 'The connection for the memory images was lost.', {
    cause: cause ?? undefined,
  });
}

export function protocolError(what: string): DrayageError {
  return new DrayageError('PROTOCOL', `The other agent sent what it should not: ${what}.`);
}
