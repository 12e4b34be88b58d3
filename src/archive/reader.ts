/** Reads an archive from its start to its seal, each entry checked before it is handed on. */
import { extract } from 'tar-stream';
import { DrayageError } from '../errors.ts';
import { ChunkThreads, PACKED } from './chunk-threads.ts';
import { damaged, MAGIC, MAX_ENTRY, parseName } from './layout.ts';
import { unsealed } from './seal.ts';
import { digestOf } from './writer.ts';

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
  using threads = new ChunkThreads();
  const spare: SharedArrayBuffer[] = [];
  const ahead: Promise<Entry>[] = [];
  for await (const { name, digest, bytes } of stored(input, spare)) {
    const parsed = parseName(name);
    if (parsed.kind === 'chunk') order.check(parsed);
    const wanted = parsed.kind === 'document' || wants(parsed.stream);
    const entry = open({ name: parsed, bytes, digest, wanted }, threads);
    const free = (): void => {
      if (bytes.buffer.byteLength === PACKED) spare.push(bytes.buffer);
    };
    entry.then(free, () => {});
    ahead.push(entry);
    if (ahead.length > AHEAD) yield (await ahead.shift()) as Entry;
  }
  for (const entry of ahead) yield await entry;
  order.end();
}

interface Checked extends Pick<Stored, 'bytes' | 'digest'> {
  name: ReturnType<typeof parseName>;
  wanted: boolean;
}

async function open({ name, bytes, digest, wanted }: Checked, threads: ChunkThreads): Promise<Entry> {
  if (name.kind === 'document') {
    if (digestOf(bytes) !== digest) throw otherDigest(name.name);
    return { ...name, value: parseDocument(name.name, bytes) };
  }
  const { stream, last } = name;
  const stored = bytes.length;
  const content = await threads.open(bytes, digest, wanted);
  if (content === 'digest') throw otherDigest(stream);
  if (content === 'content') throw damaged(`its entry ${stream} cannot be decompressed`);
  return { kind: 'chunk', stream, last, bytes: content, stored };
}

function otherDigest(name: string): DrayageError {
  return damaged(`its entry ${name} has another digest`);
}

interface Stored {
  name: string;
  digest: string;
  /** In memory of its own, as much as for any piece where that is enough. */
  bytes: Buffer<SharedArrayBuffer>;
}

/** @param spare memory to be used again, see ChunkThreads.pack */
async function* stored(
  input: AsyncIterable<Buffer>,
  spare: SharedArrayBuffer[],
): AsyncGenerator<Stored, void, undefined> {
  const tar = extract();
  const fed = feed(input, tar);
  fed.catch((error: Error) => tar.destroy(error));
  let isFirst = true;
  try {
    for await (const entry of tar) {
      const { name, size = 0, pax } = entry.header;
      if (size > MAX_ENTRY) throw damaged(`its entry ${JSON.stringify(name)} says that it has ${size} bytes`);
      const memory = size > PACKED ? undefined : spare.pop();
      const bytes = Buffer.from(memory ?? new SharedArrayBuffer(Math.max(size, PACKED)), 0, size);
      let filled = 0;
      for await (const piece of entry) filled += (piece as Buffer).copy(bytes, filled);
      if (isFirst && name !== MAGIC) throw damaged('its first entry is another');
      if (!isFirst) {
        const digest = /^sha256:([0-9a-f]{64})$/.exec((pax as Record<string, string> | undefined)?.comment ?? '')?.[1];
        if (digest === undefined) throw damaged(`its entry ${JSON.stringify(name)} has no digest`);
        yield { name, digest, bytes };
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
