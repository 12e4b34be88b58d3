/** Facts of this host, for plan and preflight. */
import { open, readFile, statfs } from 'node:fs/promises';
import { hostname, machine, release } from 'node:os';
import type { HostFacts } from '../engines/facts.ts';
import type { Run } from '../exec/run.ts';
import { surveyCriu } from '../tools/criu.ts';
import { findProgram } from '../tools/find-program.ts';
import { hostSubnets } from '../tools/ip.ts';
import { formatEndpoint, parseInetSockets } from '../tools/proc-net.ts';

export interface SurveyHostOptions {
  run: Run;
  signal: AbortSignal;
  /** From the engine's own survey; null or absent where there is no engine or it cannot be reached. */
  docker?: HostFacts['docker'];
  /** Directory whose file system is to have room, e.g. Docker's data root. */
  dataRoot: string;
  /** Version of drayage itself. */
  drayage: string;
}

/** Takes some 50 ms; `time` is taken first, so two hosts that are asked at once can be compared. */
export async function surveyHost({
  run,
  signal,
  docker = null,
  dataRoot,
  drayage,
}: SurveyHostOptions): Promise<HostFacts> {
  const time = Date.now();
  const [
    cgroup,
    criu,
    runc,
    rsync,
    overlay,
    listening,
    subnets,
    memoryAvailable,
    diskAvailable,
    cpuFlags,
    sysctls,
    tools,
  ] = await Promise.all([
    cgroupVersion(),
    surveyCriu(run, { signal }),
    runcVersion(run, signal),
    rsyncVersion(run, signal),
    overlaySettings(),
    listeningSockets(),
    hostSubnets(run, signal),
    memory(),
    disk(dataRoot),
    flagsOfCpu(),
    readSysctls(),
    findTools(),
  ]);
  const engines = new Set(docker?.networks.flatMap((network) => network.subnets) ?? []);
  return {
    hostname: hostname(),
    arch: machine(),
    kernel: release(),
    drayage,
    root: process.geteuid?.() === 0,
    cgroup,
    criu,
    runc,
    rsync,
    overlay,
    docker,
    listening,
    subnets: subnets.filter((subnet) => !engines.has(subnet)),
    memoryAvailable,
    diskAvailable,
    cpuFlags,
    sysctls,
    tools,
    time,
  };
}

/** 2 where the unified hierarchy is what is mounted at the usual place; a hybrid counts as 1, as with runc. */
async function cgroupVersion(): Promise<1 | 2> {
  const CGROUP2_SUPER_MAGIC = 0x63677270;
  const { type } = await statfs('/sys/fs/cgroup').catch(() => ({ type: 0 }));
  return type === CGROUP2_SUPER_MAGIC ? 2 : 1;
}

async function runcVersion(run: Run, signal: AbortSignal): Promise<{ version: string } | null> {
  const path = await findProgram('runc');
  if (path === undefined) return null;
  const { stdout } = await run(path, ['--version'], { signal, timeoutMs: 10_000, okCodes: [0, 1] });
  return { version: /^runc version (\S+)/m.exec(stdout)?.[1] ?? 'unknown' };
}

async function rsyncVersion(run: Run, signal: AbortSignal): Promise<HostFacts['rsync']> {
  const path = await findProgram('rsync');
  if (path === undefined) return null;
  const { stdout } = await run(path, ['--version'], { signal, timeoutMs: 10_000 });
  return { version: /^rsync\s+version v?(\S+)/m.exec(stdout)?.[1] ?? 'unknown' };
}

/** Of overlays that are mounted from now on without options for it, as Docker does. */
async function overlaySettings(): Promise<HostFacts['overlay']> {
  const isSet = async (name: string): Promise<boolean | undefined> => {
    const value = await readFile(`/sys/module/overlay/parameters/${name}`, 'utf8').catch(() => undefined);
    return value?.startsWith('Y');
  };
  const [redirects = false, always = true] = await Promise.all([
    isSet('redirect_dir'),
    isSet('redirect_always_follow'),
  ]);
  return { redirects, follows: redirects || always };
}

/** TCP sockets that listen and UDP sockets that are bound and not connected. */
async function listeningSockets(): Promise<string[]> {
  const sockets = await Promise.all(
    (['tcp', 'tcp6', 'udp', 'udp6'] as const).map(async (table) => {
      const protocol = table.startsWith('tcp') ? 'tcp' : 'udp';
      const waiting = protocol === 'tcp' ? 'LISTEN' : 'CLOSE';
      // Without IPv6 in the kernel there is no such file.
      const text = await readFile(`/proc/self/net/${table}`, 'utf8').catch(() => '');
      return parseInetSockets(text)
        .filter(({ state }) => state === waiting)
        .map(({ local }) => `${protocol}/${formatEndpoint(local)}`);
    }),
  );
  return [...new Set(sockets.flat())].sort();
}

async function memory(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8');
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}

async function disk(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory).catch(() => statfs('/'));
  return bavail * bsize;
}

/** Of the first processor only: with many of them the whole file takes long to make. */
async function flagsOfCpu(): Promise<string[]> {
  await using file = await open('/proc/cpuinfo');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(16 << 10), 0);
  const text = buffer.toString('latin1', 0, bytesRead);
  return /^(?:flags|Features)\s*: (.*)$/m.exec(text)?.[1]?.trim().split(/\s+/) ?? [];
}

/** Those that preflight compares. */
const SYSCTLS = [
  'fs.inotify.max_user_instances',
  'fs.nr_open',
  'kernel.pid_max',
  'vm.max_map_count',
  'vm.overcommit_memory',
] as const;

async function readSysctls(): Promise<Record<string, string>> {
  const values = await Promise.all(
    SYSCTLS.map(async (name) => {
      const value = await readFile(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').catch(() => undefined);
      return value === undefined ? [] : [[name, value.trim()] as const];
    }),
  );
  return Object.fromEntries(values.flat());
}

/** Programs that a migration runs, besides criu and runc. */
const TOOLS = ['ip', 'iptables', 'nft', 'nsenter', 'rsync', 'ss', 'ssh'] as const;

async function findTools(): Promise<Record<string, boolean>> {
  const found = await Promise.all(TOOLS.map(async (name) => [name, (await findProgram(name)) !== undefined] as const));
  return Object.fromEntries(found);
}
