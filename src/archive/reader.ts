/** Reads an archive from its start to its seal, each entry checked before it is handed on. */
import { ChunkThreads, openHere } from './chunk-threads.ts';
import { type Stored, storedEntries } from './entries.ts';
import type { ArchiveInput } from './input.ts';
import { damaged } from './layout.ts';
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
  input: ArchiveInput,
  { wants = () => true }: ReadOptions = {},
): AsyncGenerator<Entry, void, undefined> {
  const order = new ChunkOrder();
  using threads = new ChunkThreads();
  const ahead: Promise<Entry>[] = [];
  try {
    for await (const stored of storedEntries(input)) {
      if (stored.name.kind === 'chunk') order.check(stored.name);
      const entry = opened(stored, wants, threads);
      entry.catch(() => {}); // It is told in its turn.
      ahead.push(entry);
      if (ahead.length > AHEAD) yield (await ahead.shift()) as Entry;
    }
    for (const entry of ahead) yield await entry;
    order.end();
  } finally {
    // Threads read the file by its number, which is another's when it is closed.
    await Promise.allSettled(ahead);
  }
}

async function opened(
  { name, digest, size, content }: Stored,
  wants: (stream: string) => boolean,
  threads: ChunkThreads,
): Promise<Entry> {
  if (name.kind === 'document') {
    const document = content as Buffer;
    if (digestOf(document) !== digest) throw otherDigest(name.name);
    return { ...name, value: parseDocument(name.name, document) };
  }
  const { stream, last } = name;
  const isWanted = wants(stream);
  const bytes = Buffer.isBuffer(content)
    ? openHere(content, digest, isWanted)
    : await threads.open(content, digest, isWanted);
  if (bytes === 'digest') throw otherDigest(stream);
  if (bytes === 'content') throw damaged(`its entry ${stream} cannot be decompressed`);
  return { kind: 'chunk', stream, last, bytes, stored: size };
}

function otherDigest(name: string): Error {
  return damaged(`its entry ${name} has another digest`);
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
