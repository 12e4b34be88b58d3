/**
 * `./dev bench [SCENARIO...] [--runs N]`: moves containers between two lab hosts, and beside each move measures the
 * baseline and the floor, in turn, so that a drift of the machine's speed meets all three alike.
 */
import { existsSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import type { LabHost } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import type { MigrationResult } from '../src/migration/events.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { type Summary, summarize } from './statistics.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '10' } },
});
const runs = Number(values.runs);
const chosen = positionals.length === 0 ? SCENARIOS : positionals.map(scenarioNamed);
const progress = (line: string) => process.stderr.write(`bench: ${line}\n`);

await build({
  entryPoints: ['bench/floor.ts'],
  outfile: 'dist/floor.mjs',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'warning',
});
await using lab = await Lab.up({
  name: `bench-${process.pid}`,
  hosts: ['a', 'b'],
  docker: 26,
  programDir: 'dist',
  ephemeral: true,
  onProgress: progress,
});
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void lab.down().finally(() => process.exit(1)));
const [a, b] = [lab.host('a'), lab.host('b')];
for (const host of [a, b]) await makeExperimental(host);
await copyFile('dist/floor.mjs', a.path('/root/floor.mjs'));
await copyFile('bench/baseline.sh', a.path('/root/baseline.sh'));

const entries: Record<string, unknown>[] = [];
for (const scenario of chosen) {
  progress(`${scenario.name}: ${scenario.about}`);
  await lab.image(scenario.image, ['a', 'b']);
  const moves: MigrationResult[] = [];
  const floors: number[] = [];
  const baselines: number[] = [];
  progress(`${scenario.name}: once to warm up`);
  await drayage(scenario);
  await floor(scenario);
  for (const host of [a, b]) await forgetPeakRss(host);
  for (let i = 0; i < runs; i++) {
    moves.push(await drayage(scenario));
    floors.push(await floor(scenario));
    baselines.push(await baseline(scenario));
    progress(
      `${scenario.name} ${i + 1}/${runs}: drayage ${ms(moves.at(-1)?.outageMs)}, floor ${ms(floors.at(-1))}, baseline ${ms(baselines.at(-1))}`,
    );
  }
  const outage = summarize(moves.map((move) => move.outageMs as number));
  const [floorMs, baselineMs] = [summarize(floors), summarize(baselines)];
  const rss = Math.max(...(await Promise.all([a, b].map(peakRssMb))));
  entries.push({
    scenario: scenario.name,
    runs,
    outageMs: outage,
    floorMs: floorMs.median,
    baselineMs: baselineMs.median,
    totalMs: summarize(moves.map((move) => move.totalMs)).median,
    bytes: summarize(moves.map((move) => move.bytes)).median,
    agentPeakRssMb: rss,
    ofFloor: ratio(outage, floorMs),
    ofBaseline: ratio(outage, baselineMs),
    spread: { floor: floorMs, baseline: baselineMs },
  });
}
await save(entries);
process.stdout.write(table(entries));

async function drayage(scenario: Scenario): Promise<MigrationResult> {
  await begin(scenario, a, 'web');
  const { stdout } = await a.run('drayage', ['migrate', 'docker:web', '--to', 'root@b', '--json', '--yes'], {
    timeoutMs: 120_000,
  });
  const result = JSON.parse(stdout.trim().split('\n').at(-1) as string) as MigrationResult;
  if (result.outcome !== 'committed') throw new Error(`not committed: ${JSON.stringify(result.error)}`);
  await removeAll();
  return result;
}

async function floor(scenario: Scenario): Promise<number> {
  await begin(scenario, a, 'web');
  const { stdout } = await a.run('/usr/local/lib/drayage/node', ['/root/floor.mjs', 'web'], { timeoutMs: 120_000 });
  const { dumpMs, restoreMs } = JSON.parse(stdout) as { dumpMs: number; restoreMs: number };
  await removeAll();
  return dumpMs + restoreMs;
}

async function baseline(scenario: Scenario): Promise<number> {
  await begin(scenario, a, 'web');
  const create = ['create', '--pull=never', '--name', 'web', ...scenario.flags, scenario.image, ...scenario.command];
  const copy = (await b.run('docker', create)).stdout.trim();
  await b.run('mkdir', ['-p', `/var/lib/docker/containers/${copy}/checkpoints`]);
  const { stdout } = await a.run('sh', ['/root/baseline.sh', 'web', 'root@b', copy], { timeoutMs: 120_000 });
  await removeAll();
  return Number(stdout);
}

