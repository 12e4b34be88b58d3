/**
 * Paths of what inotify watches. CRIU opens a watched inode by its file handle, which overlayfs does not support, and
 * then searches a few directories only (criu/irmap.c); but it takes a hint, `irmap-scan-path`, for the exact path.
 */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mount, Watch } from '../../tools/proc.ts';
import type { ProcessFacts } from '../facts.ts';

type Obstacle = ProcessFacts['obstacles'][number];

/** Whether CRIU cannot open it by its handle. */
export function needsPath({ device }: Watch, mounts: readonly Mount[]): boolean {
  const mount = mounts.find((one) => one.device === device);
  return mount === undefined || (mount.type === 'overlay' && !mount.options.includes('nfs_export=on'));
}

/** What is searched at most: directories near the root come first, and there the watched ones are as a rule. */
const MOST_ENTRIES = 50_000;

/**
 * Looks for inodes among the files of a mount.
 * @param root the mount's top as this process sees it: `/proc/P/root`
 * @returns paths within the mount by inode; without those that were not found
 */
export async function findPaths(
  root: string,
  inodes: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  const top = await lstat(`${root}/.`).catch(() => undefined);
  if (top === undefined) return found;
  if (inodes.has(top.ino)) found.set(top.ino, '/');
  let seen = 0;
  let level = ['/'];
  while (level.length > 0 && found.size < inodes.size && seen < MOST_ENTRIES) {
    const below: string[] = [];
    for (const directory of level) {
      signal.throwIfAborted();
      const entries = await readdir(join(root, directory), { withFileTypes: true }).catch(() => []);
      seen += entries.length;
      const stats = await Promise.all(
        entries.map(({ name }) => lstat(join(root, directory, name)).catch(() => undefined)),
      );
      for (const [index, entry] of entries.entries()) {
        const path = join(directory, entry.name);
        const stat = stats[index];
        if (stat?.dev !== top.dev) continue;
        if (inodes.has(stat.ino)) found.set(stat.ino, path);
        if (entry.isDirectory()) below.push(path);
      }
      if (found.size === inodes.size || seen >= MOST_ENTRIES) break;
    }
    level = below;
  }
  return found;
}

/** @param paths by inode, of those in the workload's root file system */
export function watchObstacle(
  { device, inode }: Watch,
  rootDevice: string,
  paths: ReadonlyMap<number, string>,
): Obstacle {
  const path = device === rootDevice ? paths.get(inode) : undefined;
  // CRIU's configuration file has no way to write these (criu/config.c cuts at `#` even within quotes).
  if (path !== undefined && !/[\s"#]/.test(path)) return { kind: 'inotify-path', detail: path };
  return { kind: 'inotify-unresolvable', detail: `inode ${inode} of device ${device}` };
}
