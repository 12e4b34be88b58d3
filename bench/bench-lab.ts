/** A lab for measurements: hosts that have the bench's own programs, and what comes before and after every run. */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import type { LabHost } from '../lab/host.ts';
import { Lab, type LabOptions } from '../lab/lab.ts';
import { poll } from '../lab/poll.ts';
import type { Workload } from './scenarios.ts';

/** Programs of the bench that run inside lab hosts, under /root there. */
const PROGRAMS = ['floor', 'rounds', 'download'] as const;
const SCRIPTS = ['baseline.sh'] as const;
/** Where a lab host has the node that its agent runs on. */
const NODE = '/usr/local/lib/drayage/node';
const POLL_MS = 100;

export class BenchLab implements AsyncDisposable {
  readonly lab: Lab;
  readonly #stop: () => void;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.#stop = () => void lab.down().finally(() => process.exit(1));
    for (const signal of SIGNALS) process.once(signal, this.#stop);
  }

  static async up(options: Pick<LabOptions, 'hosts' | 'docker' | 'onProgress'>): Promise<BenchLab> {
    await bundle();
    const name = `bench-${process.pid}`;
    const lab = new BenchLab(await Lab.up({ ...options, name, programDir: 'dist', ephemeral: true }));
    for (const host of lab.lab.hosts) {
      for (const program of PROGRAMS) await copyFile(`dist/bench/${program}.mjs`, host.path(`/root/${program}.mjs`));
      for (const script of SCRIPTS) await copyFile(`bench/${script}`, host.path(`/root/${script}`));
    }
    return lab;
  }

  host(name: string): LabHost {
    return this.lab.host(name);
  }

  /** Both ends of every move. */
  get pair(): [LabHost, LabHost] {
    return [this.host('a'), this.host('b')];
  }

  /** No container and no forward is left on either host of the pair. */
  async removeAll(): Promise<void> {
    for (const host of this.pair) {
      const ids = (await host.run('docker', ['ps', '-aq'])).stdout.split('\n').filter(Boolean);
      if (ids.length > 0) await host.run('docker', ['rm', '-f', '-v', ...ids]);
    }
    for (const host of this.pair) {
      await removeForwards(host);
      // The baseline leaves a gigabyte to be written, which would hold up the next one's journal for seconds.
      await host.run('sync');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const signal of SIGNALS) process.off(signal, this.#stop);
    await this.lab.down();
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Starts the workload as `web`, and resolves when it is ready to be moved. */
export async function begin(workload: Workload, host: LabHost): Promise<void> {
  await host.run('docker', ['run', '-d', ...containerArguments(workload)]);
  await until(`${workload.image} is ready`, async () => {
    const { stdout, stderr } = await host.run('docker', ['logs', 'web']);
    return workload.ready.test(stdout + stderr);
  });
  if (workload.fill !== undefined) await host.run('docker', ['exec', 'web', ...workload.fill]);
  await warmMemory(host);
}

/** For `docker run` and `docker create`. */
export function containerArguments({ flags, image, command }: Workload): string[] {
  return ['--pull=never', '--name', 'web', ...flags, image, ...command];
}

/** Runs a program of the bench in a host, and resolves to what it printed. */
export async function runProgram<T>(host: LabHost, program: (typeof PROGRAMS)[number], ...args: string[]): Promise<T> {
  const { stdout } = await host.run(NODE, [`/root/${program}.mjs`, ...args], { timeoutMs: 120_000 });
  return JSON.parse(stdout) as T;
}

/** Starts a program of the bench in a host; it goes on until its standard input ends. */
export function startProgram(host: LabHost, program: (typeof PROGRAMS)[number], ...args: string[]) {
  return host.start(NODE, [`/root/${program}.mjs`, ...args]);
}

/** Docker's own checkpoint is an experimental feature, which takes a restart of the daemon. */
export async function makeExperimental(host: LabHost): Promise<void> {
  const path = host.path('/etc/docker/daemon.json');
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), experimental: true }));
  await host.kill9('dockerd');
  await until('dockerd is back', async () => {
    const { stdout } = await host.run('docker', ['info', '-f', '{{.ExperimentalBuild}}'], { okCodes: [0, 1] });
    return stdout.trim() === 'true';
  });
}

/** Of the host's agent, since it began or since `forgetPeakRss`. */
export async function peakRssMb(host: LabHost): Promise<number> {
  const { stdout } = await host.run('sh', ['-c', 'grep VmHWM /proc/$(cat "$0")/status', AGENT_PID_FILE]);
  return Math.round(Number(/(\d+) kB/.exec(stdout)?.[1]) / 1024);
}

/** The peak counts from now on: `5` resets it (the kernel's proc.rst, clear_refs). */
export async function forgetPeakRss(host: LabHost): Promise<void> {
  await host.run('sh', ['-c', 'echo 5 >/proc/$(cat "$0")/clear_refs', AGENT_PID_FILE]);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const AGENT_PID_FILE = '/run/drayage-supervisor/drayage-agent.pid';

async function bundle(): Promise<void> {
  await mkdir('dist/bench', { recursive: true });
  await build({
    entryPoints: PROGRAMS.map((program) => `bench/${program}.ts`),
    outdir: 'dist/bench',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    logLevel: 'warning',
  });
}

async function removeForwards(host: LabHost): Promise<void> {
  const { stdout } = await host.run('drayage', ['forwards', 'ls', '--json']);
  for (const id of new Set((JSON.parse(stdout) as { id: string }[]).map((forward) => forward.id))) {
    // One that ends by itself may have done so meanwhile.
    await host.run('drayage', ['forwards', 'rm', id], { okCodes: ANY });
  }
}

const ANY = Array.from({ length: 256 }, (_, status) => status);

/**
 * The hypervisor of a virtual machine takes back pages that are free for a second, and to get one again costs ten times
 * a write. Each measurement begins with as much memory at hand, or whichever comes first would pay for all.
 */
async function warmMemory(host: LabHost): Promise<void> {
  await host.run('dd', ['if=/dev/zero', 'of=/dev/shm/warm', 'bs=1M', 'count=4000', 'status=none']);
  await host.run('rm', ['/dev/shm/warm']);
}

async function until(what: string, done: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  const isDone = await poll(async () => (await done()) || undefined, { everyMs: POLL_MS, timeoutMs });
  if (isDone === undefined) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
}
