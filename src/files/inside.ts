/**
 * Directories opened one component after the other, so that a path can never lead out of the root: not by `..`, not by
 * a symbolic link, and not by a link that somebody puts there in between. Node has no openat(2), but a path through
 * `/proc/self/fd/N/` is one: the kernel goes to the open directory, whatever its name now means, and `name` is looked
 * up in it.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  type Stats,
  unlinkSync,
} from 'node:fs';
import { DrayageError } from '../errors.ts';
import { type BytePath, toFs } from './byte-path.ts';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const MAX_PATH = 4096;
const MAX_NAME = 255;

/** An open directory. */
export class Inside {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws the file system's error where `root` is not a directory. */
  static open(root: string): Inside {
    return new Inside(openSync(root, constants.O_RDONLY | constants.O_DIRECTORY));
  }

  /**
   * The directory at `path` below this one; undefined where there is none, or where a link or a file stands in the way.
   * @throws DrayageError FILES_UNSAFE_PATH
   */
  descend(path: BytePath): Inside | undefined {
    let here = this.#open('.');
    for (const name of componentsOf(path)) {
      const next = here?.child(name);
      here?.[Symbol.dispose]();
      if (next === undefined) return undefined;
      here = next;
    }
    return here;
  }

  child(name: BytePath): Inside | undefined {
    return this.#open(checkName(name));
  }

  /** An entry of this directory, for calls that take a path; those that follow links follow this one, too. */
  at(name: BytePath): string | Buffer {
    return this.#at(checkName(name));
  }

  get stats(): Stats {
    return fstatSync(this.#fd);
  }

  /** @throws the file system's error where something has this name, or takes it meanwhile. */
  makeDirectory(name: BytePath, { uid, gid, mode }: Pick<Stats, 'uid' | 'gid' | 'mode'>): void {
    mkdirSync(this.at(name), 0o700);
    const fd = openSync(this.at(name), DIRECTORY);
    try {
      fchownSync(fd, uid, gid);
      fchmodSync(fd, mode & 0o7777);
    } finally {
      closeSync(fd);
    }
  }

  names(): BytePath[] {
    return readdirSync(`/proc/self/fd/${this.#fd}`, { encoding: 'latin1' });
  }

  lstat(name: BytePath): Stats | undefined {
    return lstatSync(this.#at(checkName(name)), { throwIfNoEntry: false });
  }

  /**
   * Deletes what has this name, and all that is in it.
   * @returns how many entries that were.
   * @throws DrayageError FILES_UNSAFE_PATH at a mount point: what is mounted there is not the tree's.
   */
  remove(name: BytePath): number {
    let removed = 1;
    {
      using directory = this.child(name);
      if (directory === undefined) {
        unlinkSync(this.#at(name));
        return removed;
      }
      if (fstatSync(directory.#fd).dev !== fstatSync(this.#fd).dev) throw unsafe(name);
      for (const entry of directory.names()) removed += directory.remove(entry);
    }
    rmdirSync(this.#at(name));
    return removed;
  }

  /** Puts what has this name into another directory, where nothing has it. */
  move(name: BytePath, to: Inside): void {
    renameSync(this.#at(checkName(name)), to.#at(name));
  }

  /** Gives what has this name another one, in whose place nothing is. */
  link(name: BytePath, to: Inside, other: BytePath): void {
    linkSync(this.#at(checkName(name)), to.#at(checkName(other)));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #open(name: BytePath): Inside | undefined {
    try {
      return new Inside(openSync(this.#at(name), DIRECTORY));
    } catch (error) {
      // ELOOP is what O_NOFOLLOW says of a link, ENXIO of a socket.
      if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? ''))
        return undefined;
      throw error;
    }
  }

  #at(name: BytePath): string | Buffer {
    return toFs(`/proc/self/fd/${this.#fd}/${name}`);
  }
}

/** @throws DrayageError FILES_UNSAFE_PATH */
export function componentsOf(path: BytePath): BytePath[] {
  if (path === '') return [];
  if (path.length > MAX_PATH) throw unsafe(path);
  return path.split('/').map(checkName);
}

/** @throws DrayageError FILES_UNSAFE_PATH where it is not the name of one entry of a directory. */
export function checkName(name: BytePath): BytePath {
  const isName = name !== '' && name !== '.' && name !== '..' && name.length <= MAX_NAME;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a zero byte ends a path for the kernel
  if (!isName || /[/\x00]|[^\x00-\xff]/.test(name)) throw unsafe(name);
  return name;
}

function unsafe(path: string): DrayageError {
  return new DrayageError(
    'FILES_UNSAFE_PATH',
    `The source named a path that is not safe: ${JSON.stringify(path.slice(0, 200))}.`,
  );
}