async function begin(scenario: Scenario, host: LabHost, name: string): Promise<void> {
  await host.run('docker', [
    'run',
    '-d',
    '--pull=never',
    '--name',
    name,
    ...scenario.flags,
    scenario.image,
    ...scenario.command,
  ]);
  for (let patience = 600; ; patience--) {
    const { stdout, stderr } = await host.run('docker', ['logs', name]);
    if (scenario.ready.test(stdout + stderr)) break;
    if (patience === 0) throw new Error(`${scenario.name} did not get ready`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (scenario.fill !== undefined) await host.run('docker', ['exec', name, ...scenario.fill]);
  await warmMemory(host);
}

/**
 * The hypervisor of a virtual machine takes back pages that are free for a second, and to get one again costs ten times
 * a write. Each measurement begins with as much memory at hand, or whichever comes first would pay for all.
 */
async function warmMemory(host: LabHost): Promise<void> {
  await host.run('dd', ['if=/dev/zero', 'of=/dev/shm/warm', 'bs=1M', 'count=4000', 'status=none']);
  await host.run('rm', ['/dev/shm/warm']);
}

async function removeAll(): Promise<void> {
  for (const host of [a, b]) {
    const ids = (await host.run('docker', ['ps', '-aq'])).stdout.split('\n').filter(Boolean);
    if (ids.length > 0) await host.run('docker', ['rm', '-f', '-v', ...ids]);
    // The baseline leaves a gigabyte to be written, which would hold up the next one's journal for seconds.
    await host.run('sync');
  }
}

/** Docker's own checkpoint is an experimental feature, which takes a restart of the daemon. */
async function makeExperimental(host: LabHost): Promise<void> {
  const path = host.path('/etc/docker/daemon.json');
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), experimental: true }));
  await host.kill9('dockerd');
  for (let patience = 100; ; patience--) {
    const { stdout } = await host.run('docker', ['info', '-f', '{{.ExperimentalBuild}}'], { okCodes: [0, 1] });
    if (stdout.trim() === 'true') return;
    if (patience === 0) throw new Error('dockerd did not come back');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function peakRssMb(host: LabHost): Promise<number> {
  const { stdout } = await host.run('sh', [
    '-c',
    'grep VmHWM /proc/$(cat /run/drayage-supervisor/drayage-agent.pid)/status',
  ]);
  return Math.round(Number(/(\d+) kB/.exec(stdout)?.[1]) / 1024);
}

/** The peak counts from now on: `5` resets it (the kernel's proc.rst, clear_refs). */
async function forgetPeakRss(host: LabHost): Promise<void> {
  await host.run('sh', ['-c', 'echo 5 >/proc/$(cat /run/drayage-supervisor/drayage-agent.pid)/clear_refs']);
}

async function save(entries: Record<string, unknown>[]): Promise<void> {
  const path = 'bench/results.json';
  const before = existsSync(path) ? (JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>[]) : [];
  const kept = before.filter((old) => !entries.some((entry) => entry.scenario === old.scenario));
  await writeFile(path, `${JSON.stringify([...kept, ...entries], null, 2)}\n`);
}

function scenarioNamed(name: string): Scenario {
  const scenario = SCENARIOS.find((each) => each.name === name);
  if (scenario !== undefined) return scenario;
  process.stderr.write(`bench: no scenario ${name}; there are ${SCENARIOS.map((each) => each.name).join(', ')}\n`);
  process.exit(2);
}

function ratio(value: Summary, of: Summary): number {
  return Math.round((value.median / of.median) * 100) / 100;
}

function ms(value: number | null | undefined): string {
  return `${Math.round(value ?? Number.NaN)} ms`;
}

function table(rows: Record<string, unknown>[]): string {
  const head = [
    'scenario',
    'outage',
    'p90',
    'floor',
    'baseline',
    'of floor',
    'of baseline',
    'total',
    'MB sent',
    'agent MB',
  ];
  const lines = rows.map((row) => {
    const outage = row.outageMs as Summary;
    return [
      row.scenario,
      ms(outage.median),
      ms(outage.p90),
      ms(row.floorMs as number),
      ms(row.baselineMs as number),
      `${row.ofFloor}`,
      `${row.ofBaseline}`,
      ms(row.totalMs as number),
      `${Math.round((row.bytes as number) / 1e6)}`,
      `${row.agentPeakRssMb}`,
    ].map(String);
  });
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => (line[i] as string).length)));
  return [head, ...lines]
    .map((line) => `${line.map((cell, i) => cell.padStart(widths[i] as number)).join('  ')}\n`)
    .join('');
}
