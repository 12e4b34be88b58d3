/** A workload's memory on its way to the target: what can be sent while it runs, then what its dump holds beyond that. */
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHUNK } from './frames.ts';
import { differing, HashFile } from './hash-file.ts';
import { PAGE, PageHasher } from './page-hash/page-hasher.ts';
import { align } from './page-layout.ts';
import { decodePagemap, encodePagemap, type Pagemap, type PagemapEntry, PE_PARENT } from './pagemap.ts';
import { type PrecopyOptions, precopy, type SentProcess } from './precopy.ts';
import { ImageSender } from './sender.ts';

/** Chunks that may be under way in the stream at once. */
const BUFFERS = 8;
/** CRIU only appends to these while it dumps; the other images are small and sent when the dump has ended. */
const PAGES_IMAGE = /^pages-(\d+)\.img$/;
const PAGEMAP_IMAGE = /^pagemap-(\d+)\.img$/;

export interface MemorySyncOptions {
  /** Of the staging area: for the hashes of pages. */
  dir: string;
  /** Opens the stream to the target. */
  open: () => Promise<Duplex>;
  signal?: AbortSignal;
  /** For tests; default the host's own processes. */
  openProcess?: PrecopyOptions['open'];
}

/** Told how many bytes have been sent in all. */
type OnBytes = (bytes: number) => void;

export class MemorySync {
  readonly #hasher = new PageHasher({ buffers: BUFFERS, pages: CHUNK / PAGE });
  readonly #sender: ImageSender;
  readonly #options: MemorySyncOptions;
  readonly #sent = new Map<number, SentProcess>();
  readonly #dumped = new Map<string, HashFile>();

  private constructor(stream: Duplex, options: MemorySyncOptions) {
    this.#sender = new ImageSender(stream, this.#hasher.buffers);
    this.#options = options;
  }

  static async open(options: MemorySyncOptions): Promise<MemorySync> {
    mkdirSync(options.dir, { recursive: true, mode: 0o700 });
    return new MemorySync(await options.open(), options);
  }

  /** Bytes sent so far. */
  get bytes(): number {
    return this.#sender.bytes;
  }

