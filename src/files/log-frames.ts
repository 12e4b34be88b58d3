/** How a log travels: a line of JSON, and after `data` as many bytes as it says. The target answers one line. */
import type { Duplex, Writable } from 'node:stream';
import { z } from 'zod';
import { DrayageError } from '../errors.ts';
import { written } from './written.ts';

/** A rotated file's name is the log's own with one of these: `.1`, `.2.gz`. */
export const SUFFIX = /^\.[1-9]\d{0,3}(\.gz)?$/;
export const MAX_DATA = 256 << 10;
const MAX_LINE = 512;

const frameSchema = z.discriminatedUnion('op', [
  /** Begins a file anew; the empty suffix is the log that is being written. */
  z.strictObject({ op: z.literal('file'), suffix: z.union([z.literal(''), z.string().regex(SUFFIX)]) }),
  /** Bytes for the file begun last; or, after `seal`, for the end of the log. */
  z.strictObject({ op: z.literal('data'), bytes: z.int().min(1).max(MAX_DATA) }),
  /** The engine opens the log after this; keep so many bytes free for what is still to come. */
  z.strictObject({
    op: z.literal('seal'),
    reserve: z
      .int()
      .min(0)
      .max(64 << 20),
  }),
  /** All is sent. */
  z.strictObject({ op: z.literal('end') }),
]);
const answerSchema = z.strictObject({ ok: z.literal(true), lost: z.int().min(0) });

export type Frame = z.infer<typeof frameSchema>;

/** `lost` bytes did not fit into what was reserved, and are missing. */
export type Answer = z.infer<typeof answerSchema>;

export async function writeFrame(stream: Writable, frame: Frame, data?: Uint8Array): Promise<void> {
  const head = Buffer.from(`${JSON.stringify(frame)}\n`);
  await written(stream, data === undefined ? head : Buffer.concat([head, data])).catch((error: unknown) => {
    throw broken(error);
  });
}

/** Frames as they come; `data` with its bytes. */
export async function* readFrames(stream: Duplex): AsyncGenerator<{ frame: Frame; data: Buffer }> {
  const bytes = new Bytes(stream);
  for (;;) {
    const line = await bytes.line();
    if (line === undefined) return;
    const frame = parse(frameSchema, line);
    yield { frame, data: frame.op === 'data' ? await bytes.take(frame.bytes) : Buffer.alloc(0) };
  }
}

/** @throws DrayageError FILES_LOG_STREAM where the stream ends before the target has answered. */
export async function readAnswer(stream: Duplex): Promise<Answer> {
  const line = await new Bytes(stream).line();
  if (line === undefined) throw broken();
  return parse(answerSchema, line);
}

export async function writeAnswer(stream: Duplex, answer: Answer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.end(`${JSON.stringify(answer)}\n`, () => resolve());
    stream.once('error', (error) => reject(broken(error)));
  });
}

function parse<T>(schema: z.ZodType<T>, line: string): T {
  try {
    return schema.parse(JSON.parse(line));
  } catch (error) {
    throw new DrayageError('FILES_LOG_STREAM', 'What came over the stream of a log is not a log.', { cause: error });
  }
}

function broken(cause?: unknown): DrayageError {
  return new DrayageError('FILES_LOG_STREAM', 'The stream of the log broke.', { cause });
}

/** Takes lines and blocks from a stream; holds no more than one of either, and what came with it. */
class Bytes {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: Duplex) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** Undefined at the end of the stream. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf(0x0a);
      if (end >= 0) {
        const line = this.#rest.toString('utf8', 0, end);
        this.#rest = this.#rest.subarray(end + 1);
        return line;
      }
      if (this.#rest.length > MAX_LINE) throw broken(new Error('line too long'));
      if (!(await this.#more())) {
        if (this.#rest.length > 0) throw broken();
        return undefined;
      }
    }
  }

  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      if (this.#rest.length === 0 && !(await this.#more())) throw broken();
      const part = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(part.length);
      parts.push(part);
      left -= part.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  async #more(): Promise<boolean> {
    try {
      const { value, done } = await this.#chunks.next();
      if (done) return false;
      this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value]);
      return true;
    } catch (error) {
      throw broken(error);
    }
  }
}
