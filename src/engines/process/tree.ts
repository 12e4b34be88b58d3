/** Pure: which processes a user means by a pid or a name, and what belongs to them. */
import { DrayageError } from '../../errors.ts';
import type { ProcessStat } from '../../tools/proc.ts';

export interface Candidate extends ProcessStat {
  /** Base name of its executable, where that can be read: the kernel cuts `name` to 15 bytes. */
  program: string;
  /** Runs in a pid namespace of its own, as those of containers do. */
  isInside: boolean;
}

/** The process at the top of a tree; `id` has its pid and when it was started, as in ProcessTreeFacts. */
export interface TreeTop {
  pid: number;
  id: string;
}

/**
 * The process at the top of the tree that is meant: the one of that pid, or the only one of that name that has no
 * ancestor of the same name.
 * @param self pids that are no workload: drayage's own
 * @throws DrayageError WORKLOAD_UNKNOWN, WORKLOAD_AMBIGUOUS
 */
export function findRoot(candidates: readonly Candidate[], name: string, self: ReadonlySet<number>): Candidate {
  const byPid = new Map(candidates.map((one) => [one.pid, one]));
  if (/^\d+$/.test(name)) {
    const found = byPid.get(Number(name));
    if (found === undefined || self.has(found.pid))
      throw new DrayageError('WORKLOAD_UNKNOWN', `There is no process ${name} here.`);
    return found;
  }
  const isNamed = (one: Candidate): boolean => one.name === name || one.program === name;
  const named = candidates.filter((one) => isNamed(one) && !one.isInside && !self.has(one.pid));
  const top = named.filter((one) => !ancestors(byPid, one).some(isNamed));
  const [first, ...others] = top;
  if (first === undefined) throw new DrayageError('WORKLOAD_UNKNOWN', `There is no process called ${name} here.`);
  if (others.length > 0) {
    const pids = top.map(({ pid }) => `process:${pid}`);
    throw new DrayageError('WORKLOAD_AMBIGUOUS', `${name} may mean ${pids.join(' or ')}.`);
  }
  return first;
}

/**
 * Trees that somebody may want to move, by the process at the top of each: what has been started by a user or in the
 * background, and no part of the system itself or of a container. On a terminal that is its session's leader and each of
 * that one's jobs; else what no process but init looks after.
 * @param self as for `findRoot`
 */
export function topsOfTrees(candidates: readonly Candidate[], self: ReadonlySet<number>): Candidate[] {
  const byPid = new Map(candidates.map((one) => [one.pid, one]));
  return candidates.filter((one) => {
    const { pid, parent, group, session, terminal, state, isInside, program } = one;
    // Threads of the kernel have no executable.
    if (self.has(pid) || isInside || program === '' || /[ZX]/.test(state)) return false;
    if (terminal === 0) return parent === 1;
    return pid === session || (pid === group && byPid.get(parent)?.pid === session);
  });
}

/** Pids of a process and all that descend from it, each after its parent. */
export function treeOf(candidates: readonly Pick<ProcessStat, 'pid' | 'parent'>[], root: number): number[] {
  const children = Map.groupBy(candidates, ({ parent }) => parent);
  const tree = [root];
  // The list grows while it is gone through.
  for (const pid of tree) for (const child of children.get(pid) ?? []) tree.push(child.pid);
  return tree;
}

/**
 * Numbers of sessions and groups whose leader has ended: CRIU makes a task of that number, for the restore only
 * (criu/pstree.c, prepare_pstree_ids). What the process at the top was started in is another one on the target.
 */
export function leaderless(
  tree: readonly number[],
  members: readonly Pick<Candidate, 'pid' | 'group' | 'session'>[],
): number[] {
  const top = members.find(({ pid }) => pid === tree[0]);
  const known = new Set([...tree, 0, top?.group, top?.session]);
  return [...new Set(members.flatMap(({ group, session }) => [group, session]))].filter((id) => !known.has(id));
}

/** How the cgroup with these pids differs from the tree, in words; undefined where it does not. */
export function changeOf(
  inside: readonly number[],
  processes: readonly Pick<Candidate, 'pid' | 'parent' | 'state'>[],
  root: number,
): string | undefined {
  if (!inside.includes(root)) return `Process ${root} has ended.`;
  const tree = new Set(treeOf(processes, root));
  const stray = inside.find((pid) => !tree.has(pid));
  if (stray !== undefined) return `Process ${stray} has lost its parent meanwhile.`;
  const left = processes.find((one) => tree.has(one.pid) && isAlive(one) && !inside.includes(one.pid));
  return left && `Process ${left.pid} was put into another cgroup meanwhile.`;
}

/** @throws DrayageError TREE_CHANGED where the pid is another process's by now */
export function membersOf<P extends Pick<Candidate, 'pid' | 'parent' | 'startedAt'>>(
  processes: readonly P[],
  { pid, id }: TreeTop,
): P[] {
  const root = processes.find((one) => one.pid === pid);
  if (root === undefined || `${pid}-${root.startedAt}` !== id)
    throw new DrayageError('TREE_CHANGED', `Process ${pid} has ended.`);
  const tree = new Set(treeOf(processes, pid));
  return processes.filter((one) => tree.has(one.pid));
}

/** One that has ended and is still to be waited for is in no cgroup any more. */
export function isAlive({ state }: Pick<Candidate, 'state'>): boolean {
  return !/[ZX]/.test(state);
}

function ancestors(byPid: ReadonlyMap<number, Candidate>, { parent }: Candidate): Candidate[] {
  const found: Candidate[] = [];
  for (let at = byPid.get(parent); at !== undefined && !found.includes(at); at = byPid.get(at.parent)) found.push(at);
  return found;
}
