/**
 * Files that go in one message of the agents, such as logs: rsync and cp(1) take two processors 20 ms for the last bytes
 * of one, which in a freeze are taken from the dump. Only what was sent before is brought up to date so, in place. What
 * else it has, such as extended attributes, it has from the first pass; and Node sets times to a quarter of a
 * microsecond only.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  openSync,
  readSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { type BytePath, nameOf, parentOf, toFs } from './byte-path.ts';
import { Inside } from './inside.ts';

export interface ShortFile extends Pick<Stats, 'mode' | 'uid' | 'gid' | 'mtimeMs'> {
  path: BytePath;
  /** In base64. */
  content: string;
}

export const MOST_FILES = 64;
export const MOST_BYTES = 1 << 20;

const { O_RDONLY, O_WRONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** @returns undefined where one of them is not short, was not only written to, has other names or is no file any more. */
export function readShort(root: string, paths: readonly BytePath[]): ShortFile[] | undefined {
  if (paths.length > MOST_FILES) return undefined;
  const files: ShortFile[] = [];
  let left = MOST_BYTES;
  for (const path of paths) {
    const file = readOne(`${root}/${path}`, left);
    if (file === undefined) return undefined;
    const { content, stats } = file;
    left -= content.length;
    const { mode, uid, gid, mtimeMs } = stats;
    files.push({ path, mode, uid, gid, mtimeMs, content: content.toString('base64') });
  }
  return files;
}

function readOne(path: BytePath, mostBytes: number): { content: Buffer; stats: Stats } | undefined {
  let fd: number;
  try {
    fd = openSync(toFs(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile() || stats.nlink !== 1 || stats.size > mostBytes) return undefined;
    // What was done to it last was not a write: it may have other attributes, which this does not carry.
    const { ctimeNs, mtimeNs } = fstatSync(fd, { bigint: true });
    if (ctimeNs !== mtimeNs) return undefined;
    // One byte more than it should have tells a file that somebody else makes longer.
    const room = Buffer.allocUnsafe(stats.size + 1);
    const length = readSync(fd, room, 0, room.length, 0);
    return length === stats.size ? { content: room.subarray(0, length), stats } : undefined;
  } finally {
    closeSync(fd);
  }
}

/**
 * Brings files below `root` up to date.
 * @returns false, and nothing is changed, where one of them is not there, or cannot be written to
 * @throws DrayageError FILES_UNSAFE_PATH
 */
export function rewriteShort(root: string, files: readonly ShortFile[]): boolean {
  const open: number[] = [];
  try {
    for (const { path } of files) {
      const fd = openInside(root, path);
      if (fd === undefined) return false;
      open.push(fd);
    }
    for (const [index, { content, ...stats }] of files.entries())
      overwrite(open[index] as number, Buffer.from(content, 'base64'), stats);
    return true;
  } finally {
    for (const fd of open) closeSync(fd);
  }
}

function openInside(root: string, path: BytePath): number | undefined {
  using top = Inside.open(root);
  using parent = top.descend(parentOf(path));
  if (parent === undefined || parent.lstat(nameOf(path))?.isFile() !== true) return undefined;
  try {
    return openSync(parent.at(nameOf(path)), O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch {
    return undefined; // A program that runs, say.
  }
}

/** Makes an open file what another one is. */
export function overwrite(fd: number, content: Buffer, stats: Pick<Stats, 'mode' | 'uid' | 'gid' | 'mtimeMs'>): void {
  for (let done = 0; done < content.length; ) done += writeSync(fd, content, done, content.length - done, done);
  ftruncateSync(fd, content.length);
  const there = fstatSync(fd);
  // Takes away what chmod gives: set-user-ID.
  const isOthers = there.uid !== stats.uid || there.gid !== stats.gid;
  if (isOthers) fchownSync(fd, stats.uid, stats.gid);
  if (isOthers || there.mode !== stats.mode) fchmodSync(fd, stats.mode & 0o7777);
  futimesSync(fd, stats.mtimeMs / 1000, stats.mtimeMs / 1000);
}
