/** How much a tree of files is, quickly: as du counts. */
import type { Stats } from 'node:fs';
import { lstat, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';

/** proc, sysfs, cgroup, cgroup2, devpts, debugfs, tracefs: endless to walk, and nothing in them can be carried. */
const KERNEL_FILE_SYSTEMS = new Set([0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x1cd1, 0x64626720, 0x74726163]);
const BLOCK = 512;

/**
 * Space on disk and number of entries of a file or directory. A file with several names counts once; other mounts
 * inside and what vanishes meanwhile count nothing, as does a path that is not there.
 */
export async function measureTree(path: string, signal?: AbortSignal): Promise<{ bytes: number; entries: number }> {
  const top = await look(path);
  if (top === undefined || (await isKernels(path))) return { bytes: 0, entries: 0 };
  const seen = new Set<number>();
  let bytes = 0;
  let entries = 0;
  const pending: string[] = [];
  const count = (entry: string, stats: Stats): void => {
    if (stats.dev !== top.dev) return;
    entries += 1;
    if (stats.isDirectory()) pending.push(entry);
    else if (stats.nlink > 1) {
      if (seen.has(stats.ino)) return;
      seen.add(stats.ino);
    }
    bytes += stats.blocks * BLOCK;
  };
  count(path, top);
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    signal?.throwIfAborted();
    const names = await readdir(directory).catch(() => []);
    for (let from = 0; from < names.length; from += 256) {
      const some = names.slice(from, from + 256).map((name) => join(directory, name));
      const stats = await Promise.all(some.map(look));
      for (const [index, entry] of some.entries()) {
        const found = stats[index];
        if (found !== undefined) count(entry, found);
      }
    }
  }
  return { bytes, entries };
}

async function look(path: string): Promise<Stats | undefined> {
  return lstat(path).catch(() => undefined);
}

async function isKernels(path: string): Promise<boolean> {
  const { type } = await statfs(path);
  return KERNEL_FILE_SYSTEMS.has(type);
}
