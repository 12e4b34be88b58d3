/**
 * One bulk channel as a Duplex, over a TLS or ssh stream. The bytes go in frames: a length of 4 bytes, big-endian, and
 * so many bytes. Length 0 is the end of that direction, 0xffffffff announces a last frame with the sender's error.
 *
 * Why frames at all: neither node's TLS (a missing close_notify is a plain `end`, tried with kill -9 on node 24) nor
 * ssh's stdio tells an end from a broken connection, and half a memory image must never pass for a whole one. One
 * header a write costs nothing that could be measured at 256 KiB and more.
 */
import { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { DrayageError } from '../errors.ts';
import { fromWire, toWire } from './wire-error.ts';

const HEADER_BYTES = 4;
const END = 0;
const ERROR = 0xffffffff;
const MAX_FRAME_BYTES = 0x7fffffff;
const MAX_ERROR_BYTES = 64 << 10;
/** Received bytes are handed on in blocks of up to this size: fewer, larger writes for whoever takes them. */
const BLOCK_BYTES = 256 << 10;
/** How much may wait in a channel, each way. */
const BUFFER_BYTES = 1 << 20;
/** How long the last bytes may take to leave when a channel is given up. */
const FAREWELL_MS = 1000;

export interface ByteCount {
  sent: number;
  received: number;
}

export interface ChannelOptions {
  /** Who is at the other end, for messages. */
  peer: string;
  /** Counted up as bytes pass. */
  count: ByteCount;
}

export class ChannelStream extends Duplex {
  readonly #raw: Duplex;
  readonly #options: ChannelOptions;
  #header = Buffer.alloc(HEADER_BYTES);
  #headerFilled = 0;
  /** Bytes of the present frame still to come. */
  #missing = 0;
  #block: Buffer | undefined;
  #blockFilled = 0;
  #sink: ((piece: Buffer) => void) | undefined;
  /** The peer's error, as its frame comes in. */
  #errorFrame: Buffer[] | undefined;
  /** The peer's last byte, or its error, has come. */
  #ended = false;

  /**
   * With `fed`, the bytes are handed to `feed` by whoever reads the socket; else `raw` is read here.
   */
  constructor(raw: Duplex, options: ChannelOptions, { fed = false } = {}) {
    super({ allowHalfOpen: true, readableHighWaterMark: BUFFER_BYTES, writableHighWaterMark: BUFFER_BYTES });
    this.#raw = raw;
    this.#options = options;
    if (!fed) raw.on('data', (chunk: Buffer) => this.feed(chunk, false) || raw.pause());
    raw.on('end', () => this.#rawEnded());
    raw.on('close', () => this.#rawEnded());
    raw.on('error', (error) => this.destroy(this.#cut(error.message, error)));
    // It says so once, and has.
    if (raw.destroyed) process.nextTick(() => this.#rawEnded());
  }

  /**
   * Takes what came over the raw stream; false asks to hold back until `raw.resume()`.
   * @param reused the memory belongs to the caller, who overwrites it next
   */
  feed(chunk: Buffer, reused: boolean): boolean {
    let more = true;
    for (let at = 0; at < chunk.length && !this.destroyed; ) {
      if (this.#ended) {
        this.destroy(this.#cut('it sent more after the end'));
        break;
      }
      if (this.#missing === 0) {
        at += this.#takeHeader(chunk, at);
        continue;
      }
      const piece = chunk.subarray(at, Math.min(chunk.length, at + this.#missing));
      at += piece.length;
      this.#missing -= piece.length;
      if (this.#errorFrame !== undefined) this.#takeError(piece);
      else more = this.#takeData(piece, reused) && more;
    }
    return more;
  }

  /**
   * Hands every piece to `sink` until the peer's end, in place of `data` events. The memory of a piece is used again
   * as soon as `sink` returns. The way for gigabytes: no memory is allocated, so none has to be zeroed and collected.
   * @throws what `sink` throws, which destroys the stream; the stream's error
   */
  async consume(sink: (piece: Buffer) => void): Promise<void> {
    const ended = finished(this, { writable: false });
    try {
      for (let waiting = this.read(); waiting !== null; waiting = this.read()) sink(waiting as Buffer);
      if (this.#block !== undefined) sink(this.#block.subarray(0, this.#blockFilled));
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      this.#blockFilled = 0;
      this.#sink = sink;
      this.resume();
    } catch (error) {
      this.destroy(error as Error);
    }
    await ended;
  }

  override _read(): void {
    this.#raw.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (chunk.length === 0) {
      done(); // Its header would be the end.
      return;
    }
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header.writeUInt32BE(chunk.length);
    this.#options.count.sent += chunk.length;
    this.#raw.write(header);
    // Done only when the kernel has it: whoever writes from a pool of buffers may then use this one again.
    this.#raw.write(chunk, (error) => done(error && this.#cut(error.message, error)));
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#raw.write(Buffer.alloc(HEADER_BYTES));
    this.#raw.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#block = undefined;
    const raw = this.#raw;
    raw.on('error', () => {});
    if (error !== null && !this.#ended && !raw.destroyed && !raw.writableEnded) this.#sendError(error);
    // After a clean end the peer may still be reading: closing with its last bytes unread would reset the connection
    // and take from it what it has not read yet. So read on to its end, but not for ever.
    if (raw.destroyed || (raw.readableEnded && raw.writableFinished)) raw.destroy();
    else if (error === null && !(this.#ended && this.writableFinished)) raw.destroy();
    else {
      raw.on('end', () => raw.destroy()).resume();
      setTimeout(() => raw.destroy(), FAREWELL_MS).unref();
    }
    done(error);
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#header, this.#headerFilled, at, at + HEADER_BYTES - this.#headerFilled);
    this.#headerFilled += taken;
    if (this.#headerFilled < HEADER_BYTES) return taken;
    this.#headerFilled = 0;
    const length = this.#header.readUInt32BE();
    if (length === END && this.#errorFrame === undefined) {
      this.#ended = true;
      this.push(null);
    } else if (length === ERROR) {
      this.#errorFrame = [];
    } else if (length > (this.#errorFrame === undefined ? MAX_FRAME_BYTES : MAX_ERROR_BYTES)) {
      this.destroy(this.#cut('it announced more than a frame holds'));
    } else {
      this.#missing = length;
    }
    return taken;
  }

  #takeData(piece: Buffer, reused: boolean): boolean {
    this.#options.count.received += piece.length;
    if (this.#sink !== undefined) return this.#takeForSink(piece, this.#sink);
    if (!reused) return this.push(piece);
    let more = true;
    for (let at = 0; at < piece.length; ) {
      this.#block ??= Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, piece.length - at + this.#missing));
      at += this.#fill(this.#block, piece, at);
      if (this.#blockFilled < this.#block.length) continue;
      more = this.push(this.#block) && more;
      this.#block = undefined;
      this.#blockFilled = 0;
    }
    return more;
  }

  /** TLS comes in pieces of 16 KiB, and a write of each to a file would cost four times what one of 256 KiB does. */
  #takeForSink(piece: Buffer, sink: (piece: Buffer) => void): boolean {
    const block = this.#block as Buffer;
    try {
      if (piece.length >= block.length && this.#blockFilled === 0) sink(piece);
      else {
        for (let at = 0; at < piece.length; ) {
          at += this.#fill(block, piece, at);
          if (this.#blockFilled < block.length && (at < piece.length || this.#missing > 0)) continue;
          sink(block.subarray(0, this.#blockFilled));
          this.#blockFilled = 0;
        }
      }
    } catch (error) {
      this.destroy(error as Error);
    }
    return true;
  }

  #fill(block: Buffer, piece: Buffer, at: number): number {
    const taken = piece.copy(block, this.#blockFilled, at);
    this.#blockFilled += taken;
    return taken;
  }

  #takeError(piece: Buffer): void {
    this.#errorFrame?.push(Buffer.from(piece));
    if (this.#missing > 0) return;
    this.#ended = true;
    this.destroy(fromWire(parseJson(Buffer.concat(this.#errorFrame ?? []).toString('utf8'))));
  }

  #sendError(error: Error): void {
    const body = Buffer.from(JSON.stringify(toWire(error))).subarray(0, MAX_ERROR_BYTES);
    const header = Buffer.alloc(2 * HEADER_BYTES);
    header.writeUInt32BE(ERROR);
    header.writeUInt32BE(body.length, HEADER_BYTES);
    this.#raw.write(header);
    this.#raw.end(body);
  }

  #rawEnded(): void {
    if (!this.#ended && !this.destroyed) this.destroy(this.#cut('it ended in the middle'));
    else if (!this.writableFinished && this.#raw.destroyed && !this.destroyed) this.destroy(this.#cut('it was closed'));
  }

  #cut(why: string, cause?: Error): DrayageError {
    return new DrayageError('CHANNEL_CUT', `The bulk connection with ${this.#options.peer} broke: ${why}.`, { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
