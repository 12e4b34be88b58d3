/**
 * The seed experiment: a web server behind a published port is moved while clients on a third host use it, by drayage
 * with Docker 26 and 28, and by what one would script today, which works with Docker 26 only.
 */
import type { LabHost } from '../lab/host.ts';
import type { DockerVersion } from '../lab/recipe.ts';
import type { Started } from '../src/exec/run.ts';
import type { Summary as Measured } from '../src/measure/summarise.ts';
import type { MigrationResult } from '../src/migration/events.ts';
import { BenchLab, begin, forgetPeakRss, makeExperimental, pause, runProgram, startProgram } from './bench-lab.ts';
import {
  agentPeakRssMb,
  entryOf,
  floor,
  migrate,
  moveByBaseline,
  ms,
  type Progress,
  prepareBaseline,
} from './moves.ts';
import type { WebEntry } from './results.ts';
import type { RequestRound } from './rounds.ts';
import { WEB } from './scenarios.ts';
import { type WebRun, webFigures } from './web-figures.ts';

/** As WEB publishes them. */
const [HTTP_PORT, ECHO_PORT] = [8080, 7007];
/** Load alone, before and after a move. */
const SETTLE_MS = 3000;
/** Each of so many downloads, from each of both addresses, takes so long. */
const [DOWNLOAD_MS, DOWNLOADS] = [500, 5];

interface DrayageRun extends WebRun, Pick<MigrationResult, 'totalMs' | 'bytes'> {}

export async function measureWeb(runs: number, progress: Progress): Promise<WebEntry> {
  const baselines: WebRun[] = [];
  const floors: number[] = [];
  const beside = async (bench: BenchLab) => {
    floors.push(await floor(bench, WEB));
    baselines.push(await byBaseline(bench));
    return `, floor ${ms(floors.at(-1))}, baseline ${told(baselines.at(-1))}`;
  };
  const on26 = await measureOn(26, runs, progress, beside);
  const on28 = await measureOn(28, runs, progress, async () => '');
  const all = [...on26.moves, ...on28.moves];
  const baselineMs = baselines.map(({ outageMs }) => outageMs);
  const rss = Math.max(on26.agentPeakRssMb, on28.agentPeakRssMb);
  return {
    ...entryOf(WEB.name, all, { floors, baselines: baselineMs }, rss),
    ...webFigures(all),
    runs,
    docker26: webFigures(on26.moves),
    docker28: webFigures(on28.moves),
    baseline: webFigures(baselines),
  };
}

/** @param beside what else is measured in each run, so that a drift of the machine meets all alike; told in a few words */
async function measureOn(
  docker: DockerVersion,
  runs: number,
  progress: Progress,
  beside: (bench: BenchLab) => Promise<string>,
): Promise<{ moves: DrayageRun[]; agentPeakRssMb: number }> {
  progress(`web: ${WEB.about}, Docker ${docker}`);
  await using bench = await BenchLab.up({ hosts: ['a', 'b', 'c'], docker, onProgress: progress });
  if (docker === 26) for (const host of bench.pair) await makeExperimental(host);
  await bench.lab.image(WEB.image, ['a', 'b'], progress);
  progress('web: once to warm up');
  await byDrayage(bench);
  for (const host of bench.pair) await forgetPeakRss(host);
  const moves: DrayageRun[] = [];
  for (let i = 1; i <= runs; i++) {
    const move = await byDrayage(bench);
    moves.push(move);
    progress(`web ${i}/${runs}, Docker ${docker}: drayage ${told(move)}${await beside(bench)}`);
  }
  return { moves, agentPeakRssMb: await agentPeakRssMb(bench) };
}

async function byDrayage(bench: BenchLab): Promise<DrayageRun> {
  await begin(WEB, bench.host('a'));
  const { seen, result } = await drayageBench(bench);
  const download = await downloads(bench);
  await bench.removeAll();
  await begin(WEB, bench.host('a'));
  const rounds = await underRounds(bench, () => migrate(bench));
  await bench.removeAll();
  const { outageMs, totalMs, bytes } = result;
  return { outageMs: outageMs as number, totalMs, bytes, seen, rounds, download };
}

