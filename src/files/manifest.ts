/**
 * What a tree of files was at one moment, so that a later look finds what has changed without reading any content.
 * ctime is the heart of it: the kernel sets it to now on every change of an inode (content, mode, owner, links, xattrs,
 * name), and no program can set it back.
 *
 * Kept compact, a directory's names in one string and its numbers in one array: about 60 bytes an entry.
 */
import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { Slice } from '../exec/slice.ts';
import { type BytePath, fromText, joinBytes, nameOf, parentOf, toFs } from './byte-path.ts';

/** Numbers per entry in `Directory.stats`. As doubles: milliseconds keep a quarter of a microsecond. */
export const FIELDS = { mode: 0, ino: 1, size: 2, mtimeMs: 3, ctimeMs: 4 } as const;
export const WIDTH = 5;

export interface Directory {
  /** Joined by `/`, which no name holds; in the order of readdir. */
  names: string;
  /** WIDTH numbers for each name. */
  stats: Float64Array;
}

export interface Manifest {
  /** The root's own numbers. */
  root: Float64Array;
  /** Every directory, parents before what is in them; empty where the root is not one. */
  directories: Map<BytePath, Directory>;
  entries: number;
  /** Sum of the sizes of regular files. */
  bytes: number;
  /** Unix time in milliseconds when the look began. */
  takenAtMs: number;
}

export interface ManifestOptions {
  signal?: AbortSignal;
  /** Leave out overlayfs' whiteouts (character devices 0/0): they stand for what is not there. */
  overlay?: boolean;
}

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFCHR = 0o020000;
const S_IFREG = 0o100000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;
const SPECIAL = new Set([S_IFCHR, S_IFBLK, S_IFIFO]);

/**
 * Looks at everything below `root` (and at nothing else where that is a file), not following symbolic links. Calls are
 * synchronous: lstat takes 3 microseconds that way and 20 through the thread pool.
 * @throws the file system's error where `root` cannot be read; what vanishes below it is left out.
 */
export async function takeManifest(root: string, { signal, overlay = false }: ManifestOptions = {}): Promise<Manifest> {
  const takenAtMs = Date.now();
  const base = fromText(root);
  const rootStat = lstatSync(root);
  const manifest: Manifest = { root: numbersOf(rootStat), directories: new Map(), entries: 1, bytes: 0, takenAtMs };
  if (!rootStat.isDirectory()) return { ...manifest, bytes: rootStat.size };
  const queue: BytePath[] = [''];
  const slice = new Slice(signal);
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const names: string[] = [];
    const numbers: number[] = [];
    for (const name of namesIn(`${base}/${path}`, path === '')) {
      if (slice.isOver()) await slice.next();
      const stat = lstatSync(toFs(`${base}/${joinBytes(path, name)}`), { throwIfNoEntry: false });
      if (stat === undefined || (overlay && isWhiteout(stat))) continue;
      const kind = stat.mode & S_IFMT;
      if (kind === S_IFDIR) queue.push(joinBytes(path, name));
      if (kind === S_IFREG) manifest.bytes += stat.size;
      names.push(name);
      numbers.push(stat.mode, stat.ino, stat.size, stat.mtimeMs, stat.ctimeMs);
    }
    manifest.directories.set(path, { names: names.join('/'), stats: Float64Array.from(numbers) });
    manifest.entries += names.length;
  }
  return manifest;
}

export function namesOf(directory: Directory | undefined): BytePath[] {
  return directory === undefined || directory.names === '' ? [] : directory.names.split('/');
}

export function isIn({ directories }: Manifest, path: BytePath): boolean {
  return path !== '' && namesOf(directories.get(parentOf(path))).includes(nameOf(path));
}

export function isDirectoryMode(mode: number | undefined): boolean {
  return mode !== undefined && (mode & S_IFMT) === S_IFDIR;
}

/** The paths given and every other name of the same files: a hard link that is sent under one name only is none any more. */
export function withOtherNames(paths: readonly BytePath[], manifest: Manifest): BytePath[] {
  const wanted = new Set(paths);
  if (wanted.size === 0) return [];
  for (const same of byInode(manifest).values()) {
    if (same.length > 1 && same.some((path) => wanted.has(path))) for (const path of same) wanted.add(path);
  }
  return [...wanted];
}

/** Names of the same fifo or device, where one has more than one. */
export function linkedSpecials(manifest: Manifest): BytePath[][] {
  const groups = byInode(manifest, (mode) => SPECIAL.has(mode & S_IFMT)).values();
  return [...groups].filter((same) => same.length > 1);
}

function byInode({ directories }: Manifest, isMeant: (mode: number) => boolean = () => true): Map<number, BytePath[]> {
  const found = new Map<number, BytePath[]>();
  for (const [path, { names, stats }] of directories) {
    let at = 0;
    for (const name of names === '' ? [] : names.split('/')) {
      const ino = stats[at + FIELDS.ino] as number;
      if (isMeant(stats[at + FIELDS.mode] as number)) {
        const same = found.get(ino);
        if (same === undefined) found.set(ino, [joinBytes(path, name)]);
        else same.push(joinBytes(path, name));
      }
      at += WIDTH;
    }
  }
  return found;
}

function namesIn(path: BytePath, isRoot: boolean): string[] {
  try {
    return readdirSync(toFs(path), { encoding: 'latin1' });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!isRoot && (code === 'ENOENT' || code === 'ENOTDIR')) return [];
    throw error;
  }
}

function isWhiteout(stat: Stats): boolean {
  return (stat.mode & S_IFMT) === S_IFCHR && stat.rdev === 0;
}

function numbersOf({ mode, ino, size, mtimeMs, ctimeMs }: Stats): Float64Array {
  return Float64Array.of(mode, ino, size, mtimeMs, ctimeMs);
}
