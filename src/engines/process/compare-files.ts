/** Which of a workload's files a host has already, byte for byte. */
import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { concurrently } from '../processes/concurrently.ts';
import { stillLeft } from './left-files.ts';
import type { UsedFile } from './used-files.ts';

/** A used file with the SHA-256 of its content, in hex; empty for what is no file and where it cannot be read. */
export type DigestedFile = UsedFile & { sha256: string };

/**
 * `left` is one that the processes themselves wrote when they were on this host. Any other that they are writing now
 * `differs`, also while it holds the same: it is not theirs, and will be another one by the time of the freeze.
 */
export type FileState = 'same' | 'missing' | 'left' | 'differs';

const AT_ONCE = 4;

export async function digestFiles(files: readonly UsedFile[], signal: AbortSignal): Promise<DigestedFile[]> {
  return concurrently(files, AT_ONCE, signal, async (file) => {
    return { ...file, sha256: file.kind === 'file' ? await digest(file.path, signal) : '' };
  });
}

/** What this host has at the path of each, in the order of the files. */
export async function compareFiles(files: readonly DigestedFile[], signal: AbortSignal): Promise<FileState[]> {
  const left = await stillLeft(files.map(({ path }) => path));
  return concurrently(files, AT_ONCE, signal, async (file): Promise<FileState> => {
    const found = await lstat(file.path).catch(() => undefined);
    if (found === undefined) return 'missing';
    const stats = found.isSymbolicLink() ? await stat(file.path).catch(() => undefined) : found;
    if (!file.isWritten && stats !== undefined && (await isSame(file, stats, signal))) return 'same';
    return left.has(file.path) ? 'left' : 'differs';
  });
}

/**
 * Whether two files hold the same, and may be used alike. As for rsync, those of one size and time are the same: in the
 * freeze, to read a program that was started since the survey took the disk of the target 100 ms and more.
 */
export async function compareContent(one: string, other: string, signal: AbortSignal): Promise<boolean> {
  const [a, b] = await Promise.all([stat(one, { bigint: true }), stat(other, { bigint: true })]);
  if (a.mode !== b.mode) return false;
  if (a.isFIFO()) return true;
  if (!a.isFile() || a.size !== b.size) return false;
  return a.mtimeNs === b.mtimeNs || (await digest(one, signal)) === (await digest(other, signal));
}

/** Modes count for files that can be run: CRIU refuses an open file whose mode is another one. */
async function isSame(file: DigestedFile, stats: Stats, signal: AbortSignal): Promise<boolean> {
  if (file.kind === 'directory') return stats.isDirectory();
  if ((stats.mode & 0o7777) !== file.mode) return false;
  if (file.kind === 'fifo') return stats.isFIFO();
  if (!stats.isFile() || stats.size !== file.bytes) return false;
  return (await digest(file.path, signal)) === file.sha256;
}

/** Of a file only, whatever has the path by the time that it is opened. */
async function digest(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!(await file.stat()).isFile()) return '';
    await pipeline(file.createReadStream({ highWaterMark: 1 << 20, autoClose: false }), hash, { signal });
    return hash.digest('hex');
  } catch (error) {
    signal.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return '';
  }
}
