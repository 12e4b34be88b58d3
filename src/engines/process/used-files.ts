/** Which files of the host a tree of processes uses: what must be there, at the same paths, where it goes on. */
import type { Stats } from 'node:fs';
import { lstat, readdir, readFile, readlink, stat } from 'node:fs/promises';

export interface UsedFile {
  /** Absolute, without symbolic links, as the kernel tells it. */
  path: string;
  /** A fifo is never opened: that would take what is in it, or wait for ever. */
  kind: 'file' | 'directory' | 'fifo';
  bytes: number;
  mode: number;
  uid: number;
  gid: number;
  mtimeMs: number;
  /** Open for writing, or mapped shared and writable: its last bytes are known only in the freeze. */
  isWritten: boolean;
}

/** Executables, libraries and whatever else they have mapped or open, and the directories that they are in. */
export async function usedFiles(pids: readonly number[], proc = '/proc'): Promise<UsedFile[]> {
  const found = new Map<string, UsedFile>();
  for (const pid of pids) {
    for (const { path, link, isWritten } of await linksOf(`${proc}/${pid}`)) {
      const before = found.get(path);
      if (before !== undefined) {
        before.isWritten ||= isWritten;
        continue;
      }
      const stats = await stat(link).catch(() => undefined);
      // Without a name it goes into the memory images (criu/files-reg.c, ghosts).
      if (stats === undefined || stats.nlink === 0) continue;
      const file = describe(path, stats, isWritten);
      if (file !== undefined) found.set(path, file);
    }
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What has the path of such a file now, whoever uses it; undefined where that is nothing to be carried. */
export async function lookAgain({ path, isWritten }: UsedFile): Promise<UsedFile | undefined> {
  const stats = await lstat(path).catch(() => undefined);
  return stats && describe(path, stats, isWritten);
}

/** A file by the name that the kernel knows, and by a link that leads to it whatever has become of the name. */
interface Link {
  path: string;
  link: string;
  isWritten: boolean;
}

async function linksOf(dir: string): Promise<Link[]> {
  const [places, open, mapped] = await Promise.all([placesOf(dir), openOf(dir), mappedOf(dir)]);
  return [...places, ...open, ...mapped].filter(({ path }) => isCarried(path));
}

/**
 * Not what the kernel makes wherever it runs, though what lies in /dev/shm is a file like others; and not CRIU's log,
 * which its code in the processes has open while it dumps them.
 */
function isCarried(path: string): boolean {
  const isElsewhere = /^\/(proc|sys|dev(?!\/shm\/)|run\/drayage)(\/|$)/.test(path);
  return path.startsWith('/') && !isElsewhere && !path.endsWith(' (deleted)');
}

async function placesOf(dir: string): Promise<Link[]> {
  const links = ['exe', 'cwd'].map(async (name) => {
    const link = `${dir}/${name}`;
    return { path: await readlink(link).catch(() => ''), link, isWritten: false };
  });
  return Promise.all(links);
}

async function openOf(dir: string): Promise<Link[]> {
  const fds = await readdir(`${dir}/fd`).catch(() => []);
  return Promise.all(
    fds.map(async (fd) => {
      const link = `${dir}/fd/${fd}`;
      const [path, info] = await Promise.all([
        readlink(link).catch(() => ''),
        readFile(`${dir}/fdinfo/${fd}`, 'utf8').catch(() => ''),
      ]);
      return { path, link, isWritten: mayWrite(info) };
    }),
  );
}

const O_ACCMODE = 0o3;

function mayWrite(fdinfo: string): boolean {
  const flags = Number.parseInt(/^flags:\s+(\d+)$/m.exec(fdinfo)?.[1] ?? '0', 8);
  return (flags & O_ACCMODE) !== 0;
}

/** What is not a file, as shared memory without a name, has a path that nothing is at. */
async function mappedOf(dir: string): Promise<Link[]> {
  const maps = await readFile(`${dir}/maps`, 'utf8').catch(() => '');
  return maps.split('\n').flatMap((line): Link[] => {
    const [, range = '', mode = '', path = ''] = /^(\S+) (\S{4}) \S+ \S+ \d+ +(\/.*)$/.exec(line) ?? [];
    if (path === '') return [];
    return [{ path, link: `${dir}/map_files/${range}`, isWritten: mode[1] === 'w' && mode[3] === 's' }];
  });
}

function describe(path: string, stats: Stats, isWritten: boolean): UsedFile | undefined {
  const { mode, uid, gid, mtimeMs, size } = stats;
  const common = { path, mode: mode & 0o7777, uid, gid, mtimeMs };
  if (stats.isDirectory()) return { ...common, kind: 'directory', bytes: 0, isWritten: false };
  // What is in it goes into the memory images (criu/fifo.c, dump_one_fifo).
  if (stats.isFIFO()) return { ...common, kind: 'fifo', bytes: 0, isWritten: false };
  return stats.isFile() ? { ...common, kind: 'file', bytes: size, isWritten } : undefined;
}
