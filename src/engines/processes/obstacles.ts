/** Pure: what a process holds that CRIU cannot dump or needs to be told of, besides sockets. */
import type { FileLock, Mount } from '../../tools/proc.ts';
import type { ProcessFacts } from '../facts.ts';
import type { Look, OpenFile } from './look.ts';

type Obstacle = ProcessFacts['obstacles'][number];

/** What CRIU copies of a deleted file that is still open, in bytes: its own default for `ghost-limit`. */
export const GHOST_LIMIT = 1 << 20;

export interface Surroundings {
  /** The workload's init process. */
  init: Look;
  /** Identity of the ipc namespace of the host itself. */
  hostIpc: string;
  locks: readonly FileLock[];
  /** Whether CRIU here may read resource limits of other users' processes: CAP_SYS_RESOURCE, of the host's own root. */
  readsAllLimits: boolean;
  /** Mounts of the workload's init process. */
  mounts: readonly Mount[];
}

/** Obstacles of one process; what concerns the workload as a whole is found with its init process. */
export function fileObstacles(look: Look, surroundings: Surroundings): Obstacle[] {
  return [
    ...look.files.flatMap(openFileObstacles),
    ...mappingObstacles(look, surroundings),
    ...lockObstacles(look, surroundings.locks),
    ...ghosts(look),
    ...relations(look, surroundings.init),
    ...limitObstacles(look, surroundings),
    ...(look === surroundings.init ? wholeWorkload(surroundings) : []),
  ];
}

/** What CRIU dumps of anonymous inodes (criu/files.c, dump_one_file); in older kernels some have no brackets. */
const DUMPABLE = /^\[?(eventfd|eventpoll|inotify|fanotify|signalfd|timerfd|pidfd|bpf-map)\]?$/;
/** All of the memory driver, terminals (the container's own ones), and tun, which CRIU knows. */
const HARMLESS =
  /^\/dev\/(null|zero|full|u?random|kmsg|mem|port|tty|console|ptmx|net\/tun|(pts|shm|mqueue|hugepages)\/.*)$/;

function openFileObstacles({ fd, target }: OpenFile): Obstacle[] {
  const inode = /^anon_inode:(.*)$/.exec(target)?.[1];
  if (inode === '[io_uring]') return [{ kind: 'io-uring', detail: `descriptor ${fd}` }];
  if (inode !== undefined) return DUMPABLE.test(inode) ? [] : [{ kind: 'unsupported-fd', detail: inode }];
  return isDevice(target) ? [{ kind: 'device', detail: target }] : [];
}

function isDevice(path: string): boolean {
  return path.startsWith('/dev/') && !path.endsWith(' (deleted)') && !HARMLESS.test(path);
}

function mappingObstacles({ mappings, files, namespaces }: Look, { hostIpc }: Surroundings): Obstacle[] {
  const open = new Set(files.map(({ target }) => target));
  const paths = new Set(mappings.map(({ path }) => path));
  return [...paths].flatMap((path): Obstacle[] => {
    if (path.startsWith('/SYSV') && namespaces.ipc === hostIpc) return [{ kind: 'sysv-host-ipc', detail: path }];
    return isDevice(path) && !open.has(path) ? [{ kind: 'device', detail: path }] : [];
  });
}

function lockObstacles({ status }: Look, locks: readonly FileLock[]): Obstacle[] {
  return locks
    .filter(({ pid }) => pid === status.pid)
    .map(({ kind, mode, inode }) => ({ kind: 'file-lock', detail: `${kind} ${mode} on inode ${inode}` }));
}

function ghosts({ deleted }: Look): Obstacle[] {
  return deleted
    .filter(({ bytes }) => bytes > GHOST_LIMIT)
    .map(({ path, bytes }) => ({
      kind: 'large-deleted-file',
      detail: `${path}, ${(bytes / (1 << 20)).toFixed(1)} MiB`,
    }));
}

function relations({ status, namespaces }: Look, init: Look): Obstacle[] {
  const obstacles: Obstacle[] = [];
  const depth = init.status.pids.length;
  if (status.tracerPid !== 0) obstacles.push({ kind: 'traced', detail: `by process ${status.tracerPid}` });
  if (status.pids.length > depth)
    obstacles.push({ kind: 'nested-pidns', detail: `pid ${status.pids.at(-1)} in its own` });
  if (differs(namespaces.mnt, init.namespaces.mnt)) obstacles.push({ kind: 'nested-mntns', detail: namespaces.mnt });
  if (differs(namespaces.user, init.namespaces.user))
    obstacles.push({ kind: 'nested-userns', detail: namespaces.user });
  // The kernel writes 0 for a leader that the namespace cannot see.
  if (status.sessions[depth - 1] === 0) obstacles.push({ kind: 'session-outside', detail: 'leader of its session' });
  return obstacles;
}

/** prlimit(2): without the capability all user and group ids must be the caller's; CRIU is root and reads them so. */
function limitObstacles({ status }: Look, { readsAllLimits }: Surroundings): Obstacle[] {
  const [user = 0] = status.owners;
  if (readsAllLimits || status.owners.every((id) => id === 0)) return [];
  return [{ kind: 'foreign-limits', detail: `user ${user}` }];
}

/** Unknown where the link could not be read, as of a zombie. */
function differs(one: string, other: string): boolean {
  return one !== '' && other !== '' && one !== other;
}

const NETWORK_FS = /^(nfs4?|cifs|smb3|smbfs|9p|afs|ceph|glusterfs|lustre|ncpfs|virtiofs|fuse(blk)?(\..*)?)$/;

/** Whoever serves these may be away, and then whatever looks at a file of theirs waits. */
export function remoteMounts(mounts: readonly Mount[]): Mount[] {
  return mounts.filter(({ type }) => NETWORK_FS.test(type));
}

function wholeWorkload({ init, mounts }: Surroundings): Obstacle[] {
  const remote = remoteMounts(mounts);
  return [
    ...remote.map(({ type, path }): Obstacle => ({ kind: 'network-fs', detail: `${type} on ${path}` })),
    ...(init.status.name === 'systemd' ? [{ kind: 'systemd', detail: 'is its init process' } as const] : []),
  ];
}
