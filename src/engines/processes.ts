/** Survey of a workload's processes: what they hold that CRIU cannot dump, and how much memory a dump will be. */
import { readFile, readlink } from 'node:fs/promises';
import { type Run, runner } from '../exec/run.ts';
import { hasCapability, type Mount, parseLocks, parseMounts } from '../tools/proc.ts';
import type { ProcessFacts } from './facts.ts';
import { concurrently } from './processes/concurrently.ts';
import { type Look, look } from './processes/look.ts';
import { memoryOf, tmpfsContent } from './processes/memory.ts';
import { fileObstacles } from './processes/obstacles.ts';
import { readSocketTables } from './processes/socket-tables.ts';
import { socketObstacles } from './processes/sockets.ts';
import { tasksOf } from './processes/tasks.ts';
import { findPaths, needsPath, watchObstacle } from './processes/watches.ts';

export interface SurveyProcessesOptions {
  signal: AbortSignal;
  /** For `nsenter` and `ss`, which run only where there are connected unix sockets or MPTCP ones. */
  run?: Run;
  /** Where procfs is mounted; default `/proc`. */
  proc?: string;
}

export interface ProcessesFacts {
  /** The init process first. */
  processes: ProcessFacts[];
  /** Resident anonymous and shared memory, swap and tmpfs content that a dump will hold, in bytes. */
  memoryBytes: number;
}

type Obstacle = ProcessFacts['obstacles'][number];

/** Processes that are looked at at once. */
const AT_ONCE = 8;
const CAP_SYS_RESOURCE = 24;
/** Details of one kind that are told of one process. */
const MOST_DETAILS = 8;

/**
 * @param tasks host pids, the init process first; or the absolute path of the workload's cgroup directory, of which
 *   every process counts, those of nested cgroups included. A process that ends meanwhile is left out.
 */
export async function surveyProcesses(
  tasks: readonly number[] | string,
  { signal, run = runner(), proc = '/proc' }: SurveyProcessesOptions,
): Promise<ProcessesFacts> {
  const pids = typeof tasks === 'string' ? await tasksOf(tasks) : tasks;
  const seen = await concurrently(pids, AT_ONCE, signal, (pid) => look(proc, pid));
  const looks = initFirst(seen.filter((one) => one !== undefined));
  const [init] = looks;
  if (init === undefined) return { processes: [], memoryBytes: 0 };

  const owned = new Map(looks.map((one) => [one, socketInodes(one)]));
  const all = new Set([...owned.values()].flat());
  const text = (path: string): Promise<string> => readFile(`${proc}/${path}`, 'utf8').catch(() => '');
  const [tables, mounts, hostMounts, locks, hostIpc, readsAllLimits] = await Promise.all([
    readSocketTables({ proc, pid: init.status.pid, owned: all, run, signal }),
    text(`${init.status.pid}/mountinfo`).then(parseMounts),
    text('self/mountinfo').then(parseMounts),
    text('locks').then(parseLocks),
    readlink(`${proc}/self/ns/ipc`).catch(() => ''),
    text('self/status').then((status) => hasCapability(status, CAP_SYS_RESOURCE)),
  ]);
  const [watched, memory, tmpfs] = await Promise.all([
    watchObstacles(proc, looks, mounts, signal),
    concurrently(looks, AT_ONCE, signal, (one) => memoryOf(proc, one)),
    tmpfsContent(proc, init.status.pid, mounts, hostMounts),
  ]);
  const sockets = socketObstacles(tables, all);
  const surroundings = { init, hostIpc, locks, readsAllLimits, mounts };
  const told = new Set<string>();
  const processes = looks.map((one): ProcessFacts => {
    const ofSockets = (owned.get(one) ?? []).flatMap((inode) => sockets.get(inode) ?? []);
    const obstacles = [...fileObstacles(one, surroundings), ...ofSockets, ...(watched.get(one) ?? [])];
    return {
      pid: one.status.pid,
      innerPid: one.status.pids[init.status.pids.length - 1] ?? one.status.pid,
      name: one.status.name,
      obstacles: shorten(withoutInherited(obstacles, told)),
    };
  });
  return { processes, memoryBytes: memory.reduce((sum, bytes) => sum + bytes, 0) + tmpfs };
}

/** The init process is number 1 in the namespace that most are in; a cgroup lists its processes in no order. */
function initFirst(looks: readonly Look[]): Look[] {
  const depth = Math.min(...looks.map(({ status }) => status.pids.length));
  const isInit = ({ status }: Look): boolean => status.pids.length === depth && status.pids.at(-1) === 1;
  return [...looks].sort((a, b) => Number(isInit(b)) - Number(isInit(a)));
}

function socketInodes({ files }: Look): number[] {
  return files.flatMap(({ target }) => {
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    return inode === undefined ? [] : [Number(inode)];
  });
}

async function watchObstacles(
  proc: string,
  looks: readonly Look[],
  mounts: readonly Mount[],
  signal: AbortSignal,
): Promise<Map<Look, Obstacle[]>> {
  const difficult = new Map(looks.map((one) => [one, one.watches.filter((watch) => needsPath(watch, mounts))]));
  const rootDevice = mounts.findLast(({ path }) => path === '/')?.device ?? '';
  const inRoot = [...difficult.values()].flat().filter(({ device }) => device === rootDevice);
  const inodes = new Set(inRoot.map(({ inode }) => inode));
  const pid = looks[0]?.status.pid;
  const paths = inodes.size === 0 ? new Map<number, string>() : await findPaths(`${proc}/${pid}/root`, inodes, signal);
  return new Map(
    [...difficult].map(([one, watches]) => [one, watches.map((watch) => watchObstacle(watch, rootDevice, paths))]),
  );
}

/** What forked processes have in common is told of the first of them. */
function withoutInherited(obstacles: readonly Obstacle[], told: Set<string>): Obstacle[] {
  return obstacles.filter(({ kind, detail }) => {
    const thing = `${kind} ${detail}`;
    if (told.has(thing)) return OF_THE_PROCESS.has(kind);
    told.add(thing);
    return true;
  });
}

/** Where the detail does not tell one thing from another. */
const OF_THE_PROCESS: ReadonlySet<Obstacle['kind']> = new Set([
  'io-uring',
  'unsupported-fd',
  'traced',
  'session-outside',
]);

/** A server may hold thousands of connections: the first few are told, and how many more there are. */
function shorten(obstacles: readonly Obstacle[]): Obstacle[] {
  return [...Map.groupBy(obstacles, ({ kind }) => kind)].flatMap(([kind, found]) => {
    const more = found.length - MOST_DETAILS;
    // Every path counts: CRIU must be told of each.
    if (more <= 1 || kind === 'inotify-path') return found;
    return [...found.slice(0, MOST_DETAILS), { kind, detail: `${more} more` }];
  });
}
