/** What the scenarios share: two hosts and a client, containers on them, moves between them, and what a user would check. */
import { connect } from 'node:net';
import { inject } from 'vitest';
import { containerLog } from '../../lab/docker-api.ts';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { sayHello } from '../../src/agent/hello.ts';
import { staleNames } from '../../src/engines/docker/stale-endpoints.ts';
import { AGENT_SOCKET } from '../../src/fleet/layout.ts';
import type { MigrationEvent, MigrationResult } from '../../src/migration/events.ts';
import { Docker } from '../../src/tools/docker.ts';
import type { ContainerInspect, ContainerSummary } from '../../src/tools/docker-types.ts';
import { holdDevices, isOurDevice, isOurTable } from '../../src/traffic/names.ts';
import type { DockerVersion } from './setup.ts';

export interface Move {
  /** Exit status of the command line. */
  status: number;
  events: MigrationEvent[];
  result: MigrationResult | undefined;
  stderr: string;
}

export class Pair {
  readonly lab: Lab;
  readonly a: LabHost;
  readonly b: LabHost;

  constructor(lab: Lab) {
    this.lab = lab;
    this.a = lab.host('a');
    this.b = lab.host('b');
  }

  static async of(docker: DockerVersion, images: readonly string[] = ['counter']): Promise<Pair> {
    const lab = await Lab.open(inject('labs')[docker]);
    for (const image of images) await lab.image(image, ['a']);
    return new Pair(lab);
  }

  /** The hosts a and b of a lab of the scenario's own. */
  static in(lab: Lab): Pair {
    return new Pair(lab);
  }

  other(host: LabHost): LabHost {
    return host.name === 'a' ? this.b : this.a;
  }

  /** Moves it from the host to the other one, as a user would; a bare name is a container's. */
  async migrate(from: LabHost, name: string, ...flags: string[]): Promise<Move> {
    return this.migrateTo(from, this.other(from), name, ...flags);
  }

  async migrateTo(from: LabHost, to: LabHost, name: string, ...flags: string[]): Promise<Move> {
    const workload = name.includes(':') ? name : `docker:${name}`;
    const args = ['migrate', workload, '--to', `root@${to.name}`, '--json', '--yes', ...flags];
    const { code, stdout, stderr } = await from.run('drayage', args, { okCodes: ANY, timeoutMs: 120_000 });
    const events = stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as MigrationEvent);
    return { status: code, events, stderr, result: events.find((event) => event.type === 'result') };
  }

  /** Waits until engines and agents of both hosts answer. */
  async ready(): Promise<void> {
    await Promise.all(
      [this.a, this.b].map((host) =>
        until(`docker and the agent of ${host.name} answer`, async () => {
          await ask(host, (engine) => engine.version());
          await greet(host);
          return true;
        }),
      ),
    );
  }

  /** Moves it to the other host, and fails where it did not get there. */
  async move(from: LabHost, name: string, ...flags: string[]): Promise<MigrationResult> {
    return this.moveTo(from, this.other(from), name, ...flags);
  }

  async moveTo(from: LabHost, to: LabHost, name: string, ...flags: string[]): Promise<MigrationResult> {
    const { result, status, stderr, events } = await this.migrateTo(from, to, name, ...flags);
    if (status !== 0 || result?.outcome !== 'committed') {
      const findings = events.flatMap((event) => (event.type === 'findings' ? event.findings : []));
      const blocking = findings.filter(({ severity }) => severity === 'blocks').map(({ message }) => message);
      throw new Error(
        [`${name} was not moved (status ${status})`, result?.error?.message, stderr, ...blocking].join('\n'),
      );
    }
    return result;
  }

  /** Removes every container, volume, network and forward that a scenario made, on both hosts. */
  async clear(): Promise<void> {
    await Promise.all([this.a, this.b].map(clearHost));
  }

  /** What a migration may leave nowhere; empty where all is well. */
  async leftovers(): Promise<string[]> {
    const found: string[] = [];
    for (const host of [this.a, this.b]) {
      const all = await containers(host);
      found.push(
        ...all
          .flatMap(namesOf)
          .filter((name) => name.startsWith('drayage-'))
          .map((name) => `${host.name}: ${name}`),
      );
      const script = [
        'ls -A /run/drayage/restore /run/drayage/stage /var/lib/drayage/guard 2>/dev/null | grep -v ":$" | grep .',
        'grep " /run/drayage/" /proc/mounts',
        // The hosts of a lab share the machine's cgroup tree: only the host's own containers count.
        `for id in ${all.map(({ Id }) => Id).join(' ')}; do grep -qs FROZEN /sys/fs/cgroup/freezer/docker/$id/freezer.state && echo "frozen $id"; done`,
        // A look at the host that nobody waits for any more may still be trying what its CRIU can do.
        'pgrep -a criu | grep -v "criu check"',
      ];
      const { stdout } = await host.run('sh', ['-c', `${script.join('; ')}; true`]);
      found.push(
        ...stdout
          .split('\n')
          .filter(Boolean)
          .map((line) => `${host.name}: ${line}`),
      );
      const { tables, devices } = await trafficOf(host, await forwardTables(host));
      found.push(...[...tables, ...devices].map((name) => `${host.name}: ${name}`));
    }
    return found;
  }
}

