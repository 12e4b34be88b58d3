/** Which files of the host a tree of processes uses: what must be there, at the same paths, where it goes on. */
import { readdirSync, readFileSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Slice } from '../../exec/slice.ts';
import { type Mount, parseMounts } from '../../tools/proc.ts';
import { remoteMounts } from '../processes/obstacles.ts';
import { descendants, whileThere } from './descendants.ts';

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
  /** Has several names, or lies with somebody else, who may be away when it is read. */
  isShared?: true;
}

const LOOKS = 10;
const BETWEEN_LOOKS_MS = 20;

/**
 * The files of a tree that runs. What a program that it starts every now and then uses is seen only while that runs, and
 * would have to be sent in the freeze otherwise: so while processes, or programs, come and go they are looked at as
 * well, for 200 ms at most.
 * @param tree the process at the top first, and those below it that are known
 */
export async function filesOfTree(tree: readonly number[], signal: AbortSignal): Promise<UsedFile[]> {
  const found = new Map<string, UsedFile>();
  let seen = new Map<number, string>();
  for (let look = 0; look < LOOKS; look++) {
    if (look > 0) await sleep(BETWEEN_LOOKS_MS, undefined, { signal });
    const now = descendants(look === 0 ? tree : tree.slice(0, 1));
    const fresh = [...now].filter(([pid, program]) => seen.get(pid) !== program).map(([pid]) => pid);
    if (fresh.length === 0 && now.size === seen.size) break;
    for (const file of await usedFiles(fresh)) {
      const { isWritten = false, isShared } = found.get(file.path) ?? {};
      found.set(file.path, { ...file, ...(isShared && { isShared }), isWritten: isWritten || file.isWritten });
    }
    seen = now;
  }
  return inOrder(found.values());
}

/**
 * Executables, libraries and whatever else they have mapped or open, and the directories that they are in. Calls are
 * synchronous: in the freeze CRIU works beside, and the thread pool takes some ten times the processor for each. But
 * whoever serves a remote file may be away, or frozen with the tree: that must not stop the whole agent.
 */
export async function usedFiles(pids: readonly number[], proc = '/proc'): Promise<UsedFile[]> {
  const found = new Map<string, UsedFile>();
  const slice = new Slice();
  const remote = remoteMounts(mountsOf([...pids, 'self'], proc)).map(({ path }) => (path === '/' ? path : `${path}/`));
  for (const pid of pids) {
    for (const { path, link, isWritten } of linksOf(`${proc}/${pid}`)) {
      if (slice.isOver()) await slice.next();
      if (!isCarried(path)) continue;
      const before = found.get(path);
      if (before !== undefined) {
        before.isWritten ||= isWritten;
        continue;
      }
      const isRemote = remote.some((mount) => `${path}/`.startsWith(mount));
      const stats = isRemote ? await stat(link).catch(() => undefined) : whileThere(() => statSync(link));
      // Without a name it goes into the memory images (criu/files-reg.c, ghosts).
      if (stats === undefined || stats.nlink === 0) continue;
      const file = describe(path, stats, isWritten);
      if (file !== undefined) found.set(path, isRemote ? { ...file, isShared: true } : file);
    }
  }
  return inOrder(found.values());
}

function inOrder(files: Iterable<UsedFile>): UsedFile[] {
  return [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Of the first that is there still: a tree whose processes see different ones is not moved. */
function mountsOf(pids: readonly (number | string)[], proc: string): Mount[] {
  for (const pid of pids) {
    const text = whileThere(() => readFileSync(`${proc}/${pid}/mountinfo`, 'utf8'));
    if (text !== undefined && text !== '') return parseMounts(text);
  }
  return [];
}

/** What has the path of such a file now, whoever uses it; undefined where that is nothing to be carried. */
export async function lookAgain({ path, isWritten, isShared }: UsedFile): Promise<UsedFile | undefined> {
  const stats = await lstat(path).catch(() => undefined);
  const file = stats && describe(path, stats, isWritten);
  return file && isShared ? { ...file, isShared } : file;
}

/** A file by the name that the kernel knows, and by a link that leads to it whatever has become of the name. */
interface Link {
  path: string;
  link: string;
  isWritten: boolean;
}

function* linksOf(dir: string): Generator<Link> {
  yield* placesOf(dir);
  yield* openOf(dir);
  yield* mappedOf(dir);
}

/**
 * Not what the kernel makes wherever it runs, though what lies in /dev/shm is a file like others; and not CRIU's log,
 * which its code in the processes has open while it dumps them.
 */
function isCarried(path: string): boolean {
  const isElsewhere = /^\/(proc|sys|dev(?!\/shm\/)|run\/drayage)(\/|$)/.test(path);
  return path.startsWith('/') && !isElsewhere && !path.endsWith(' (deleted)');
}

function* placesOf(dir: string): Generator<Link> {
  for (const link of [`${dir}/exe`, `${dir}/cwd`])
    yield { path: whileThere(() => readlinkSync(link)) ?? '', link, isWritten: false };
}

function* openOf(dir: string): Generator<Link> {
  for (const fd of whileThere(() => readdirSync(`${dir}/fd`)) ?? []) {
    const link = `${dir}/fd/${fd}`;
    const path = whileThere(() => readlinkSync(link)) ?? '';
    const info = whileThere(() => readFileSync(`${dir}/fdinfo/${fd}`, 'utf8')) ?? '';
    yield { path, link, isWritten: mayWrite(info) };
  }
}

const O_ACCMODE = 0o3;

function mayWrite(fdinfo: string): boolean {
  const flags = Number.parseInt(/^flags:\s+(\d+)$/m.exec(fdinfo)?.[1] ?? '0', 8);
  return (flags & O_ACCMODE) !== 0;
}

/** What is not a file, as shared memory without a name, has a path that nothing is at. */
function* mappedOf(dir: string): Generator<Link> {
  const maps = whileThere(() => readFileSync(`${dir}/maps`, 'utf8')) ?? '';
  for (const line of maps.split('\n')) {
    const [, range = '', mode = '', path = ''] = /^(\S+) (\S{4}) \S+ \S+ \d+ +(\/.*)$/.exec(line) ?? [];
    if (path !== '') yield { path, link: `${dir}/map_files/${range}`, isWritten: mode[1] === 'w' && mode[3] === 's' };
  }
}

function describe(path: string, stats: Stats, isWritten: boolean): UsedFile | undefined {
  const { mode, uid, gid, mtimeMs, size } = stats;
  const common = { path, mode: mode & 0o7777, uid, gid, mtimeMs };
  if (stats.isDirectory()) return { ...common, kind: 'directory', bytes: 0, isWritten: false };
  // What is in it goes into the memory images (criu/fifo.c, dump_one_fifo).
  if (stats.isFIFO()) return { ...common, kind: 'fifo', bytes: 0, isWritten: false };
  if (!stats.isFile()) return undefined;
  return { ...common, kind: 'file', bytes: size, isWritten, ...(stats.nlink > 1 && { isShared: true }) };
}