async function byBaseline(bench: BenchLab): Promise<WebRun> {
  const move = async () => moveByBaseline(bench, copy, HTTP_PORT, ECHO_PORT);
  let copy = await beginBaseline(bench);
  const { seen, result: outageMs } = await underProbe(bench, move);
  const download = await downloads(bench);
  await endBaseline(bench);
  copy = await beginBaseline(bench);
  const rounds = await underRounds(bench, move);
  await endBaseline(bench);
  return { outageMs, seen, rounds, download };
}

async function beginBaseline(bench: BenchLab): Promise<string> {
  await begin(WEB, bench.host('a'));
  return prepareBaseline(bench, WEB);
}

async function endBaseline(bench: BenchLab): Promise<void> {
  await bench.host('a').run('ssh', ['-S', '/run/baseline.ssh', '-O', 'exit', 'root@b']);
  await bench.removeAll();
}

/** Moves it once under load, from the host where the clients are. */
async function drayageBench(bench: BenchLab): Promise<{ seen: Measured; result: MigrationResult }> {
  const move = ['docker:web', '--host', 'root@a', '--to', 'root@b', '--rounds', '1', '--settle', `${SETTLE_MS}ms`];
  const args = ['bench', ...move, ...targets(bench.host('a')), '--yes', '--json'];
  const { stdout } = await bench.host('c').run('drayage', args, { timeoutMs: 120_000 });
  const [round, summary] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  if (round?.outcome !== 'committed') throw new Error(`not committed: ${stdout}`);
  return { seen: summary, result: round };
}

/** What `drayage probe` saw of a move that drayage has no part in. */
async function underProbe<T>(bench: BenchLab, move: () => Promise<T>): Promise<{ seen: Measured; result: T }> {
  const probe = bench.host('c').startInterruptible('drayage', ['probe', ...targets(bench.host('a')), '--json']);
  const [out, err] = [text(probe.stdout), text(probe.stderr)];
  try {
    await pause(SETTLE_MS);
    const result = await move();
    await pause(SETTLE_MS);
    await probe.interrupt();
    await probe.exited;
    const line = (await out).trim().split('\n').at(-1) ?? '';
    if (!line.startsWith('{')) throw new Error(`the probe told nothing: ${line}${await err}`);
    return { result, seen: JSON.parse(line) };
  } finally {
    probe.kill('SIGKILL');
  }
}

/** Rounds of requests as fast as they go, from before a move until after it. */
async function underRounds(bench: BenchLab, move: () => Promise<unknown>): Promise<RequestRound[]> {
  const client = startProgram(bench.host('c'), 'rounds', urlOf(bench.host('a')));
  const [out, err] = [text(client.stdout), text(client.stderr)];
  try {
    await pause(SETTLE_MS);
    await move();
    await pause(SETTLE_MS);
    client.stdin.end();
    const { code } = await client.exited;
    if (code !== 0) throw new Error(`the rounds ended with ${code}: ${await err}`);
    return JSON.parse(await out) as RequestRound[];
  } finally {
    client.kill('SIGKILL');
  }
}

/** When it has moved: through the source, and from the target's own port, in turn. */
async function downloads({ lab }: BenchLab): Promise<WebRun['download']> {
  const urls = [lab.host('a'), lab.host('b')].map((host) => `${urlOf(host)}bulk`);
  const args = [String(DOWNLOAD_MS), String(DOWNLOADS), ...urls];
  const [forwarded = [], direct = []] = await runProgram<number[][]>(lab.host('c'), 'download', ...args);
  return { forwarded, direct };
}

/** 200 new requests a second and 50 connections are what drayage does by itself. */
function targets(host: LabHost): string[] {
  return ['--url', urlOf(host), '--tcp', `${host.address}:${ECHO_PORT}`];
}

function urlOf({ address }: LabHost): string {
  return `http://${address}:${HTTP_PORT}/`;
}

function told(run: WebRun | undefined): string {
  if (run === undefined) return '';
  const { seen, outageMs, rounds } = run;
  const whole = rounds.filter(({ answered, asked }) => answered === asked).length;
  return `${ms(outageMs)}, longest gap ${ms(seen.longestGap?.ms)}, ${seen.requests.failed} failed, ${seen.connections?.broken} broken, ${rounds.length - whole} of ${rounds.length} rounds not whole`;
}

async function text(stream: Started['stdout']): Promise<string> {
  let all = '';
  for await (const chunk of stream) all += String(chunk);
  return all;
}
