/** Limits of the cgroups that a tree of processes is in: read where it is, and made anew where it goes on. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { controllerPath, type MountEntry, parseMountinfo } from '../docker/mountinfo.ts';

/** What is not limited is left out. */
export interface TreeLimits {
  memoryBytes?: number;
  /** Processors' time: 1.5 is that of one and a half. */
  cpus?: number;
  /** Processes and threads. */
  tasks?: number;
}

type Controller = 'memory' | 'cpu' | 'pids';

interface Knob {
  controller: Controller;
  read: (directory: string) => Promise<number>;
  /** Files and what is to be written to them, in this order. */
  values: (limit: number, isVersion2: boolean) => [file: string, value: string][];
}

const PERIOD_US = 100_000;
/** Limits of cgroup v1 that are none are as large as fits. */
const NO_LIMIT = 2 ** 60;
/** script(1), the launcher, unshare and CRIU, which stay above a tree on a terminal or in a namespace. */
const HELPERS = 8;
/** How the name of a cgroup ends whose limit of tasks is above the tree's by those. */
const HELPED = '-helped';

const KNOBS: Record<keyof TreeLimits, Knob> = {
  memoryBytes: {
    controller: 'memory',
    read: (directory) => firstNumber(directory, ['memory.max', 'memory.limit_in_bytes']),
    values: (limit, isVersion2) => [[isVersion2 ? 'memory.max' : 'memory.limit_in_bytes', `${Math.floor(limit)}`]],
  },
  cpus: {
    controller: 'cpu',
    read: readCpus,
    values: (limit, isVersion2) => {
      const quota = `${Math.max(1000, Math.round(limit * PERIOD_US))}`;
      if (isVersion2) return [['cpu.max', `${quota} ${PERIOD_US}`]];
      return [
        ['cpu.cfs_period_us', `${PERIOD_US}`],
        ['cpu.cfs_quota_us', quota],
      ];
    },
  },
  tasks: {
    controller: 'pids',
    read: async (directory) =>
      (await firstNumber(directory, ['pids.max'])) - (directory.endsWith(HELPED) ? HELPERS : 0),
    values: (limit) => [['pids.max', `${limit}`]],
  },
};
const KINDS = Object.keys(KNOBS) as (keyof TreeLimits)[];

/** The lowest of each kind, of the process's own cgroup and of all above it. */
export async function readLimits(pid: number, proc = '/proc'): Promise<TreeLimits> {
  const [mounts, cgroups] = await Promise.all([mountsOf(proc), readFile(`${proc}/${pid}/cgroup`, 'utf8')]);
  const found = await Promise.all(
    KINDS.map(async (kind) => {
      const { controller, read } = KNOBS[kind];
      const path = controllerPath(controller, cgroups, mounts);
      const limits = path === undefined ? [] : await Promise.all(upwards(path).map(read));
      return [kind, Math.min(Number.POSITIVE_INFINITY, ...limits)] as const;
    }),
  );
  return Object.fromEntries(found.filter(([, limit]) => Number.isFinite(limit)));
}

/** A cgroup that is to be made for limits. */
export interface LimitedCgroup {
  path: string;
  /** Files in it and what is to be written to them. */
  values: [file: string, value: string][];
}

/** Of the cgroups of a copy: the next move from there reads its limits from them. */
export function copyCgroup(id: string, hasHelpers: boolean): string {
  return `drayage-${id}${hasHelpers ? HELPED : ''}`;
}

/** Where they will be on this host; a limit whose controller is not here is left out. Nothing is made. */
export async function planLimits(name: string, limits: TreeLimits): Promise<LimitedCgroup[]> {
  const mounts = await mountsOf('/proc');
  const planned = new Map<string, LimitedCgroup>();
  for (const kind of KINDS) {
    const limit = limits[kind];
    const { controller, values } = KNOBS[kind];
    const mount = await mountOf(controller, mounts);
    if (limit === undefined || mount === undefined) continue;
    const path = join(mount.mountPoint, name);
    const cgroup = planned.get(path) ?? { path, values: [] };
    const isLoose = kind === 'tasks' && name.endsWith(HELPED);
    cgroup.values.push(...values(isLoose ? limit + HELPERS : limit, mount.type === 'cgroup2'));
    planned.set(path, cgroup);
  }
  return [...planned.values()];
}

