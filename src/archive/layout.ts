/**
 * What an archive is: a tar that any tar lists, then a seal.
 *
 *     drayage-archive-1                    a few words for whoever opens it by hand
 *     manifest.json                        what it holds, from where, made by what
 *     01-image.json                        what the stream 01-image is
 *     01-image.zst/000000                  its first 4 MiB as a zstd frame of their own
 *     01-image.zst/000001.last             the last of it
 *     ...
 *     (two blocks of zeros: the end of the tar)
 *     drayage-seal-1 sha256:<64 digits>    512 bytes: the digest of all this, see skeleton.ts
 *
 * Streams that are written at the same time lie in each other's gaps. `cat 01-image.zst/* | zstd -d` is a stream whole.
 * Every entry after the first carries the digest of its stored bytes as the pax record `comment`, which each tar reads
 * over; the seal tells a whole archive from one that is cut short or altered, without a look at its inside.
 */
import { DrayageError } from '../errors.ts';

/** The first bytes of every archive of this format. */
export const MAGIC = 'drayage-archive-1';
export const MANIFEST = 'manifest.json';
/** Bytes of a stream that are compressed together: less gives the compressors too little to do at a time. */
export const CHUNK = 4 << 20;
export const BLOCK = 512;
/** What an entry may hold: a chunk that did not get smaller, or a document. */
export const MAX_ENTRY = 64 << 20;

export const README = `This is a running workload, archived by drayage.

drayage inspect FILE    shows what is inside
drayage import FILE     lets it run on

Each directory NAME.zst holds the pieces of one stream: cat NAME.zst/* | zstd -d
`;

export function sealOf(digest: string): Buffer {
  const seal = Buffer.alloc(BLOCK);
  seal.write(`drayage-seal-1 sha256:${digest}\n`);
  return seal;
}

const CHUNK_NAME = /^(?<stream>[0-9]{2,6}-[a-z]+)\.zst\/(?<number>[0-9]{6,9})(?<last>\.last)?$/;
const DOCUMENT_NAME = /^(?<name>[A-Za-z0-9][A-Za-z0-9-]{0,60}\.json)$/;

export type EntryName =
  | { kind: 'document'; name: string }
  | { kind: 'chunk'; stream: string; number: number; last: boolean };

export function chunkName(stream: string, number: number, last: boolean): string {
  return `${stream}.zst/${String(number).padStart(6, '0')}${last ? '.last' : ''}`;
}

/** @throws DrayageError ARCHIVE_DAMAGED for a name that no archive has. */
export function parseName(name: string): EntryName {
  const document = DOCUMENT_NAME.exec(name)?.groups;
  if (document !== undefined) return { kind: 'document', name };
  const chunk = CHUNK_NAME.exec(name)?.groups;
  if (chunk === undefined) throw damaged(`it has an entry ${JSON.stringify(name)}`);
  return {
    kind: 'chunk',
    stream: chunk.stream as string,
    number: Number(chunk.number),
    last: chunk.last !== undefined,
  };
}

export function damaged(why: string, cause?: unknown): DrayageError {
  return new DrayageError('ARCHIVE_DAMAGED', `The archive is not what was written: ${why}.`, { cause });
}
