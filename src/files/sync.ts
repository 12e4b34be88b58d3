/**
 * The source's side of carrying a tree of files: one pass over everything while the workload runs, as often as wanted,
 * and one over what has changed since, while it is frozen.
 *
 * The writable layer of an overlay is copied raw in the first pass, whiteouts and opaque directories included. By the
 * final pass the target has mounted it, and the layer of a mounted overlay must not be changed from outside; so the
 * final pass goes from the source's mounted root file system to the target's. That needs no translation: what is
 * whited out or hidden by an opaque directory is not in the source's directory listing, and is deleted by it.
 */
import type { Duplex } from 'node:stream';
import type { FileTree } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { ProgramRecorder } from '../exec/run.ts';
import type { Transfer } from '../tools/rsync.ts';
import type { BytePath } from './byte-path.ts';
import { diffManifests, type TreeDiff } from './diff.ts';
import { isIn, type Manifest, namesOf, withOtherNames } from './manifest.ts';
import { ListedTransfer, type SendOptions, type Sent, transfer } from './sender.ts';
import { SourceTree } from './source-tree.ts';
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
  readonly #tree: SourceTree;
  #before: Manifest | undefined;
  #prepared: ListedTransfer | undefined;

  private constructor(options: TreeSyncOptions, tree: SourceTree) {
    this.#options = options;
    this.#tree = tree;
  }

  /** @throws DrayageError FILES_UNREADABLE where the tree is not there. */
  static async begin(options: TreeSyncOptions): Promise<TreeSync> {
    return new TreeSync(options, new SourceTree(options.tree, options.merged));
  }

  /**
   * Copies everything while the workload runs. May be called again: it then sends only what differs.
   * @throws DrayageError FILES_TRANSFER | FILES_NO_SPACE | FILES_UNREADABLE
   */
  async firstPass(): Promise<{ bytes: number; entries: number }> {
    const { bytes, entries } = await this.#whole([]);
    return { bytes, entries };
  }

  /**
   * Once more everything, as in a first pass, of a workload that does not run and whose root file system is mounted on
   * neither side: with it the target's tree is what the source's is.
   * @param alwaysPaths as in `finalPass`
   * @param onProgress is told of this pass in the place of the one that was given for all
   * @throws DrayageError FILES_TRANSFER | FILES_NO_SPACE | FILES_UNREADABLE
   */
  async stoppedPass({
    alwaysPaths = [],
    onProgress,
  }: {
    alwaysPaths?: readonly BytePath[];
    onProgress?: (bytes: number) => void;
  } = {}): Promise<{ bytes: number }> {
    const { bytes, outcome } = await this.#whole(alwaysPaths, onProgress);
    if (outcome === 'raced') throw this.#changing();
    return { bytes };
  }

  /**
   * Opens the stream and starts both ends of the final pass, so that in the freeze nothing has to be started any more.
   * The target's overlay must be mounted by now. Optional: without it, the final pass does this itself if it must.
   */
  async prepareFinal(): Promise<void> {
    if (this.#tree.isFile || this.#prepared !== undefined) return;
    this.#prepared = await ListedTransfer.begin({ root: this.#tree.finalRoot, overlay: false }, this.#sending('final'));
  }

  /**
   * Makes the target's tree what the source's is now, and lets go of what was prepared. For a workload that stands still.
   * @param alwaysPaths are sent though nothing tells that they have changed: files that are mapped shared and writable,
   * whose times the kernel sets only when it writes them back.
   * @throws DrayageError FILES_TRANSFER | FILES_NO_SPACE | FILES_UNREADABLE
   */
  async finalPass({ alwaysPaths = [] }: { alwaysPaths?: readonly BytePath[] } = {}): Promise<{
    changed: number;
    deleted: number;
    bytes: number;
  }> {
    const before = this.#before;
    if (before === undefined) throw new DrayageError('INTERNAL', 'The final pass came before the first.');
    const total = { changed: 0, deleted: 0, bytes: 0 };
    for (let attempt = 1; attempt <= MAX_RACED_PASSES; attempt++) {
      const pass = await (this.#tree.isFile ? this.#finalFile(before, alwaysPaths) : this.#final(before, alwaysPaths));
      total.changed = pass.changed;
      total.deleted += pass.deleted;
      total.bytes += pass.sent.bytes;
      if (pass.sent.outcome === 'raced') continue;
      await this[Symbol.asyncDispose]();
      return total;
    }
    throw this.#changing();
  }

  /** Lets go of what was prepared and not used. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#prepared?.abandon();
    this.#prepared = undefined;
  }

  async #whole(
    alwaysPaths: readonly BytePath[],
    onProgress = this.#options.onProgress,
  ): Promise<Sent & { entries: number }> {
    const sending = { ...this.#sending('first'), ...(onProgress && { onProgress }) };
    let bytes = 0;
    for (let attempt = 1; ; attempt++) {
      const earlier = this.#before;
      const before = await this.#tree.look(this.#options.signal);
      this.#before = before;
      const { outcome, ...sent } = await transfer(this.#everything(), sending);
      bytes += sent.bytes;
      if (!this.#tree.isFile) {
        const changed = earlier === undefined ? [] : diffManifests(earlier, before).changed;
        const always = withOtherNames(alwaysPaths, before).filter((path) => isIn(before, path));
        bytes += await this.#resend([...new Set([...changed, ...always])]);
      }
      if (outcome === 'complete' || attempt === MAX_RACED_PASSES) return { bytes, outcome, entries: before.entries };
    }
  }

  async #final(before: Manifest, alwaysPaths: readonly BytePath[]): Promise<FinalPass> {
    const after = await this.#tree.look(this.#options.signal);
    const diff = diffManifests(before, after);
    const redirected = diff.fresh.filter((path) => this.#showsMore(path, after));
    const { deleted, missing } = await this.#prune(diff, after, new Set(redirected));
    const mapped = alwaysPaths.filter((path) => this.#tree.has(path));
    const paths = new Set([...diff.changed, ...withOtherNames(mapped, after)]);
    for (const top of [...missing, ...redirected]) for (const path of this.#tree.subtree(top)) paths.add(path);
    if (paths.size === 0) return { changed: 0, deleted, sent: NOTHING };
    await this.prepareFinal();
    const prepared = this.#prepared as ListedTransfer;
    this.#prepared = undefined;
    return { changed: paths.size, deleted, sent: await prepared.send(paths) };
  }

  async #finalFile(before: Manifest, alwaysPaths: readonly BytePath[]): Promise<FinalPass> {
    const { changed } = diffManifests(before, await this.#tree.look(this.#options.signal));
    if (changed.length === 0 && alwaysPaths.length === 0) return { changed: 0, deleted: 0, sent: NOTHING };
    return { changed: 1, deleted: 0, sent: await transfer(this.#everything(), this.#sending('final')) };
  }

  /**
   * Whether a new directory of the layer shows more than is in the layer: what is below it, and where redirects are
   * possible perhaps that of another name, which the target does not have there. It is then carried whole.
   */
  #showsMore(path: BytePath, after: Manifest): boolean {
    if (!this.#tree.hasRedirects) return false;
    return this.#tree.names(path).length > namesOf(after.directories.get(path)).length;
  }

  /**
   * The target deletes what is not in the source's directories, and tells what it lacks although it is: the first pass
   * came by while it was moved away, or it is new.
   */
  async #prune({ directories }: TreeDiff, after: Manifest, emptied: ReadonlySet<BytePath>): Promise<PruneResult> {
    const total: PruneResult = { deleted: 0, missing: [] };
    let batch: Listing[] = [];
    let size = 0;
    const call = async (): Promise<void> => {
      if (batch.length === 0) return;
      const { deleted, missing } = await this.#options.pruneRemote(this.#tree.key, batch);
      total.deleted += deleted;
      for (const path of missing) total.missing.push(path);
      batch = [];
      size = 0;
    };
    for (const path of directories) {
      const listed = this.#tree.isOverlay ? this.#tree.names(path) : namesOf(after.directories.get(path));
      const names = emptied.has(path) ? [] : listed;
      if (size + names.length > NAMES_PER_CALL) await call();
      size += names.length + 1;
      batch.push({ path, names });
    }
    await call();
    return total;
  }

  #changing(): DrayageError {
    const what = `The files of ${this.#tree.key} change although the workload stands still.`;
    return new DrayageError('FILES_TRANSFER', what, {
      remedy: 'See what else writes to them: another container that uses the same volume, or the host itself.',
    });
  }

  #everything(): Transfer {
    const { isFile, root, isOverlay: overlay } = this.#tree;
    return isFile ? { kind: 'file', path: root } : { kind: 'whole', root, overlay };
  }

  /** What a pass over everything takes for equal by size and time, and may have changed after the one before read it. */
  async #resend(paths: readonly BytePath[]): Promise<number> {
    if (paths.length === 0) return 0;
    const { root, isOverlay: overlay } = this.#tree;
    const listed = await ListedTransfer.begin({ root, overlay }, this.#sending('first'));
    return (await listed.send(paths)).bytes;
  }

  #sending(pass: Pass): SendOptions {
    const { tree, openRemote, ...options } = this.#options;
    return { ...options, what: tree.key, open: () => openRemote(tree.key, pass) };
  }
}