async function clearHost(host: LabHost): Promise<void> {
  const ids = (await containers(host)).map(({ Id }) => Id);
  if (ids.length > 0) await docker(host, 'rm', '-f', '-v', ...ids);
  await removeForwards(host);
  const [volumes, networks] = await ask(host, (engine) => Promise.all([engine.volumes(), engine.networks()]));
  if (volumes.length > 0) await docker(host, 'volume', 'prune', '-a', '-f');
  if (networks.length > OWN_NETWORKS) await docker(host, 'network', 'prune', '-f');
  // An engine that was killed may keep the name of a container that is no more, and would start none of that name.
  await ask(host, async (engine) => {
    for (const name of staleNames(await engine.inspectNetwork('bridge')))
      await engine.disconnect('bridge', name, { force: true });
  });
}

/** Asks the agent for its first word: one that was killed this moment may still be there to take a connection. */
async function greet(host: LabHost): Promise<void> {
  const socket = connect(host.path(AGENT_SOCKET));
  socket.on('error', () => {});
  try {
    await sayHello(socket, { kind: 'rpc', from: 'cli' }, { version: 'test', peer: host.name });
  } finally {
    socket.destroy();
  }
}

/** What a forward is in `drayage forwards ls --json`. */
export interface Forward {
  id: string;
  workload: string;
  role: 'source' | 'target';
  peer: string;
  packets?: number;
}

export async function forwards(host: LabHost): Promise<Forward[]> {
  return JSON.parse((await host.run('drayage', ['forwards', 'ls', '--json'])).stdout);
}

async function removeForwards(host: LabHost): Promise<void> {
  if ((await forwardTables(host)).length === 0) return;
  for (const id of new Set((await forwards(host)).map((one) => one.id))) {
    // One that ends by itself may have done so meanwhile.
    await host.run('drayage', ['forwards', 'rm', id], { okCodes: ANY });
  }
  const left = await forwardTables(host);
  if (left.length > 0) throw new Error(`forwards of ${host.name} cannot be removed: ${left.join(', ')}`);
}

/** The tables of the forwards that a host keeps, whether its agent runs or not: `forwards ls` tells the same ones. */
async function forwardTables(host: LabHost): Promise<string[]> {
  const { stdout } = await host.run('sh', ['-c', 'ls /var/lib/drayage/forwards 2>/dev/null; true']);
  return stdout.split('\n').flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : []));
}

/** A look at the host may just be trying what its kernel can do. */
const TRYING = ['drayage_probe', ...Object.values(holdDevices('probe', 0))];

/** Tables and devices that drayage made in the kernel of a host; with `explained`, those that no forward explains. */
export async function trafficOf(
  host: LabHost,
  explained: readonly string[] = [],
): Promise<{ tables: string[]; devices: string[] }> {
  const [{ stdout: tables }, { stdout: devices }] = await Promise.all([
    host.run('nft', ['list', 'tables']),
    host.run('ls', ['/sys/class/net']),
  ]);
  const ids = explained.map((table) => table.slice(-8));
  // Stand-ins are named after their forward; a tunnel serves all forwards between two hosts.
  const isExplained = (name: string) =>
    name.startsWith('dyv') ? ids.length > 0 : /^dy[ps]/.test(name) && ids.includes(name.slice(3, 11));
  return {
    tables: tables
      .split('\n')
      .flatMap((line) => line.split(' ')[2] ?? [])
      .filter((name) => isOurTable(name) && !TRYING.includes(name) && !explained.includes(name)),
    devices: devices.split('\n').filter((name) => isOurDevice(name) && !TRYING.includes(name) && !isExplained(name)),
  };
}

