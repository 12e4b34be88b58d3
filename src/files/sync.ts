/**
 * The source's side of carrying a tree of files: one pass over everything while the workload runs, as often as wanted,
 * and one over what has changed since, while it is frozen.
 *
 * The writable layer of an overlay is copied raw in the first pass, whiteouts and opaque directories included. By the
 * final pass the target has mounted it, and the layer of a mounted overlay must not be changed from outside; so the
 * final pass goes from the source's mounted root file system to the target's. That needs no translation: what is
 * whited out or hidden by an opaque directory is not in the source's directory listing, and is deleted by it.
 */
import { lstatSync, readdirSync, realpathSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { FileTree } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { ProgramRecorder } from '../exec/run.ts';
import type { Transfer } from '../tools/rsync.ts';
import { type BytePath, fromText, joinBytes, toFs } from './byte-path.ts';
import { diffManifests, type TreeDiff } from './diff.ts';
import { type Manifest, namesOf, takeManifest } from './manifest.ts';
import { ListedTransfer, type SendOptions, type Sent, transfer } from './sender.ts';
import type { Listing, PruneResult } from './target.ts';

export interface TreeSyncOptions {
  tree: Pick<FileTree, 'key' | 'kind' | 'path'>;
  /** Where the overlay is mounted of which the tree is the writable layer; the source's own view, without volumes. */
  merged?: string;
  /** A stream to a `receiveTree` of this tree; for the final pass of an overlay into its mounted root file system. */
  openRemote(key: string, pass: Pass): Promise<Duplex>;
  /** `pruneTree` on the target, in the root of the final pass. */
  pruneRemote(key: string, listings: Listing[]): Promise<PruneResult>;
  record?: ProgramRecorder;
  signal?: AbortSignal;
  /** Told of the bytes that this pass has put into its stream so far. */
  onProgress?(bytes: number): void;
  /** For a fifo while the final pass is under way; default the system's directory for temporary files. */
  workDir?: string;
}

export type Pass = 'first' | 'final';

/** Names in one call to `pruneRemote`, unless one directory has more. */
const NAMES_PER_CALL = 20_000;
/** A pass during which files changed or vanished is repeated: what was listed but not yet read may have come back. */
const MAX_RACED_PASSES = 3;

interface FinalPass {
  changed: number;
  deleted: number;
  sent: Sent;
}
const NOTHING: Sent = { bytes: 0, outcome: 'complete' };

export class TreeSync {
  readonly #options: TreeSyncOptions;
  /** Free of symbolic links. */
  readonly #root: string;
  readonly #isFile: boolean;
  #before: Manifest | undefined;
  #prepared: ListedTransfer | undefined;

  private constructor(options: TreeSyncOptions, root: string, isFile: boolean) {
    this.#options = options;
    this.#root = root;
    this.#isFile = isFile;
  }

  /** @throws DrayageError FILES_UNREADABLE where the tree is not there. */
  static async begin(options: TreeSyncOptions): Promise<TreeSync> {
    const { key, kind, path } = options.tree;
    if (kind === 'upper' && options.merged === undefined) {
      throw new DrayageError('INTERNAL', 'A writable layer cannot be carried without its mounted root file system.');
    }
    return readable(key, () => {
      const root = realpathSync(path);
      return new TreeSync(options, root, !lstatSync(root).isDirectory());
    });
  }

  /**
   * Copies everything while the workload runs. May be called again: it then sends only what differs.
   * @throws DrayageError FILES_TRANSFER | FILES_NO_SPACE | FILES_UNREADABLE
   */
  async firstPass(): Promise<{ bytes: number; entries: number }> {
    let bytes = 0;
    for (let attempt = 1; ; attempt++) {
      const earlier = this.#before;
      const before = await this.#look();
      this.#before = before;
      const sent = await transfer(this.#everything(), this.#sending('first'));
      bytes += sent.bytes;
      if (earlier !== undefined && !this.#isFile) bytes += await this.#resend(diffManifests(earlier, before).changed);
      if (sent.outcome === 'complete' || attempt === MAX_RACED_PASSES) return { bytes, entries: before.entries };
    }
  }

  /**
   * Opens the stream and starts both ends of the final pass, so that in the freeze nothing has to be started any more.
   * The target's overlay must be mounted by now. Optional: without it, the final pass does this itself if it must.
   */
  async prepareFinal(): Promise<void> {
    if (this.#isFile || this.#prepared !== undefined) return;
    const { merged } = this.#options;
    this.#prepared = await ListedTransfer.begin({ root: merged ?? this.#root, overlay: false }, this.#sending('final'));
  }

  /**
   * Makes the target's tree what the source's is now. For a workload that stands still.
   * @param alwaysPaths are sent though nothing tells that they have changed: files that are mapped shared and writable,
   * whose times the kernel sets only when it writes them back.
   * @throws DrayageError FILES_TRANSFER | FILES_NO_SPACE | FILES_UNREADABLE
   */
  async finalPass({ alwaysPaths = [] }: { alwaysPaths?: readonly BytePath[] } = {}): Promise<{
    changed: number;
    deleted: number;
    bytes: number;
  }> {
    if (this.#before === undefined) throw new DrayageError('INTERNAL', 'The final pass came before the first.');
    const total = { changed: 0, deleted: 0, bytes: 0 };
    for (let attempt = 1; ; attempt++) {
      const pass = await (this.#isFile
        ? this.#finalFile(this.#before, alwaysPaths)
        : this.#final(this.#before, alwaysPaths));
      total.changed = pass.changed;
      total.deleted += pass.deleted;
      total.bytes += pass.sent.bytes;
      if (pass.sent.outcome === 'complete') {
        await this[Symbol.asyncDispose]();
        return total;
      }
      if (attempt === MAX_RACED_PASSES) {
        throw new DrayageError(
          'FILES_TRANSFER',
          `The files of ${this.#options.tree.key} change although the workload stands still.`,
          {
            remedy: 'See what else writes to them: another container that uses the same volume, or the host itself.',
          },
        );
      }
    }
  }

  /** Lets go of what was prepared and not used. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#prepared?.abandon();
    this.#prepared = undefined;
  }

  async #final(before: Manifest, alwaysPaths: readonly BytePath[]): Promise<FinalPass> {
    const after = await this.#look();
    const diff = diffManifests(before, after);
    const { deleted, missing } = await this.#prune(diff, after);
    const paths = new Set([...diff.changed, ...alwaysPaths.filter((path) => this.#isThere(path))]);
    for (const path of missing) this.#addSubtree(path, paths);
    if (paths.size === 0) return { changed: 0, deleted, sent: NOTHING };
    await this.prepareFinal();
    const transfer = this.#prepared as ListedTransfer;
    this.#prepared = undefined;
    return { changed: paths.size, deleted, sent: await transfer.send(paths) };
  }

  async #finalFile(before: Manifest, alwaysPaths: readonly BytePath[]): Promise<FinalPass> {
    const { changed } = diffManifests(before, await this.#look());
    if (changed.length === 0 && alwaysPaths.length === 0) return { changed: 0, deleted: 0, sent: NOTHING };
    return { changed: 1, deleted: 0, sent: await transfer(this.#everything(), this.#sending('final')) };
  }

  #everything(): Transfer {
    return this.#isFile
      ? { kind: 'file', path: this.#root }
      : { kind: 'whole', root: this.#root, overlay: this.#options.tree.kind === 'upper' };
  }

  /** What a pass over everything takes for equal by size and time, and may have changed after the one before read it. */
  async #resend(paths: readonly BytePath[]): Promise<number> {
    if (paths.length === 0) return 0;
    const overlay = this.#options.tree.kind === 'upper';
    const listed = await ListedTransfer.begin({ root: this.#root, overlay }, this.#sending('first'));
    return (await listed.send(paths)).bytes;
  }

  /** The target deletes what is not in the source's directories, and tells what it lacks although it is. */
  async #prune({ directories }: TreeDiff, after: Manifest): Promise<PruneResult> {
    const total: PruneResult = { deleted: 0, missing: [] };
    let batch: Listing[] = [];
    let names = 0;
    const call = async (): Promise<void> => {
      if (batch.length === 0) return;
      const { deleted, missing } = await this.#options.pruneRemote(this.#options.tree.key, batch);
      total.deleted += deleted;
      for (const path of missing) total.missing.push(path);
      batch = [];
      names = 0;
    };
    for (const path of directories) {
      const listing = { path, names: this.#namesNow(path, after) };
      if (names + listing.names.length > NAMES_PER_CALL) await call();
      names += listing.names.length + 1;
      batch.push(listing);
    }
    await call();
    return total;
  }

  #namesNow(path: BytePath, after: Manifest): BytePath[] {
    const { merged, tree } = this.#options;
    return merged === undefined ? namesOf(after.directories.get(path)) : readable(tree.key, () => this.#namesIn(path));
  }

  #namesIn(path: BytePath): BytePath[] {
    return readdirSync(this.#at(path), { encoding: 'latin1' });
  }

  #isThere(path: BytePath): boolean {
    return lstatSync(this.#at(path), { throwIfNoEntry: false }) !== undefined;
  }

  /** As the final pass reads it. */
  #at(path: BytePath): string | Buffer {
    return toFs(`${fromText(this.#options.merged ?? this.#root)}/${path}`);
  }

  /** What the first pass missed because it was moved away and back, with all that is in it. */
  #addSubtree(path: BytePath, paths: Set<BytePath>): void {
    paths.add(path);
    readable(this.#options.tree.key, () => {
      if (!lstatSync(this.#at(path), { throwIfNoEntry: false })?.isDirectory()) return;
      for (const name of this.#namesIn(path)) this.#addSubtree(joinBytes(path, name), paths);
    });
  }

  async #look(): Promise<Manifest> {
    const { tree, signal } = this.#options;
    const overlay = tree.kind === 'upper';
    return readable(tree.key, () => takeManifest(this.#root, { overlay, ...(signal === undefined ? {} : { signal }) }));
  }

  #sending(pass: Pass): SendOptions {
    const { tree, openRemote, ...options } = this.#options;
    return { ...options, what: tree.key, open: () => openRemote(tree.key, pass) };
  }
}

function readable<T>(key: string, read: () => T): T {
  const fail = (error: unknown): never => {
    if (error instanceof DrayageError || (error as Error).name === 'AbortError') throw error;
    throw new DrayageError('FILES_UNREADABLE', `The files of ${key} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  };
  try {
    const result = read();
    return (result instanceof Promise ? result.catch(fail) : result) as T;
  } catch (error) {
    return fail(error);
  }
}