/** What can be limited on this host. */
export async function limitable(): Promise<(keyof TreeLimits)[]> {
  const mounts = await mountsOf('/proc');
  const able = await Promise.all(KINDS.map((kind) => mountOf(KNOBS[kind].controller, mounts)));
  return KINDS.filter((_, index) => able[index] !== undefined);
}

/** Without limits so far: a restore takes more of everything for a moment. */
export async function makeCgroup({ path, values }: LimitedCgroup): Promise<void> {
  const control = join(dirname(path), 'cgroup.subtree_control');
  const controllers = KINDS.map((kind) => KNOBS[kind].controller).filter((one) =>
    values.some(([file]) => file.startsWith(`${one}.`)),
  );
  // With v2 a controller is where it was asked for.
  if (existsSync(control)) await writeFile(control, controllers.map((one) => `+${one}`).join(' '));
  await mkdir(path, { recursive: true });
}

/**
 * The copy runs. A limit that it is above already is not taken by the kernel, and no reason to end it.
 * @returns those that were not taken, in words
 */
export async function setLimits({ path, values }: LimitedCgroup): Promise<string[]> {
  const refused: string[] = [];
  for (const [file, value] of values) {
    await writeFile(join(path, file), value, { flag: 'r+' }).catch((error: NodeJS.ErrnoException) =>
      refused.push(`the limit ${file} of ${value} could not be set: ${error.code}`),
    );
  }
  return refused;
}

/** Of those that the process is in, the ones that were made here when it came: they go when it leaves. */
export async function ownLimits(pid: number): Promise<string[]> {
  const [mounts, cgroups] = await Promise.all([mountsOf('/proc'), readFile(`/proc/${pid}/cgroup`, 'utf8')]);
  const paths = KINDS.map((kind) => controllerPath(KNOBS[kind].controller, cgroups, mounts));
  return [...new Set(paths.filter((path) => path !== undefined && basename(path).startsWith('drayage-')))] as string[];
}

async function mountsOf(proc: string): Promise<MountEntry[]> {
  return parseMountinfo(await readFile(`${proc}/self/mountinfo`, 'utf8'));
}

async function mountOf(controller: Controller, mounts: readonly MountEntry[]): Promise<MountEntry | undefined> {
  const own = mounts.find(({ type, options }) => type === 'cgroup' && options.includes(controller));
  const unified = mounts.find(({ type }) => type === 'cgroup2');
  if (own !== undefined || unified === undefined) return own;
  const text = await readFile(join(unified.mountPoint, 'cgroup.controllers'), 'utf8').catch(() => '');
  return text.trim().split(' ').includes(controller) ? unified : undefined;
}

/** A directory of a hierarchy, and those above it. */
function upwards(path: string): string[] {
  return existsSync(join(path, 'cgroup.procs')) ? [path, ...upwards(dirname(path))] : [];
}

async function firstNumber(directory: string, files: readonly string[]): Promise<number> {
  for (const file of files) {
    const text = await readFile(join(directory, file), 'utf8').catch(() => undefined);
    const limit = Number(text?.trim() || Number.NaN);
    if (limit >= 0 && limit < NO_LIMIT) return limit;
  }
  return Number.POSITIVE_INFINITY;
}

async function readCpus(directory: string): Promise<number> {
  const files = ['cpu.max', 'cpu.cfs_quota_us', 'cpu.cfs_period_us'];
  const read = (file: string) => readFile(join(directory, file), 'utf8').catch(() => '');
  const [both = '', quota = '', period = ''] = await Promise.all(files.map(read));
  const [share, of] = (both.trim() === '' ? [quota, period] : both.split(' ')).map(Number);
  return share !== undefined && of !== undefined && share > 0 && of > 0 ? share / of : Number.POSITIVE_INFINITY;
}
