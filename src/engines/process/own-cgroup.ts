/**
 * A cgroup for a tree of processes that has none to itself: CRIU and the freezer take whole cgroups. With cgroup v1 it
 * is one of the freezer's hierarchy only, so no limit and no account changes; with v2 it is one below that of the
 * process at the top, whose limits go on to hold for all in it.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../../errors.ts';
import type { ProcessStat } from '../../tools/proc.ts';
import { freezerPath, parseMountinfo } from '../docker/mountinfo.ts';
import { isFrozen } from '../freezer.ts';
import { stateOf } from '../processes/state.ts';
import { tasksOf } from '../processes/tasks.ts';
import { ownLimits } from './limits.ts';
import { listProcesses } from './list.ts';
import { changeOf, isAlive, membersOf, type TreeTop } from './tree.ts';

/** What is needed to give the processes back to the cgroups that they were in. */
export interface OwnCgroup {
  path: string;
  /** Cgroups by pid, before. */
  homes: Record<string, string>;
  /** Made here for its limits when it came; they are left behind. */
  limited: string[];
}

const ROUNDS = 100;
const REMOVE_MS = 2000;
/** Many times what it takes, and what a busy host may need for it. */
const STILL_MS = 1000;
/** Of a tree that is being moved: named after the migration. */
const SOURCE = /(?:^|\/)drayage-([^/]+)-source(?:\/|$)/;

/** The name of such a cgroup. */
export function sourceCgroup(id: string): string {
  return `drayage-${id}-source`;
}

/**
 * Where the tree's own cgroup will be, and where its processes are now; nothing is made.
 * @throws DrayageError FREEZE_FAILED where no freezer is to be seen from here, TREE_CHANGED, WORKLOAD_BUSY as assertFree
 */
export async function planCgroup(name: string, top: TreeTop, signal: AbortSignal): Promise<OwnCgroup> {
  const root = top.pid;
  const homes: Record<string, string> = {};
  for (const { pid } of membersOf(await listProcesses(signal), top)) {
    const home = homeOf(pid);
    if (home === undefined) continue;
    assertFree(pid, home);
    homes[pid] = home;
  }
  const home = homes[root];
  if (home === undefined) throw new DrayageError('FREEZE_FAILED', `The cgroup of process ${root} is not to be seen.`);
  return { path: join(isVersion2(home) ? home : topOf(home), name), homes, limited: await ownLimits(root) };
}

/**
 * Moves the tree into its cgroup, while it runs: what it forks from then on is born there.
 * @throws DrayageError FREEZE_FAILED where it forks faster than it can be moved, TREE_CHANGED, WORKLOAD_BUSY as assertFree
 */
export async function enterCgroup({ path }: Pick<OwnCgroup, 'path'>, top: TreeTop, signal: AbortSignal): Promise<void> {
  await mkdir(path, { recursive: true });
  for (let round = 0; round < ROUNDS; round++) {
    const inside = new Set(await tasksOf(path));
    const members = membersOf(await listProcesses(signal), top);
    const outside = members.filter((one) => isAlive(one) && !inside.has(one.pid));
    if (outside.length === 0) return;
    for (const { pid } of outside) {
      // Nothing is waited for in between: another migration may take it at any time.
      const home = homeOf(pid);
      if (home === undefined || home === path) continue;
      assertFree(pid, home);
      moveTo(path, pid);
    }
  }
  throw new DrayageError('FREEZE_FAILED', `Process ${top.pid} forks faster than its children can be collected.`);
}

/**
 * What another migration has is left alone, also where that is in doubt and no migration is under way any more: a task
 * that leaves a frozen cgroup runs on, and the same may run on the other host by then.
 * @throws DrayageError WORKLOAD_BUSY
 */
export function assertFree(pid: number, home: string): void {
  const id = SOURCE.exec(home)?.[1];
  if (id !== undefined) {
    throw new DrayageError('WORKLOAD_BUSY', `Process ${pid} is being moved, by migration ${id}.`, {
      remedy: `Wait for it (drayage watch ${id}). If its outcome is unknown, decide: drayage resolve ${id} --keep source, or --keep target.`,
    });
  }
  if (!isFrozen(home)) return;
  throw new DrayageError('WORKLOAD_BUSY', `Process ${pid} is in a frozen cgroup, ${home}.`, {
    meaning: 'Somebody keeps it from running, and moving it would let it run on.',
    remedy: 'See what has frozen it, and have it thawed by that; then run the command again.',
  });
}

