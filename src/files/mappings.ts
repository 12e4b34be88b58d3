/**
 * Files that a workload has mapped shared and writable. A store into such a mapping changes the file's content at
 * once, but its times only when the page first becomes dirty (page_mkwrite): a later store into a page that is still
 * dirty cannot be seen from the times.
 *
 * The kernel prints a mapping's path as the workload sees it, while device and inode numbers are those of the overlay
 * or of the file below it, as the kernel's version has it: so the path is what to go by. It is followed through the
 * workload's own mounts to the tree that is mounted there.
 */
import { readFileSync, statSync } from 'node:fs';
import type { FileTree } from '../engines/facts.ts';
import { type BytePath, fromText, toFs } from './byte-path.ts';

/**
 * By key of the tree, for `TreeSync.finalPass`. Deleted files, shared memory and files of the image that the workload
 * never changed are in no tree. A process that ends meanwhile is passed over.
 * @param pids of the workload, on this host.
 */
export function sharedWritableMappings(pids: readonly number[], trees: readonly Tree[]): Map<string, BytePath[]> {
  const found = new Map<string, Set<BytePath>>();
  for (const pid of pids) {
    const paths = sharedWritablePaths(readProc(pid, 'maps'));
    if (paths.length === 0) continue;
    // Paths are those of the mount namespace, also of a process that has changed its root within it.
    const guide = pids.find((other) => mountNamespace(other) === mountNamespace(pid)) ?? pid;
    const points = new Set(mountPoints(readProc(guide, 'mountinfo')));
    for (const path of paths) {
      const place = placeOf(guide, path, points, trees);
      if (place === undefined) continue;
      const set = found.get(place.key) ?? new Set();
      found.set(place.key, set.add(place.path));
    }
  }
  return new Map([...found].map(([key, paths]) => [key, [...paths]]));
}

type Tree = Pick<FileTree, 'key' | 'kind' | 'path'>;

/** Absolute paths in the text of `/proc/P/maps`, in which the kernel escapes only newlines. */
export function sharedWritablePaths(maps: string): BytePath[] {
  const paths = new Set<BytePath>();
  for (const line of maps.split('\n')) {
    const path = /^\S+ .w.s \S+ \S+ \d+ +(\/.*)$/.exec(line)?.[1];
    if (path !== undefined && !path.endsWith(' (deleted)')) paths.add(path.replaceAll('\\012', '\n'));
  }
  return [...paths];
}

export function mountPoints(mountinfo: string): BytePath[] {
  const lines = mountinfo.split('\n').filter((line) => line !== '');
  return lines.map((line) => unescapeOctal(line.split(' ')[4] ?? ''));
}

/** Goes up from mount to mount until one is a tree that has this very file; the root's tree has what is in no mount. */
function placeOf(
  pid: number,
  path: BytePath,
  points: ReadonlySet<BytePath>,
  trees: readonly Tree[],
): { key: string; path: BytePath } | undefined {
  const inWorkload = `/proc/${pid}/root`;
  let isInRootMount = true;
  for (let point = path; point !== ''; point = point.slice(0, point.lastIndexOf('/'))) {
    if (!points.has(point)) continue;
    isInRootMount = false;
    const mounted = identityOf(inWorkload + point);
    const below = path.slice(point.length);
    for (const { key, kind, path: root } of trees) {
      if (kind === 'upper' || mounted === undefined || identityOf(fromText(root)) !== mounted) continue;
      if (identityOf(fromText(root) + below) === identityOf(inWorkload + path)) return { key, path: below.slice(1) };
    }
  }
  if (!isInRootMount) return undefined;
  const upper = trees.find(({ kind }) => kind === 'upper');
  const isInUpper = upper !== undefined && identityOf(fromText(upper.path) + path) !== undefined;
  return isInUpper ? { key: upper.key, path: path.slice(1) } : undefined;
}

/** Undefined also where a mount does not answer: what cannot be looked at is in no tree. */
function identityOf(path: BytePath): string | undefined {
  try {
    const { dev, ino } = statSync(toFs(path));
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function mountNamespace(pid: number): string | undefined {
  return identityOf(`/proc/${pid}/ns/mnt`);
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw error;
  }
}

function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
