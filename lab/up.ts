/** How a lab comes up: reserve a name and a network, get the root file system, start the switch and the hosts. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DrayageError } from '../src/errors.ts';
import { type Run, runner } from '../src/exec/run.ts';
import { ensureBase } from './base.ts';
import { hostTree, LAB_VARIABLE, prepareHost, startHost, untilReady } from './boot.ts';
import { cgroupsOf, removeCgroups, thaw } from './cgroups.ts';
import { cleanLab } from './clean.ts';
import { LabHost } from './host.ts';
import { makeKeys } from './keys.ts';
import { plugIn, startSwitch } from './network.ts';
import { ensurePrograms, TO_RUN } from './packages.ts';
import { poll } from './poll.ts';
import { identify, isAlive } from './process.ts';
import { nodeLayer } from './program.ts';
import type { DockerVersion } from './recipe.ts';
import { requireRoot, reserve } from './reserve.ts';
import { type HostState, hostDirectory, type LabState, labDirectory, writeState } from './state.ts';

export interface BootOptions {
  store: string;
  name: string;
  /** Names of the hosts. */
  hosts: readonly string[];
  docker: DockerVersion;
  /** Rate of each host's link, as tc writes it: `1gbit`. */
  rate?: string | undefined;
  /** Puts what Docker keeps on a disk of so many MiB, in memory, to be filled up. */
  diskMb?: number | undefined;
  /** Holds drayage.mjs and shim/. */
  programDir?: string | undefined;
  /** Installs drayage on the hosts and starts its agents. Without it the hosts know nothing of drayage. */
  agent: boolean;
  /** The Node.js binary that the agents run on. */
  node: string;
  /** To be removed by the next `up` of any lab once this process is gone. */
  ephemeral: boolean;
  /** A Debian mirror, instead of the one that this machine's apt uses. */
  mirror?: string | undefined;
  /** Told in a line what is being done, where that takes a second or more. */
  onProgress(line: string): void;
  signal?: AbortSignal | undefined;
}

export async function bootLab(options: BootOptions): Promise<LabState> {
  requireRoot();
  check(options);
  const { store, name, docker, mirror, onProgress, signal } = options;
  const run = runner(signal === undefined ? {} : { signal });
  await ensurePrograms(run, TO_RUN, onProgress);
  const state = await reserve(run, options);
  try {
    const base = await ensureBase(docker, { store, mirror, run, onProgress, signal });
    onProgress(`starting ${state.hosts.map((host) => host.name).join(', ')} with Docker ${docker}`);
    state.layers = options.agent ? [await nodeLayer(store, options.node), base] : [base];
    await Promise.all([startSwitchOf(run, store, state), prepare(run, options, state)]);
    await Promise.all(state.hosts.map((host) => start(run, store, state, host)));
    if (options.agent) await Promise.all(state.hosts.map((host) => setUpAgent(run, host)));
    state.phase = 'up';
    await writeState(store, state);
    return state;
  } catch (error) {
    await cleanLab(runner(), store, name, state);
    throw error;
  }
}

/** Kills a host and boots it from its disk. */
export async function restartHost(run: Run, store: string, state: LabState, name: string): Promise<void> {
  const host = state.hosts.find((each) => each.name === name);
  if (host?.init === undefined) throw new DrayageError('LAB_NOT_FOUND', `Lab host ${name} is down.`);
  const { init } = host;
  const cgroups = await cgroupsOf(hostDirectory(store, state.name, name));
  if (isAlive(init)) process.kill(init.pid, 'SIGKILL');
  await poll(
    async () => {
      await thaw(cgroups);
      return identify(init.pid)?.startedAt === init.startedAt ? undefined : true;
    },
    { everyMs: 10, timeoutMs: 20_000 },
  );
  await removeCgroups(cgroups);
  await start(run, store, state, host);
  await writeState(store, state);
}

async function startSwitchOf(run: Run, store: string, state: LabState): Promise<void> {
  const directory = labDirectory(store, state.name);
  const log = openSync(join(directory, 'switch.log'), 'a', 0o600);
  const pid = await startSwitch(run, state.k, log, { [LAB_VARIABLE]: directory });
  closeSync(log);
  state.switch = identify(pid);
}

async function prepare(run: Run, { store, agent, programDir }: BootOptions, state: LabState): Promise<void> {
  const holders = await Promise.all(
    state.hosts.map(async ({ name, address }) => {
      const directory = hostDirectory(store, state.name, name);
      await prepareHost({ directory, name, hosts: state.hosts, program: agent ? programDir : undefined });
      return { name, address, tree: hostTree(directory) };
    }),
  );
  await makeKeys(run, labDirectory(store, state.name), holders);
}

/** Boots one host and waits until it can be worked with. */
async function start(run: Run, store: string, state: LabState, host: HostState): Promise<void> {
  const { name, n } = host;
  const { k, rate, diskMb, layers } = state;
  const directory = hostDirectory(store, state.name, name);
  host.init = await startHost({ labDirectory: labDirectory(store, state.name), directory, name, layers, diskMb });
  const switchPid = state.switch?.pid ?? 0;
  await plugIn(run, { switchPid, k, host: name, n, hostPid: host.init.pid, rate });
  await untilReady({ directory, host });
}

async function setUpAgent(run: Run, host: HostState): Promise<void> {
  try {
    await new LabHost(host, run).run('drayage', ['setup']);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new DrayageError('LAB_BOOT_FAILED', `Lab host ${host.name}: drayage setup failed: ${why}`, { cause });
  }
}

function check({ name, hosts, agent, programDir }: BootOptions): void {
  for (const each of [name, ...hosts]) {
    // It is part of interface names, of which the kernel takes 15 bytes.
    if (!/^[a-z][a-z0-9-]{0,12}$/.test(each)) {
      const meaning = 'Names of labs and hosts are made of a-z, 0-9 and -, at most 13 of them, a letter first.';
      throw new DrayageError('USAGE', `"${each}" cannot be the name of a lab or host.`, { meaning });
    }
  }
  if (hosts.length === 0) throw new DrayageError('USAGE', 'A lab needs at least one host.');
  if (new Set(hosts).size < hosts.length) throw new DrayageError('USAGE', 'Two hosts have the same name.');
  if (agent && programDir === undefined) throw new DrayageError('USAGE', 'Agents need a program directory.');
}