  /** Sends the memory of running processes. */
  async precopy(pids: readonly number[], onBytes: OnBytes = () => {}): Promise<void> {
    this.#sender.onBytes = onBytes;
    const { dir, signal, openProcess: open } = this.#options;
    const shared = { sender: this.#sender, hasher: this.#hasher, sent: this.#sent, dir, signal };
    await precopy({ pids, ...shared, ...(open === undefined ? {} : { open }) });
  }

  /**
   * Sends what the target lacks of a dump, beginning while `dumped` is still pending, and resolves when it has it all.
   * @throws what `dumped` rejects with, or the stream's error.
   */
  async sendDump(imagesDir: string, dumped: Promise<void>, onBytes: OnBytes = () => {}): Promise<void> {
    this.#sender.onBytes = onBytes;
    const files = new Map<string, DumpFile>();
    let done = false;
    const settled = dumped.finally(() => {
      done = true;
    });
    settled.catch(() => {});
    try {
      for (;;) {
        const last = done;
        if (last) await settled;
        let moved = 0;
        for (const name of readdirSync(imagesDir)) {
          if (!PAGES_IMAGE.test(name)) continue;
          const file = files.get(name) ?? this.#begin(imagesDir, name);
          files.set(name, file);
          moved += await file.advance(last);
        }
        if (last) break;
        if (moved === 0) await Promise.race([settled, sleep(1)]);
      }
      const rewritten = await this.#sendMissing(imagesDir, files);
      await this.#sendOthers(imagesDir, rewritten);
    } finally {
      for (const file of files.values()) file.close();
    }
    await this.#sender.end();
  }

  [Symbol.dispose](): void {
    this.#sender.destroy();
    for (const { hashes } of this.#sent.values()) hashes.close();
    for (const hashes of this.#dumped.values()) hashes.close();
    this.#sent.clear();
    this.#dumped.clear();
  }

  #begin(imagesDir: string, name: string): DumpFile {
    const path = join(imagesDir, name);
    if (this.#sent.size === 0) return new SentFile(path, this.#sender, this.#sender.announce(name));
    const hashes = new HashFile(join(this.#options.dir, `dumped-${name}`));
    this.#dumped.set(name, hashes);
    return new HashedFile(path, this.#sender, this.#hasher, hashes);
  }

  /** All that are no pages images: dozens of small ones, and archives of what is in a tmpfs. */
  async #sendOthers(imagesDir: string, rewritten: ReadonlyMap<string, Buffer>): Promise<void> {
    const small: { name: string; bytes: Buffer }[] = [];
    for (const name of readdirSync(imagesDir)) {
      if (PAGES_IMAGE.test(name)) continue;
      const path = join(imagesDir, name);
      const bytes = rewritten.get(name) ?? (statSync(path).size < CHUNK ? readFileSync(path) : undefined);
      if (bytes !== undefined) {
        small.push({ name, bytes });
        continue;
      }
      const file = new SentFile(path, this.#sender, this.#sender.announce(name));
      await file.advance(true).finally(() => file.close());
    }
    this.#sender.sendFiles(small);
  }

  /** After a pre-copy: sends the pages that the target does not have. @returns pagemap images to send in place of CRIU's */
  async #sendMissing(imagesDir: string, files: ReadonlyMap<string, DumpFile>): Promise<Map<string, Buffer>> {
    const rewritten = new Map<string, Buffer>();
    const compared = new Set<string>();
    for (const name of this.#sent.size === 0 ? [] : readdirSync(imagesDir)) {
      const process = this.#sent.get(Number(PAGEMAP_IMAGE.exec(name)?.[1]));
      if (process === undefined) continue;
      const pagemap = understood(join(imagesDir, name));
      const pagesName = `pages-${pagemap?.pagesId}.img`;
      const file = files.get(pagesName);
      if (pagemap === undefined || !(file instanceof HashedFile) || file.pages !== pagesOf(pagemap)) continue;
      compared.add(pagesName);
      rewritten.set(name, await this.#sendDifferences(pagemap, file, process, this.#sender.announce(pagesName)));
    }
    for (const [name, file] of files) {
      if (file instanceof HashedFile && !compared.has(name)) await file.sendWhole(this.#sender.announce(name));
    }
    return rewritten;
  }

  async #sendDifferences(
    { pagesId, entries }: Pagemap,
    file: HashedFile,
    process: SentProcess,
    fresh: number,
  ): Promise<Buffer> {
    const result: PagemapEntry[] = [];
    let freshPages = 0;
    const flags = flagsByPage(entries);
    for (const { page, pages, from, to } of align(entries, process.layout.runs)) {
      if (to === undefined) {
        result.push({ page, pages, flags: flags(page) });
        await file.sendPages(from, pages, fresh, freshPages);
        freshPages += pages;
        continue;
      }
      result.push({ page, pages, flags: PE_PARENT });
      for (const run of differing(file.hashes, from, process.hashes, to, pages))
        await file.sendPages(run.from, run.pages, process.file, run.to);
    }
    return encodePagemap({ pagesId, entries: result });
  }
}

/** Undefined where it is not understood: it is sent as it is then, with all of its pages. */
function understood(path: string): Pagemap | undefined {
  try {
    return decodePagemap(readFileSync(path));
  } catch {
    return undefined;
  }
}

function pagesOf({ entries }: Pagemap): number {
  return entries.reduce((sum, { pages, flags }) => sum + ((flags & PE_PARENT) === 0 ? pages : Number.NaN), 0);
}

/** Flags of the entry that a page is in; to be asked for pages in order. */
function flagsByPage(entries: readonly PagemapEntry[]): (page: number) => number {
  let index = 0;
  const at = () => entries[index] as PagemapEntry;
  return (page) => {
    while (at().page + at().pages <= page) index++;
    return at().flags;
  };
}

/** A pages image that CRIU is still writing. */
abstract class DumpFile {
  protected readonly fd: number;
  protected readonly sender: ImageSender;
  /** Bytes dealt with. */
  protected offset = 0;

  constructor(path: string, sender: ImageSender) {
    this.fd = openSync(path, 'r');
    this.sender = sender;
  }

  /** Deals with what there is; unless it is the last time, only in whole chunks. @returns bytes */
  async advance(last: boolean): Promise<number> {
    let moved = 0;
    for (;;) {
      const { size } = fstatSync(this.fd);
      if (size - this.offset < (last ? 1 : CHUNK)) return moved;
      const buffer = await this.sender.take();
      const length = readSync(this.fd, buffer, 0, CHUNK, this.offset);
      this.take(buffer, length);
      this.offset += length;
      moved += length;
      // Hashing blocks: let the agent's other work have its turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    closeSync(this.fd);
  }

  protected abstract take(buffer: Buffer, length: number): void;
}

/** One that is sent as it grows. */
class SentFile extends DumpFile {
  readonly #number: number;

  constructor(path: string, sender: ImageSender, number: number) {
    super(path, sender);
    this.#number = number;
  }

  protected override take(buffer: Buffer, length: number): void {
    this.sender.send(this.#number, this.offset, buffer, length);
  }
}

/** One that is hashed as it grows, since most of it has been sent before. */
class HashedFile extends DumpFile {
  readonly hashes: HashFile;
  readonly #hasher: PageHasher;

  constructor(path: string, sender: ImageSender, hasher: PageHasher, hashes: HashFile) {
    super(path, sender);
    this.#hasher = hasher;
    this.hashes = hashes;
  }

  get pages(): number {
    return this.offset / PAGE;
  }

  async sendWhole(number: number): Promise<void> {
    if (!Number.isInteger(this.pages)) throw new Error('A pages image of CRIU is not of whole pages.');
    await this.sendPages(0, this.pages, number, 0);
  }

  /** Sends pages of this file from place `from` on to place `to` of a file of the stream. */
  async sendPages(from: number, pages: number, number: number, to: number): Promise<void> {
    await this.sender.gather(number, to * PAGE, pages * PAGE, (into, done) => {
      const length = readSync(this.fd, into, 0, into.length, from * PAGE + done);
      if (length < into.length) throw new Error('A pages image of CRIU ended early.');
    });
  }

  protected override take(buffer: Buffer, length: number): void {
    this.hashes.write(this.offset / PAGE, this.#hasher.hash(buffer, Math.floor(length / PAGE)));
    this.sender.give(buffer);
  }
}
