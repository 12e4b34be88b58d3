/** Hashes of many pages, by place, in a file of the staging area (a tmpfs), so that they take no memory of the agent. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { HASH_BYTES } from './page-hash/page-hasher.ts';

/** Places whose page differs, in the one file and in the other. */
export interface Differing {
  from: number;
  to: number;
  pages: number;
}

const CHUNK_PAGES = 4096;

/** Room for the hashes of so many pages, aligned as `differingHashes` needs it. */
export function hashBuffer(pages: number): Buffer {
  return Buffer.allocUnsafeSlow(pages * HASH_BYTES);
}

export class HashFile {
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = openSync(path, 'w+', 0o600);
  }

  write(at: number, hashes: Buffer): void {
    for (let done = 0; done < hashes.length; )
      done += writeSync(this.#fd, hashes, done, hashes.length - done, at * HASH_BYTES + done);
  }

  read(at: number, pages: number, into: Buffer): Buffer {
    const length = pages * HASH_BYTES;
    for (let done = 0; done < length; ) {
      const got = readSync(this.#fd, into, done, length - done, at * HASH_BYTES + done);
      if (got === 0) throw new Error('hashes of pages are missing');
      done += got;
    }
    return into.subarray(0, length);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Which of `pages` pages differ between place `from` in the one file and place `to` in the other. */
export function* differing(a: HashFile, from: number, b: HashFile, to: number, pages: number): Generator<Differing> {
  const [left, right] = [hashBuffer(CHUNK_PAGES), hashBuffer(CHUNK_PAGES)];
  for (let done = 0; done < pages; done += CHUNK_PAGES) {
    const count = Math.min(CHUNK_PAGES, pages - done);
    const [x, y] = [a.read(from + done, count, left), b.read(to + done, count, right)];
    for (const run of differingHashes(x, y)) {
      yield { from: from + done + run.at, to: to + done + run.at, pages: run.pages };
    }
  }
}

/** Runs of differing hashes in two buffers of the same length, both aligned to four bytes. */
export function* differingHashes(x: Buffer, y: Buffer): Generator<{ at: number; pages: number }> {
  const [a, b] = [words(x), words(y)];
  for (let start = 0; start < x.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, x.length);
    // Most are equal, and this is many times as fast as a look at each.
    if (x.compare(y, start, end, start, end) === 0) continue;
    let run: { at: number; pages: number } | undefined;
    for (let at = start / HASH_BYTES; at < end / HASH_BYTES; at++) {
      if (!isEqual(a, b, at)) {
        run ??= { at, pages: 0 };
        run.pages++;
      } else if (run !== undefined) {
        yield run;
        run = undefined;
      }
    }
    if (run !== undefined) yield run;
  }
}

/** Bytes of hashes that are compared at once. */
const BLOCK = 64 * HASH_BYTES;
const HASH_WORDS = HASH_BYTES / 4;

function isEqual(a: Int32Array, b: Int32Array, at: number): boolean {
  for (let word = at * HASH_WORDS; word < (at + 1) * HASH_WORDS; word++) if (a[word] !== b[word]) return false;
  return true;
}

function words(buffer: Buffer): Int32Array {
  return new Int32Array(buffer.buffer, buffer.byteOffset, buffer.length / 4);
}
