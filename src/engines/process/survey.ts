/** Everything that plan and preflight need to know of a tree of processes; nothing is touched. */
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { DrayageError } from '../../errors.ts';
import type { Run } from '../../exec/run.ts';
import { parseStat } from '../../tools/proc.ts';
import { formatEndpoint } from '../../tools/proc-net.ts';
import type { ProcessFacts, ProcessTreeFacts } from '../facts.ts';
import { readSocketTables } from '../processes/socket-tables.ts';
import { surveyProcesses } from '../processes.ts';
import { digestFiles } from './compare-files.ts';
import { readLimits } from './limits.ts';
import { listProcesses } from './list.ts';
import { outerPipes } from './outer-pipes.ts';
import { restarterOf } from './restarter.ts';
import { type OpenTerminal, outerTerminals, type SessionMember, type TerminalFacts } from './terminal.ts';
import { type Candidate, findRoot, leaderless, topsOfTrees, treeOf } from './tree.ts';
import { filesOfTree, usedFiles } from './used-files.ts';

/**
 * Facts of the tree below the process of that pid, or of the only one that is called so.
 * @throws DrayageError WORKLOAD_UNKNOWN, WORKLOAD_AMBIGUOUS
 */
export async function surveyTree(
  name: string,
  run: Run,
  signal: AbortSignal,
  /** Without digests its files cannot be compared with another host's, and it takes no time. */
  { digests = true } = {},
): Promise<ProcessTreeFacts> {
  const all = await listProcesses(signal);
  const root = findRoot(all, name, OURS);
  const tree = treeOf(all, root.pid);
  if (tree.includes(process.pid))
    throw new DrayageError('WORKLOAD_UNKNOWN', `The agent of this host is among the processes below ${root.pid}.`);
  const [{ processes, memoryBytes }, files, terminals, foreign, listening, pipes, taskIds, limits, restarter, command] =
    await Promise.all([
      surveyProcesses(tree, { run, signal }),
      digests
        ? filesOfTree(tree, signal).then((used) => digestFiles(used, signal))
        : usedFiles(tree).then((used) => used.map((file) => ({ ...file, sha256: '' }))),
      terminalsOf(tree),
      foreignNamespaces(tree),
      listeningOf(tree, run, signal),
      outerPipes(tree, all, signal),
      taskIdsOf(tree, all),
      readLimits(root.pid).catch(() => ({})),
      restarterOf(tree, { parent: all.find(({ pid }) => pid === root.parent), run, signal }),
      readFile(`/proc/${root.pid}/cmdline`, 'utf8').catch(() => ''),
    ]);
  return {
    ref: { engine: 'process', name: `${root.pid}` },
    id: `${root.pid}-${root.startedAt}`,
    pid: root.pid,
    taskIds,
    // The kernel cuts it to 15 bytes; before that it is what people call the program, as sh is not dash to them.
    program: root.name.length < 15 ? root.name : root.program,
    command: command.split('\0').join(' ').trim(),
    files,
    terminals,
    foreign,
    outerPipes: pipes,
    listening,
    limits,
    ...(restarter && { restarter }),
    processes: processes.map((one) => ({ ...one, obstacles: one.obstacles.filter(concernsTree) })),
    memoryBytes,
    cgroupPath: '',
  };
}

/** Pids of trees that may be moved; see topsOfTrees. */
export async function listTrees(signal: AbortSignal): Promise<number[]> {
  const all = await listProcesses(signal);
  return topsOfTrees(all, new Set([...OURS, process.ppid])).map(({ pid }) => pid);
}

/** Init, the kernel's threads and the agent. */
const OURS: ReadonlySet<number> = new Set([1, 2, process.pid]);

/** What is said of the mounts of a whole host says nothing of these processes. */
function concernsTree({ kind }: ProcessFacts['obstacles'][number]): boolean {
  return kind !== 'network-fs' && kind !== 'systemd';
}

async function terminalsOf(pids: readonly number[]): Promise<TerminalFacts[]> {
  const open: OpenTerminal[] = [];
  const members: SessionMember[] = [];
  for (const pid of pids) {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const { session, terminal } = parseStat(text);
    members.push({ pid, session, terminal });
    open.push(...(await openTerminals(pid)));
  }
  return outerTerminals(open, members);
}

async function openTerminals(pid: number): Promise<OpenTerminal[]> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const found = await Promise.all(
    fds.map(async (fd): Promise<OpenTerminal | undefined> => {
      const path = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
      if (!/^\/dev\/(pts\/(\d+|ptmx)|ptmx)$/.test(path)) return undefined;
      const stats = await stat(`/proc/${pid}/fd/${fd}`).catch(() => undefined);
      if (stats === undefined) return undefined;
      const info = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8').catch(() => '');
      const index = /^tty-index:\s+(\d+)$/m.exec(info)?.[1];
      const place = { path, rdev: stats.rdev, dev: stats.dev };
      return index === undefined ? place : { ...place, masterOf: Number(index) };
    }),
  );
  return found.filter((one) => one !== undefined);
}

async function taskIdsOf(pids: readonly number[], all: readonly Candidate[]): Promise<number[]> {
  const threads = await Promise.all(pids.map((pid) => readdir(`/proc/${pid}/task`).catch(() => [`${pid}`])));
  const members = all.filter(({ pid }) => pids.includes(pid));
  return [...threads.flat().map(Number), ...leaderless(pids, members)];
}

async function listeningOf(pids: readonly number[], run: Run, signal: AbortSignal): Promise<string[]> {
  const owned = new Set<number>();
  for (const pid of pids) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode !== undefined) owned.add(Number(inode));
    }
  }
  const { tcp, udp } = await readSocketTables({ proc: '/proc', pid: pids[0] ?? 0, owned, run, signal });
  const mine = (protocol: string, state: string, sockets: typeof tcp): string[] =>
    sockets
      .filter((one) => owned.has(one.inode) && one.state === state && one.local.port !== 0)
      .map(({ local }) => `${protocol}/${formatEndpoint(local)}`);
  return [...new Set([...mine('tcp', 'LISTEN', tcp), ...mine('udp', 'CLOSE', udp)])].sort();
}

const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'] as const;

/** Namespaces that are not those of the host, and a root directory that is not its root. */
async function foreignNamespaces(pids: readonly number[]): Promise<string[]> {
  const found = new Set<string>();
  for (const pid of pids) {
    for (const name of NAMESPACES) {
      const [own, theirs] = await Promise.all([
        readlink(`/proc/self/ns/${name}`).catch(() => ''),
        readlink(`/proc/${pid}/ns/${name}`).catch(() => ''),
      ]);
      if (own !== '' && theirs !== '' && own !== theirs) found.add(name);
    }
    if ((await readlink(`/proc/${pid}/root`).catch(() => '/')) !== '/') found.add('root');
  }
  return [...found];
}