/** Codes of all that blocked a move, and of the error that it ended with. */
export function codes({ events }: Move): string[] {
  return events.flatMap((event) => {
    if (event.type === 'findings')
      return event.findings.filter((one) => one.severity === 'blocks').map((one) => one.code);
    if (event.type === 'result') return event.error === undefined ? [] : [event.error.code];
    return 'code' in event ? [String(event.code)] : [];
  });
}

/** bridge, host and none. */
const OWN_NETWORKS = 3;
const ANY = Array.from({ length: 256 }, (_, status) => status);

/** Starts drayage in a host, where it can be interrupted as by Ctrl-C. */
export function startDrayage(host: LabHost, ...args: string[]): ReturnType<LabHost['startInterruptible']> {
  return host.startInterruptible('drayage', args);
}

/**
 * Starts a program without a terminal, for a shell in the host, as the process of that number: the next one has it,
 * unless somebody else of the host starts one in between.
 */
export async function startAs(host: LabHost, pid: number, command: string, output = '/dev/null'): Promise<void> {
  const script = `for turn in $(seq 100); do
      echo ${pid - 1} >/proc/sys/kernel/ns_last_pid
      setsid ${command} >${output} 2>&1 </dev/null &
      [ $! = ${pid} ] && exit
      kill -9 $!
    done; exit 1`;
  await host.run('sh', ['-c', script]);
}

/** Runs the docker command in a host; resolves to its trimmed output. */
export async function docker(host: LabHost, ...args: string[]): Promise<string> {
  return (await host.run('docker', args)).stdout.trim();
}

/** Starts a container and resolves to its id. */
export function runContainer(
  host: LabHost,
  name: string,
  image: string,
  { flags = [], command = [] }: { flags?: string[]; command?: string[] } = {},
): Promise<string> {
  return docker(host, 'run', '-d', '--pull=never', '--name', name, ...flags, image, ...command);
}

/** By its API, for which no program is started: much is asked again and again. */
async function ask<T>(host: LabHost, question: (engine: Docker) => Promise<T>): Promise<T> {
  await using engine = new Docker({ socketPath: host.dockerSocket });
  return await question(engine);
}

/** Also those that do not run. */
function containers(host: LabHost): Promise<ContainerSummary[]> {
  return ask(host, (engine) => engine.containers());
}

/** Names of the containers that run on the host, as `docker ps` tells them. */
export async function running(host: LabHost): Promise<string[]> {
  const there = await containers(host);
  return there.filter(({ State }) => ['running', 'paused', 'restarting'].includes(State)).flatMap(namesOf);
}

function namesOf({ Names }: ContainerSummary): string[] {
  return Names.map((name) => name.slice(1));
}

export function inspect(host: LabHost, name: string): Promise<ContainerInspect> {
  return ask(host, (engine) => engine.inspect(name));
}

/** All that the container wrote so far, both streams. */
export async function logs(host: LabHost, name: string, ...flags: string[]): Promise<string> {
  const { stdout, stderr } =
    flags.length > 0 ? await host.run('docker', ['logs', ...flags, name]) : await containerLog(host.dockerSocket, name);
  return stdout + stderr;
}

/** The numbers that the counter printed so far, over all of its moves. */
export async function counts(host: LabHost, name: string): Promise<number[]> {
  return (await containerLog(host.dockerSocket, name)).stdout
    .split('\n')
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
}

/** Where the counter went wrong: the first place at which a number does not follow the one before. */
export function brokenAt(numbers: readonly number[]): string | undefined {
  const index = numbers.findIndex((number, i) => i > 0 && number !== (numbers[i - 1] as number) + 1);
  return index === -1 ? undefined : `${numbers[index - 1]} is followed by ${numbers[index]}`;
}

/** The same where lines of the log may have been lost: the first place at which a step is repeated. */
export function goneBackAt(numbers: readonly number[]): string | undefined {
  const index = numbers.findIndex((number, i) => i > 0 && number <= (numbers[i - 1] as number));
  return index === -1 ? undefined : `${numbers[index - 1]} is followed by ${numbers[index]}`;
}

/** Waits until `done` gives something that is neither undefined nor false. */
export async function until<T>(
  what: string,
  done: () => Promise<T | undefined | false>,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await done().catch(() => undefined);
    if (value !== undefined && value !== false) return value as T;
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
