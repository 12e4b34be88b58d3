/** A tree of files on the source, as it is looked at and read. */
import { lstatSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import type { FileTree } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import { type BytePath, fromText, joinBytes, toFs } from './byte-path.ts';
import { type Manifest, takeManifest } from './manifest.ts';

export class SourceTree {
  readonly key: string;
  /** Not itself a symbolic link. */
  readonly root: string;
  /** The tree is a single file. */
  readonly isFile: boolean;
  /** The writable layer of an overlay. */
  readonly isOverlay: boolean;
  /** Where the final pass reads: for a writable layer the mounted root file system, else the root. */
  readonly finalRoot: string;
  /** A directory of the writable layer may stand for one of another name in the layers below (overlayfs.rst). */
  readonly hasRedirects: boolean;

  /** @throws DrayageError FILES_UNREADABLE where the tree is not there. */
  constructor({ key, kind, path }: Pick<FileTree, 'key' | 'kind' | 'path'>, merged: string | undefined) {
    this.key = key;
    this.isOverlay = kind === 'upper';
    if (this.isOverlay && merged === undefined) {
      throw new DrayageError('INTERNAL', 'A writable layer cannot be carried without its mounted root file system.');
    }
    try {
      this.root = lstatSync(path).isSymbolicLink() ? realpathSync(path) : path;
      this.isFile = !lstatSync(this.root).isDirectory();
      this.finalRoot = this.isOverlay && merged !== undefined ? merged : this.root;
      this.hasRedirects = this.isOverlay && mayRedirect(this.finalRoot);
    } catch (error) {
      throw this.#unreadable(error);
    }
  }

  async look(signal?: AbortSignal): Promise<Manifest> {
    try {
      return await takeManifest(this.root, { overlay: this.isOverlay, ...(signal === undefined ? {} : { signal }) });
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#unreadable(error);
    }
  }

  /** What is in a directory, as the final pass sees it. */
  names(path: BytePath): BytePath[] {
    try {
      return readdirSync(this.#at(path), { encoding: 'latin1' });
    } catch (error) {
      throw this.#unreadable(error);
    }
  }

  has(path: BytePath): boolean {
    return lstatSync(this.#at(path), { throwIfNoEntry: false }) !== undefined;
  }

  /** A path and all that is in it, as the final pass sees it. */
  *subtree(path: BytePath): Generator<BytePath> {
    yield path;
    if (!lstatSync(this.#at(path), { throwIfNoEntry: false })?.isDirectory()) return;
    for (const name of this.names(path)) yield* this.subtree(joinBytes(path, name));
  }

  #at(path: BytePath): string | Buffer {
    return toFs(`${fromText(this.finalRoot)}/${path}`);
  }

  #unreadable(error: unknown): DrayageError {
    if (error instanceof DrayageError) return error;
    const { message } = error as Error;
    return new DrayageError('FILES_UNREADABLE', `The files of ${this.key} cannot be read: ${message}`, {
      cause: error,
    });
  }
}

/** By the mount's own option; where it has none, by the setting that the kernel was built with or the module given. */
function mayRedirect(merged: string): boolean {
  const mount = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .findLast((line) => line.split(' ')[4] === merged && line.includes(' - overlay '));
  const option = /[ ,]redirect_dir=(\w+)/.exec(mount ?? '')?.[1];
  if (option !== undefined) return option === 'on';
  try {
    return readFileSync('/sys/module/overlay/parameters/redirect_dir', 'utf8').startsWith('Y');
  } catch {
    return false;
  }
}