/** Gives the processes back, also those born meanwhile, and removes the cgroup. May be repeated. */
export async function leaveCgroup({ path, homes }: Pick<OwnCgroup, 'path' | 'homes'>): Promise<void> {
  const [first = dirname(path)] = Object.values(homes);
  const homeOfEach = (pid: number): string => {
    const home = homes[pid] ?? first;
    return existsSync(home) ? home : dirname(path); // Whoever made it may have removed it since.
  };
  // What is forked meanwhile is born in it.
  for (let round = 0; round < ROUNDS; round++) {
    const pids = await tasksOf(path);
    if (pids.length === 0) break;
    for (const pid of pids) moveTo(homeOfEach(pid), pid);
  }
  await removeCgroup(path);
}

/**
 * The restored tree becomes one like all others of the host. With cgroup v2 it keeps the cgroup: there it would be the
 * agent's that it goes back to, and end with the agent.
 */
export async function settleCgroup(path: string): Promise<void> {
  if (!existsSync(path) || isVersion2(path)) return;
  await leaveCgroup({ path, homes: {} });
}

/** Busy for a moment after its last process has ended. One that is not there is as good as removed. */
export async function removeCgroup(path: string): Promise<void> {
  const deadline = performance.now() + REMOVE_MS;
  for (;;) {
    try {
      return await rmdir(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (performance.now() > deadline) throw error;
    }
    await sleep(10);
  }
}

/**
 * The process at the top is in there since `enterCgroup`, so it is the same. One that is about to end may have left its
 * cgroup and not its parent: it is waited for.
 * @throws DrayageError TREE_CHANGED where cgroup and tree do not hold the same
 */
export async function assertWhole(path: string, root: number): Promise<void> {
  const deadline = performance.now() + STILL_MS;
  for (;;) {
    const change = changeOf(await tasksOf(path), descendants(root), root);
    if (change === undefined) return;
    if (performance.now() > deadline) throw new DrayageError('TREE_CHANGED', change);
    await sleep(5);
  }
}

/**
 * A process and all that descend from it, as CRIU itself finds them: what the kernel lists as children is reliable while
 * their parents stand still (proc(5), CONFIG_PROC_CHILDREN).
 */
function descendants(root: number): Pick<ProcessStat, 'pid' | 'parent' | 'state'>[] {
  const found = [{ pid: root, parent: 0, state: stateOf(root) }];
  for (const { pid } of found) {
    for (const child of childrenOf(pid)) found.push({ pid: child, parent: pid, state: stateOf(child) });
  }
  return found;
}

function childrenOf(pid: number): number[] {
  try {
    const lists = readdirSync(`/proc/${pid}/task`).map((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8'),
    );
    return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
  } catch {
    return []; // It has ended.
  }
}

/** Directories whose `cgroup.procs` takes a process out of whatever cgroups the agent itself is in. */
export async function rootCgroups(): Promise<string[]> {
  const mounts = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
  return mounts.filter(({ type }) => type === 'cgroup').map(({ mountPoint }) => mountPoint);
}

/** Where a restored tree is put on this host: outside of the agent's own cgroups, which end with the agent. */
export async function freshCgroup(name: string): Promise<string> {
  const mounts = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
  const freezer = mounts.find(({ type, options }) => type === 'cgroup' && options.includes('freezer'));
  const mount = freezer ?? mounts.find(({ type }) => type === 'cgroup2');
  if (mount === undefined) throw new DrayageError('FREEZE_FAILED', 'No cgroups are mounted here.');
  return join(mount.mountPoint, name);
}

function homeOf(pid: number): string | undefined {
  try {
    const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
    return freezerPath(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), mounts);
  } catch {
    return undefined; // It has ended.
  }
}

function isVersion2(path: string): boolean {
  return existsSync(join(path, 'cgroup.controllers'));
}

/** The highest directory that is still of this hierarchy. */
function topOf(path: string): string {
  return existsSync(join(dirname(path), 'cgroup.procs')) ? topOf(dirname(path)) : path;
}

/** One that has ended needs none. */
function moveTo(cgroup: string, pid: number): void {
  try {
    writeFileSync(join(cgroup, 'cgroup.procs'), `${pid}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
