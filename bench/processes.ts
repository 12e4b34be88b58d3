/** Moves of trees of processes: outage, beside it the floor and what one would script with criu, in turn. */
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import type { LabHost } from '../lab/host.ts';
import { poll } from '../lab/poll.ts';
import type { MigrationResult } from '../src/migration/events.ts';
import { BenchLab, forgetPeakRss, warmMemory } from './bench-lab.ts';
import { agentPeakRssMb, entryOf, migrate, ms, type Progress } from './moves.ts';
import type { Entry } from './results.ts';

export interface ProcessScenario {
  name: string;
  about: string;
  /** Run in /srv/bench, where its output is in `log`. */
  command: string;
  /** Of its output. */
  ready: RegExp;
}

export const PROCESS_SCENARIOS: readonly ProcessScenario[] = [
  {
    name: 'process-tiny',
    about: 'a shell that counts',
    command: 'exec sh count.sh',
    ready: /^5$/m,
  },
  {
    name: 'process-mem512',
    about: 'a process with 512 MB of incompressible memory, some of it changing',
    command: 'exec python3 -u mem.py 512 100',
    ready: /^step \d+/m,
  },
];

const HOME = '/srv/bench';
const COUNT = 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done\n';
/** Numbers that are free on both hosts. */
let lastPid = 40_000;

export async function measureProcesses(
  scenarios: readonly ProcessScenario[],
  runs: number,
  progress: Progress,
): Promise<Entry[]> {
  await using bench = await BenchLab.up({ hosts: ['a', 'b'], docker: 26, onProgress: progress });
  const entries: Entry[] = [];
  for (const scenario of scenarios) entries.push(await measureScenario(bench, scenario, runs, progress));
  return entries;
}

async function measureScenario(
  bench: BenchLab,
  scenario: ProcessScenario,
  runs: number,
  progress: Progress,
): Promise<Entry> {
  const { name, about } = scenario;
  progress(`${name}: ${about}`);
  const moves: MigrationResult[] = [];
  const floors: number[] = [];
  const baselines: number[] = [];
  progress(`${name}: once to warm up`);
  await drayage(bench, scenario);
  await byCriu(bench, scenario);
  for (const host of bench.pair) await forgetPeakRss(host);
  for (let i = 1; i <= runs; i++) {
    const [move, floorMs, baselineMs] = [
      await drayage(bench, scenario),
      await byCriu(bench, scenario),
      await byCriu(bench, scenario, 'root@b'),
    ];
    moves.push(move);
    floors.push(floorMs);
    baselines.push(baselineMs);
    progress(`${name} ${i}/${runs}: drayage ${ms(move.outageMs)}, floor ${ms(floorMs)}, baseline ${ms(baselineMs)}`);
  }
  return entryOf(name, moves, { floors, baselines }, await agentPeakRssMb(bench));
}

async function drayage(bench: BenchLab, scenario: ProcessScenario): Promise<MigrationResult> {
  const pid = await begin(scenario, bench.host('a'));
  const result = await migrate(bench, `process:${pid}`);
  await end(bench, pid);
  return result;
}

/** The floor without a target. */
async function byCriu(bench: BenchLab, scenario: ProcessScenario, target?: string): Promise<number> {
  const pid = await begin(scenario, bench.host('a'));
  const args = ['/root/process-moves.sh', `${pid}`, ...(target === undefined ? [] : [target])];
  const { stdout } = await bench.host('a').run('sh', args, { timeoutMs: 120_000 });
  await end(bench, pid);
  return Number(stdout);
}

/** Resolves to its number, which the other host has free, when it is ready to be moved. */
async function begin({ name, command, ready }: ProcessScenario, host: LabHost): Promise<number> {
  lastPid += 100;
  await mkdir(host.path(HOME), { recursive: true });
  await copyFile('lab/images/mem.py', host.path(`${HOME}/mem.py`));
  await writeFile(host.path(`${HOME}/count.sh`), COUNT);
  await writeFile(host.path(`${HOME}/command`), `cd ${HOME}; echo $$ >pid; ${command}\n`);
  const start = `echo ${lastPid} >/proc/sys/kernel/ns_last_pid; setsid sh ${HOME}/command >${HOME}/log 2>&1 </dev/null &`;
  await host.run('sh', ['-c', start]);
  const read = async (file: string) => (await host.run('cat', [`${HOME}/${file}`], { okCodes: [0, 1] })).stdout;
  const isReady = async () => ready.test(await read('log')) || undefined;
  if ((await poll(isReady, { everyMs: 100, timeoutMs: 60_000 })) === undefined) throw new Error(`${name} is not ready`);
  await warmMemory(host);
  return Number(await read('pid'));
}

/** Wherever it is. */
async function end(bench: BenchLab, pid: number): Promise<void> {
  for (const host of bench.pair) {
    await host.run('kill', ['-9', `${pid}`], { okCodes: [0, 1] });
    await rm(host.path(HOME), { recursive: true, force: true });
  }
  await bench.removeAll();
}
