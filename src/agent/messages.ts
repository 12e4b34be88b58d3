/**
 * JSON-RPC messages over a duplex, framed as vscode-jsonrpc does (`Content-Length: N`, empty line, N bytes of JSON), but
 * bounded: the library's own reader would buffer whatever length a peer announces.
 */
import type { Duplex } from 'node:stream';
import {
  AbstractMessageReader,
  AbstractMessageWriter,
  type DataCallback,
  type Disposable,
  Message,
  type MessageReader,
  type MessageWriter,
} from 'vscode-jsonrpc/node';
import { DrayageError } from '../errors.ts';
import { toWire } from './wire-error.ts';

export const MAX_MESSAGE_BYTES = 16 << 20;
const MAX_HEADER_BYTES = 1024;
const HEADER_END = Buffer.from('\r\n\r\n');

export class BoundedReader extends AbstractMessageReader implements MessageReader {
  readonly #duplex: Duplex;
  /** Called for every piece that arrives, also of a message that is not complete. */
  readonly #onBytes: () => void;
  #buffer: Buffer = Buffer.alloc(0);
  /** Pieces of a body that is not complete; joined once, when it is. */
  #body: { pieces: Buffer[]; missing: number } | undefined;
  #callback: DataCallback = () => {};
  #failed = false;
  /** How many messages have come. */
  messages = 0;

  constructor(duplex: Duplex, onBytes: () => void) {
    super();
    this.#duplex = duplex;
    this.#onBytes = onBytes;
  }

  listen(callback: DataCallback): Disposable {
    this.#callback = callback;
    const onData = (chunk: Buffer) => this.#take(chunk);
    const onEnd = () => this.fireClose();
    const onError = (error: Error) => this.fireError(error);
    this.#duplex.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onError);
    return { dispose: () => void this.#duplex.off('data', onData).off('end', onEnd).off('close', onEnd) };
  }

  #take(chunk: Buffer): void {
    this.#onBytes();
    try {
      for (let rest = chunk; rest.length > 0 && !this.#failed; ) {
        rest = this.#body === undefined ? this.#takeHeader(rest) : this.#takeBody(rest, this.#body);
      }
    } catch (error) {
      this.#failed = true;
      this.#buffer = Buffer.alloc(0);
      this.#body = undefined;
      this.fireError(error);
    }
  }

  #takeHeader(chunk: Buffer): Buffer {
    const seen = this.#buffer.length;
    this.#buffer = Buffer.concat([this.#buffer, chunk.subarray(0, MAX_HEADER_BYTES + HEADER_END.length - seen)]);
    const end = this.#buffer.indexOf(HEADER_END);
    if (end === -1) {
      if (this.#buffer.length >= MAX_HEADER_BYTES) throw protocolError('a message header has no end');
      return Buffer.alloc(0);
    }
    const length = /^content-length: *(\d{1,9})$/im.exec(
      this.#buffer.toString('latin1', 0, end).replaceAll('\r', ''),
    )?.[1];
    if (length === undefined) throw protocolError('a message header has no length');
    if (Number(length) > MAX_MESSAGE_BYTES) throw protocolError(`a message of ${length} bytes is too large`);
    this.#buffer = Buffer.alloc(0);
    this.#body = { pieces: [], missing: Number(length) };
    return chunk.subarray(end + HEADER_END.length - seen);
  }

  #takeBody(chunk: Buffer, body: { pieces: Buffer[]; missing: number }): Buffer {
    const piece = chunk.subarray(0, body.missing);
    body.pieces.push(piece);
    body.missing -= piece.length;
    if (body.missing === 0) {
      this.#body = undefined;
      this.messages++;
      this.#callback(parse(Buffer.concat(body.pieces)));
    }
    return chunk.subarray(piece.length);
  }
}

export class BoundedWriter extends AbstractMessageWriter implements MessageWriter {
  readonly #duplex: Duplex;

  constructor(duplex: Duplex) {
    super();
    this.#duplex = duplex;
  }

  /**
   * Resolves when the message has left this process.
   * @throws DrayageError AGENT_PROTOCOL where it is too large; for an answer that error is sent in its place.
   */
  async write(message: Message): Promise<void> {
    let body = Buffer.from(JSON.stringify(message));
    if (body.length > MAX_MESSAGE_BYTES) {
      const error = protocolError(`a message of ${body.length} bytes is too large`);
      if (!Message.isResponse(message)) throw error;
      const { jsonrpc, id } = message;
      body = Buffer.from(
        JSON.stringify({ jsonrpc, id, error: { code: -32603, message: error.message, data: toWire(error) } }),
      );
    }
    const framed = Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]);
    await new Promise<void>((resolve, reject) => {
      this.#duplex.write(framed, (error) => (error ? reject(error) : resolve()));
    });
  }

  end(): void {
    this.#duplex.end();
  }
}

function parse(body: Buffer): Message {
  let message: unknown;
  try {
    message = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw protocolError('a message is not JSON', error);
  }
  if (typeof message !== 'object' || message === null) throw protocolError('a message is not an object');
  return message as Message;
}

function protocolError(what: string, cause?: unknown): DrayageError {
  return new DrayageError('AGENT_PROTOCOL', `The agents' protocol was violated: ${what}.`, { cause });
}
