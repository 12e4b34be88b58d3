/**
 * A tree of files on its way to where nobody answers: an archive. One tar of everything while the workload runs, and a
 * second, while it stands still, of what has changed since, behind a list that says what must go. Both are of the tree
 * as it lies on disk, a writable layer with its whiteouts: when they are unpacked, nothing has mounted it yet.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { finished, pipeline } from 'node:stream/promises';
import type { FileTree } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { ProgramRecorder } from '../exec/run.ts';
import { type Packing, packingOutcome, readIndex, startPacking } from '../tools/tar.ts';
import { type BytePath, fromText, joinBytes } from './byte-path.ts';
import { diffManifests } from './diff.ts';
import { linkedSpecials, type Manifest, namesOf, withOtherNames } from './manifest.ts';
import { type Changes, divided, writeChanges } from './packed.ts';
import { SourceTree } from './source-tree.ts';
import type { TreeSync } from './sync.ts';

export interface PackedSourceOptions {
  tree: Pick<FileTree, 'key' | 'path'>;
  /** A stream to `unpackTree`, or for the list of changes to `readChanges`. */
  open(part: 'first' | 'changes' | 'final'): Promise<Duplex>;
  record?: ProgramRecorder;
  signal?: AbortSignal;
  /** Told of the bytes that this pass has put into its stream so far. */
  onProgress?(bytes: number): void;
}

export class PackedSource
  implements Pick<TreeSync, 'firstPass' | 'prepareFinal' | 'finalPass' | typeof Symbol.asyncDispose>
{
  readonly #options: PackedSourceOptions;
  readonly #tree: SourceTree;
  #before: Manifest | undefined;
  #packed: ReadonlySet<BytePath> = new Set();

  /** @throws DrayageError FILES_UNREADABLE where the tree is not there. */
  constructor(options: PackedSourceOptions) {
    this.#options = options;
    // Whiteouts are files like others here: as of a volume.
    this.#tree = new SourceTree({ ...options.tree, kind: 'volume' }, undefined);
  }

  /** @throws DrayageError FILES_TRANSFER | FILES_UNREADABLE */
  async firstPass(): Promise<{ bytes: number; entries: number }> {
    const before = await this.#tree.look(this.#options.signal);
    this.#before = before;
    const directory = mkdtempSync(join(tmpdir(), 'drayage-pack-'));
    try {
      const index = join(directory, 'packed');
      const bytes = await (this.#tree.isFile ? this.#packFile('first') : this.#pack('first', { index }));
      // What was moved about while tar came by may be in none of the places where it looked.
      if (!this.#tree.isFile) this.#packed = readIndex(readFileSync(index, 'latin1'));
      return { bytes, entries: before.entries };
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  /** Nothing can be made beforehand: nobody waits at the other end. */
  async prepareFinal(): Promise<void> {}

  /** For a workload that stands still; see TreeSync.finalPass. */
  async finalPass({ alwaysPaths = [] }: { alwaysPaths?: readonly BytePath[] } = {}) {
    const before = this.#before;
    if (before === undefined) throw new DrayageError('INTERNAL', 'The final pass came before the first.');
    const after = await this.#tree.look(this.#options.signal);
    const diff = diffManifests(before, after);
    if (this.#tree.isFile) {
      const isSame = diff.changed.length === 0 && alwaysPaths.length === 0;
      return { changed: isSame ? 0 : 1, deleted: 0, bytes: isSame ? 0 : await this.#packFile('final') };
    }
    const mapped = alwaysPaths.filter((path) => this.#tree.has(path));
    const missed = [...pathsOf(after)].filter((path) => !this.#packed.has(path));
    const paths = new Set([...diff.changed, ...withOtherNames([...mapped, ...missed], after)]);
    const bytes = paths.size === 0 ? 0 : await this.#packChanged(paths, diff.directories, after);
    const links = linkedSpecials(after);
    if (links.length > 0) await this.#tell({ listings: [], paths: [], links });
    return { changed: paths.size, deleted: diff.deleted.length, bytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #packChanged(paths: Set<BytePath>, changed: readonly BytePath[], after: Manifest): Promise<number> {
    // The root as well: to unpack touches it.
    const directories = new Set(['', ...changed, ...[...paths].filter((path) => after.directories.has(path))]);
    const listings = [...directories].map((path) => ({ path, names: namesOf(after.directories.get(path)) }));
    await this.#tell({ listings, paths: [...paths].filter((path) => !directories.has(path)), links: [] });
    return this.#pack('final', { paths: new Set(paths).add('') });
  }

  async #tell(changes: Changes): Promise<void> {
    for (const part of divided(changes)) await writeChanges(await this.#options.open('changes'), part);
  }

  #packFile(part: 'first' | 'final'): Promise<number> {
    const { root } = this.#tree;
    return this.#pack(part, { root: dirname(root), paths: [fromText(basename(root))] });
  }

  #pack(part: 'first' | 'final', what: Partial<Packed>): Promise<number> {
    const { tree, open, ...rest } = this.#options;
    return packPaths(
      { ...rest, what: tree.key, open: () => open(part), isStill: part === 'final' },
      {
        root: this.#tree.root,
        ...what,
      },
    );
  }
}

export interface PackOptions extends Pick<PackedSourceOptions, 'record' | 'signal' | 'onProgress'> {
  /** As users are told of it. */
  what: string;
  open(): Promise<Duplex>;
  /** Nothing may change meanwhile. */
  isStill: boolean;
}

interface Packed {
  root: string;
  /** Relative to the root; default all. */
  paths?: Iterable<BytePath>;
  /** File for the names of what was packed. */
  index?: string;
}

/** @returns bytes. @throws DrayageError FILES_TRANSFER | FILES_UNREADABLE */
export async function packPaths(
  { what, open, isStill, record, signal, onProgress }: PackOptions,
  { root, paths, index }: Packed,
): Promise<number> {
  const stream = await open();
  const startedAt = performance.now();
  const packing: Packing = { root, signal, listed: paths !== undefined, ...(index === undefined ? {} : { index }) };
  const tar = startPacking(packing);
  tar.stdin.on('error', () => {}); // Its status tells.
  tar.stdin.end(Buffer.from([...(paths ?? [])].map((path) => `./${path}\0`).join(''), 'latin1'));
  let bytes = 0;
  const count = async function* (pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      bytes += piece.length;
      onProgress?.(bytes);
      yield piece;
    }
  };
  const written = pipeline(tar.stdout, count, stream, { end: false });
  const [{ code, error }, stderr] = await Promise.all([tar.exited, text(tar.stderr), written.catch(() => {})]);
  record?.('tar', startedAt, performance.now() - startedAt);
  signal?.throwIfAborted();
  await written;
  const outcome = packingOutcome(what, { code, error, stderr });
  if (isStill && outcome === 'raced') throw changing(what);
  stream.end();
  await finished(stream, { readable: false });
  return bytes;
}

function* pathsOf({ directories }: Manifest): Generator<BytePath> {
  yield '';
  for (const [path, directory] of directories) for (const name of namesOf(directory)) yield joinBytes(path, name);
}

function changing(key: string): DrayageError {
  return new DrayageError('FILES_TRANSFER', `The files of ${key} change although the workload stands still.`, {
    remedy: 'See what else writes to them: another container that uses the same volume, or the host itself.',
  });
}
