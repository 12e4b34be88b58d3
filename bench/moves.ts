/** Moves without clients: outage, beside it the baseline and the floor, in turn, so that a drift of the machine meets all alike. */
import type { MigrationResult } from '../src/migration/events.ts';
import {
  BenchLab,
  begin,
  containerArguments,
  forgetPeakRss,
  makeExperimental,
  peakRssMb,
  runProgram,
} from './bench-lab.ts';
import type { Entry } from './results.ts';
import type { Scenario, Workload } from './scenarios.ts';
import { ratio, summarize } from './statistics.ts';

/** How the bench says what it does. */
export type Progress = (line: string) => void;

export async function measureMoves(scenarios: readonly Scenario[], runs: number, progress: Progress): Promise<Entry[]> {
  await using bench = await BenchLab.up({ hosts: ['a', 'b'], docker: 26, onProgress: progress });
  for (const host of bench.pair) await makeExperimental(host);
  const entries: Entry[] = [];
  for (const scenario of scenarios) entries.push(await measureScenario(bench, scenario, runs, progress));
  return entries;
}

async function measureScenario(bench: BenchLab, scenario: Scenario, runs: number, progress: Progress): Promise<Entry> {
  const { name, about, image } = scenario;
  progress(`${name}: ${about}`);
  await bench.lab.image(image, ['a', 'b']);
  const moves: MigrationResult[] = [];
  const floors: number[] = [];
  const baselines: number[] = [];
  progress(`${name}: once to warm up`);
  await drayage(bench, scenario);
  await floor(bench, scenario);
  for (const host of bench.pair) await forgetPeakRss(host);
  for (let i = 1; i <= runs; i++) {
    const [move, floorMs, baselineMs] = [
      await drayage(bench, scenario),
      await floor(bench, scenario),
      await baseline(bench, scenario),
    ];
    moves.push(move);
    floors.push(floorMs);
    baselines.push(baselineMs);
    progress(`${name} ${i}/${runs}: drayage ${ms(move.outageMs)}, floor ${ms(floorMs)}, baseline ${ms(baselineMs)}`);
  }
  return entryOf(name, moves, { floors, baselines }, await agentPeakRssMb(bench));
}

/** The figures that every scenario has. */
export function entryOf(
  scenario: string,
  moves: readonly Pick<MigrationResult, 'outageMs' | 'totalMs' | 'bytes'>[],
  { floors, baselines }: { floors: readonly number[]; baselines: readonly number[] },
  agentPeakRssMb: number,
): Entry {
  const outage = summarize(moves.map((move) => move.outageMs as number));
  const [floorMs, baselineMs] = [summarize(floors), summarize(baselines)];
  return {
    scenario,
    runs: moves.length,
    outageMs: outage,
    floorMs: floorMs.median,
    baselineMs: baselineMs.median,
    totalMs: summarize(moves.map((move) => move.totalMs)).median,
    bytes: summarize(moves.map((move) => move.bytes)).median,
    agentPeakRssMb,
    ofFloor: ratio(outage, floorMs),
    ofBaseline: ratio(outage, baselineMs),
    spread: { floor: floorMs, baseline: baselineMs },
  };
}

export async function agentPeakRssMb(bench: BenchLab): Promise<number> {
  return Math.max(...(await Promise.all(bench.pair.map(peakRssMb))));
}

async function drayage(bench: BenchLab, workload: Workload): Promise<MigrationResult> {
  await begin(workload, bench.host('a'));
  const result = await migrate(bench);
  await bench.removeAll();
  return result;
}

/** Moves `web` from a to b. */
export async function migrate(bench: BenchLab): Promise<MigrationResult> {
  const args = ['migrate', 'docker:web', '--to', 'root@b', '--json', '--yes'];
  const { stdout } = await bench.host('a').run('drayage', args, { timeoutMs: 120_000 });
  const result = JSON.parse(stdout.trim().split('\n').at(-1) as string) as MigrationResult;
  if (result.outcome !== 'committed') throw new Error(`not committed: ${JSON.stringify(result.error)}`);
  return result;
}

/** Dump and restore on one host, without clients. */
export async function floor(bench: BenchLab, workload: Workload): Promise<number> {
  await begin(workload, bench.host('a'));
  const { dumpMs, restoreMs } = await runProgram<{ dumpMs: number; restoreMs: number }>(
    bench.host('a'),
    'floor',
    'web',
  );
  await bench.removeAll();
  return dumpMs + restoreMs;
}

async function baseline(bench: BenchLab, workload: Workload): Promise<number> {
  await begin(workload, bench.host('a'));
  const outageMs = await moveByBaseline(bench, await prepareBaseline(bench, workload));
  await bench.removeAll();
  return outageMs;
}

/** Creates the copy on b, and resolves to its id. */
export async function prepareBaseline(bench: BenchLab, workload: Workload): Promise<string> {
  const b = bench.host('b');
  const copy = (await b.run('docker', ['create', ...containerArguments(workload)])).stdout.trim();
  await b.run('mkdir', ['-p', `/var/lib/docker/containers/${copy}/checkpoints`]);
  return copy;
}

/** @returns the milliseconds from the checkpoint to the end of the start. */
export async function moveByBaseline(bench: BenchLab, copy: string, ...ports: number[]): Promise<number> {
  const args = ['/root/baseline.sh', 'web', 'root@b', copy, ...ports.map(String)];
  return Number((await bench.host('a').run('sh', args, { timeoutMs: 120_000 })).stdout);
}

export function ms(value: number | null | undefined): string {
  return `${Math.round(value ?? Number.NaN)} ms`;
}
