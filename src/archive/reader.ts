/** Reads an archive from its start to its seal, each entry checked before it is handed on. */
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { extract } from 'tar-stream';
import { DrayageError } from '../errors.ts';
import { CHUNK, damaged, MAGIC, MAX_ENTRY, parseName } from './layout.ts';
import { unsealed } from './seal.ts';
import { digestOf } from './writer.ts';

const decompress = promisify(zstdDecompress);
/** Entries that are decompressed ahead. */
const AHEAD = 3;

export type Entry =
  | { kind: 'document'; name: string; value: unknown }
  /** `bytes` are what was put into the stream; undefined where the reader did not want them. `stored` is what they take here. */
  | { kind: 'chunk'; stream: string; last: boolean; bytes: Buffer | undefined; stored: number };

export interface ReadOptions {
  /** Streams whose content is wanted; default all. */
  wants?: (stream: string) => boolean;
}

/**
 * All entries in order. When it ends without an error, the archive was whole.
 * @throws DrayageError ARCHIVE_FOREIGN, ARCHIVE_DAMAGED
 */
export async function* readArchive(
  input: AsyncIterable<Buffer>,
  { wants = () => true }: ReadOptions = {},
): AsyncGenerator<Entry, void, undefined> {
  const order = new ChunkOrder();
  const ahead: Promise<Entry>[] = [];
  for await (const { name, digest, bytes } of stored(input)) {
    const parsed = parseName(name);
    if (parsed.kind === 'chunk') order.check(parsed);
    const wanted = parsed.kind === 'document' || wants(parsed.stream);
    const entry = open(parsed, bytes, digest, wanted);
    entry.catch(() => {});
    ahead.push(entry);
    if (ahead.length > AHEAD) yield (await ahead.shift()) as Entry;
  }
  for (const entry of ahead) yield await entry;
  order.end();
}

async function open(
  name: ReturnType<typeof parseName>,
  bytes: Buffer,
  digest: string,
  wanted: boolean,
): Promise<Entry> {
  const called = name.kind === 'document' ? name.name : name.stream;
  if (digestOf(bytes) !== digest) throw damaged(`its entry ${called} has another digest`);
  if (name.kind === 'document') return { ...name, value: parseDocument(name.name, bytes) };
  const { stream, last } = name;
  if (!wanted) return { kind: 'chunk', stream, last, bytes: undefined, stored: bytes.length };
  try {
    const content = await decompress(bytes, { chunkSize: CHUNK, maxOutputLength: CHUNK });
    return { kind: 'chunk', stream, last, bytes: content, stored: bytes.length };
  } catch (error) {
    throw damaged(`its entry ${called} cannot be decompressed`, error);
  }
}

interface Stored {
  name: string;
  digest: string;
  bytes: Buffer;
}

async function* stored(input: AsyncIterable<Buffer>): AsyncGenerator<Stored, void, undefined> {
  const tar = extract();
  const fed = feed(input, tar);
  fed.catch((error: Error) => tar.destroy(error));
  let isFirst = true;
  try {
    for await (const entry of tar) {
      const { name, size = 0, pax } = entry.header;
      if (size > MAX_ENTRY) throw damaged(`its entry ${JSON.stringify(name)} says that it has ${size} bytes`);
      const pieces: Buffer[] = [];
      for await (const piece of entry) pieces.push(piece as Buffer);
      if (isFirst && name !== MAGIC) throw damaged('its first entry is another');
      if (!isFirst) {
        const digest = /^sha256:([0-9a-f]{64})$/.exec((pax as Record<string, string> | undefined)?.comment ?? '')?.[1];
        if (digest === undefined) throw damaged(`its entry ${JSON.stringify(name)} has no digest`);
        yield { name, digest, bytes: pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces) };
      }
      isFirst = false;
    }
    await fed;
  } catch (error) {
    // What the input itself had to say explains more than what came of it.
    tar.destroy();
    const cause = await fed.then(
      () => error,
      (reason: unknown) => (reason === FED ? error : reason),
    );
    throw cause instanceof DrayageError || isOfSystem(cause) ? cause : damaged('it cannot be read as a tar', cause);
  }
}

/** What feeding ends with where the reader does not want more. */
const FED = Symbol('the reader has ended');

async function feed(input: AsyncIterable<Buffer>, tar: ReturnType<typeof extract>): Promise<void> {
  const closed = new Promise<void>((resolve) => void tar.once('close', () => resolve()));
  for await (const piece of unsealed(input)) {
    if (tar.destroyed) throw FED;
    if (!tar.write(piece))
      await Promise.race([new Promise<void>((resolve) => tar.once('drain', () => resolve())), closed]);
  }
  tar.end(undefined);
}

function isOfSystem(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.syscall !== undefined;
}

function parseDocument(name: string, bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw damaged(`its entry ${name} is no JSON`, error);
  }
}

/** Every stream's chunks follow each other, and each stream has its last one. */
class ChunkOrder {
  readonly #next = new Map<string, number>();

  check({ stream, number, last }: { stream: string; number: number; last: boolean }): void {
    const expected = this.#next.get(stream) ?? 0;
    if (number !== expected) throw damaged(`the pieces of ${stream} are out of order`);
    this.#next.set(stream, last ? Number.POSITIVE_INFINITY : number + 1);
  }

  end(): void {
    for (const [stream, next] of this.#next) {
      if (next !== Number.POSITIVE_INFINITY) throw damaged(`${stream} has no end`);
    }
  }
}
