/** One look at one process: what /proc says of it, parsed but not yet judged. */
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import {
  type Mapping,
  type ProcessStatus,
  parseFileMappings,
  parseStatus,
  parseWatches,
  type Watch,
} from '../../tools/proc.ts';

export interface OpenFile {
  fd: string;
  /** What /proc/P/fd links to: `/etc/passwd`, `socket:[4711]`, `anon_inode:[eventpoll]`. */
  target: string;
}

interface DeletedFile {
  path: string;
  inode: number;
  /** Space it takes, which is what CRIU compares with its limit. */
  bytes: number;
}

export interface Look {
  status: ProcessStatus;
  /** Identities of its namespaces: `mnt:[4026531841]`. */
  namespaces: { mnt: string; user: string; ipc: string };
  files: OpenFile[];
  /** Mapped files and devices. */
  mappings: Mapping[];
  /** Files without a name that are still open or mapped; memfds and shared anonymous memory are none. */
  deleted: DeletedFile[];
  watches: Watch[];
}

/** @returns undefined where the process has ended meanwhile. */
export async function look(proc: string, pid: number): Promise<Look | undefined> {
  const dir = `${proc}/${pid}`;
  try {
    const [status, mnt, user, ipc, files, maps] = await Promise.all([
      readFile(`${dir}/status`, 'utf8'),
      readlink(`${dir}/ns/mnt`).catch(orEmpty),
      readlink(`${dir}/ns/user`).catch(orEmpty),
      readlink(`${dir}/ns/ipc`).catch(orEmpty),
      openFiles(dir),
      readFile(`${dir}/maps`, 'utf8').catch(orEmpty),
    ]);
    const mappings = parseFileMappings(maps);
    return {
      status: parseStatus(status),
      namespaces: { mnt, user, ipc },
      files,
      mappings,
      deleted: await deletedFiles(dir, files, mappings),
      watches: await watches(dir, files),
    };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

export function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '');
}

async function openFiles(dir: string): Promise<OpenFile[]> {
  const fds = await readdir(`${dir}/fd`).catch(() => []); // A zombie has none.
  const files = await Promise.all(
    fds.map(async (fd) => ({ fd, target: await readlink(`${dir}/fd/${fd}`).catch(orEmpty) })),
  );
  return files.filter(({ target }) => target !== '');
}

const DELETED = ' (deleted)';
/** Memory that the kernel keeps as a nameless file; CRIU dumps it as what it is. */
const MEMORY = /^\/(memfd:|dev\/zero|SYSV|anon_hugepage|\[aio\])/;

async function deletedFiles(
  dir: string,
  files: readonly OpenFile[],
  mappings: readonly Mapping[],
): Promise<DeletedFile[]> {
  const isDeleted = (path: string): boolean => path.startsWith('/') && path.endsWith(DELETED) && !MEMORY.test(path);
  const links = [
    ...files.filter(({ target }) => isDeleted(target)).map(({ fd, target }) => ({ link: `fd/${fd}`, path: target })),
    ...mappings.filter(({ path }) => isDeleted(path)).map(({ range, path }) => ({ link: `map_files/${range}`, path })),
  ];
  const found = new Map<number, DeletedFile>();
  for (const { link, path } of links) {
    const stats = await stat(`${dir}/${link}`).catch(() => undefined);
    // One that still has another name is not copied into the images: CRIU links it anew (link-remap).
    if (stats === undefined || stats.nlink > 0 || !stats.isFile()) continue;
    found.set(stats.ino, { path: path.slice(0, -DELETED.length), inode: stats.ino, bytes: stats.blocks * 512 });
  }
  return [...found.values()];
}

async function watches(dir: string, files: readonly OpenFile[]): Promise<Watch[]> {
  const inotify = files.filter(({ target }) => target === 'anon_inode:inotify');
  const texts = await Promise.all(inotify.map(({ fd }) => readFile(`${dir}/fdinfo/${fd}`, 'utf8').catch(orEmpty)));
  return texts.flatMap(parseWatches);
}

/** What a process closes or unmaps while it is looked at, and what a zombie no longer has. */
function orEmpty(error: NodeJS.ErrnoException): string {
  if (['ENOENT', 'ESRCH', 'EACCES'].includes(error.code ?? '')) return '';
  throw error;
}
