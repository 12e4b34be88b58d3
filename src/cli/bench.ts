import type { Command } from 'commander';
import { DrayageError } from '../errors.ts';
import type { Measurement } from '../measure/measure.ts';
import type { Move } from '../measure/move.ts';
import type { Summary } from '../measure/summarise.ts';
import type { MigrateOptions, MigrationResult } from '../migration/events.ts';
import { drive } from './bench-move.ts';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';
import { exitStatusOf } from './follow.ts';
import {
  caveats,
  count,
  liveLine,
  liveText,
  type MeasureFlags,
  reach,
  timeOption,
  withMeasureOptions,
  writeReport,
} from './measured.ts';
import { agreeTo, costsOf, optionsOf, refusalOf } from './migrate.ts';
import { renderFindings } from './report/finding.ts';
import { printable } from './report/style.ts';
import { formatMs } from './report/units.ts';

interface Flags extends MeasureFlags, HostOptions {
  to: string;
  back?: string;
  rounds: number;
  settle: number;
  carryBinds?: true;
  dropConnections?: true;
  yes?: true;
}

export function benchCommand(cli: Cli): Command {
  const command = declare('bench', {
    summary: 'move a workload to and fro under load, and measure it',
    description: `Moves a workload to another host and back, round by round, while clients use it, and tells of every round what they saw: the outage, the longest gap, failed requests, broken connections, lost and repeated messages, and latency before, during and after.

It is moved as drayage migrate --remove does it: no copies pile up on the way. After an even number of rounds it is where it was. Ctrl-C undoes the move that is under way and ends with what was measured; the exit status is 0 only if every move was one.`,
    examples: [
      ['drayage bench docker:web --to root@hostb --url http://hosta:8080/', ''],
      ['drayage bench web --to hostb --url http://hosta:8080/ --rounds 4 -o report.html', 'with a picture of it'],
      ['drayage bench web --to hostb --url http://hosta:8080/ --tcp hosta:7007', 'its connections count messages, too'],
      [
        'drayage bench web --to hostb --url http://hosta:8080/ --yes --json',
        'for programs: a line a round, the summary last',
      ],
    ],
  });
  return withMeasureOptions(command.argument('<workload>', 'engine:name, or just the name'))
    .requiredOption('--to <host>', 'the other host, as ssh knows it')
    .option('--back <host>', 'this host, or the one of --host, as the other one knows it by ssh')
    .option('--rounds <number>', 'moves; even, and it ends where it began', count(200, 1), 10)
    .addOption(timeOption('--settle <time>', 'load alone, before and after each move', '3s'))
    .option('--carry-binds', 'move the content of bind mounts, too')
    .option('--drop-connections', 'move it although established connections will be lost')
    .option('--yes', 'agree to what it costs, without being asked')
    .addOption(hostOption())
    .addOption(jsonOption('a line a round, the summary last'))
    .action((workload: string, flags: Flags) => bench(cli, workload, flags));
}

/** One direction: whose agent drives, and where to. */
interface Way {
  host: string | undefined;
  to: string;
}

async function bench(cli: Cli, workload: string, flags: Flags): Promise<void> {
  const options = optionsOf({ ...flags, remove: true });
  const targets = await reach(flags);
  const ways = await waysOf(cli, workload, flags, options);
  const [{ measure }, { summarise }] = await Promise.all([
    import('../measure/measure.ts'),
    import('../measure/summarise.ts'),
  ]);
  const [end, cut] = [new AbortController(), new AbortController()];
  using _ = cli.onInterrupt(() => (end.signal.aborted ? cut : end).abort());
  const measurement = measure(targets, new AbortController().signal);
  const moves: Move[] = [];
  const rounds = { workload, options, ways, flags, measurement, moves, end: end.signal, cut: cut.signal };
  // What was measured until something failed is told all the same.
  const failure = await goToAndFro(cli, rounds, caveats(targets)).catch(DrayageError.from);
  const recording = await measurement.finish(failure === undefined ? cut.signal : AbortSignal.abort());
  await tell(cli, workload, flags, summarise(recording, moves), recording);
  if (failure !== undefined) throw failure;
  if (end.signal.aborted) throw new DrayageError('CANCELLED', whereItIs(moves, workload));
}

interface Rounds {
  workload: string;
  options: MigrateOptions;
  ways: readonly [Way, Way];
  flags: Flags;
  measurement: Measurement;
  /** Filled as they end. */
  moves: Move[];
  /** Undo what is under way, and begin nothing more. */
  end: AbortSignal;
  /** Do not wait for it, either. */
  cut: AbortSignal;
}

/** Until a round is no move, or Ctrl-C. @throws DrayageError of the agents */
async function goToAndFro(cli: Cli, rounds: Rounds, notes: readonly string[]): Promise<void> {
  const { workload, options, ways, flags, measurement, moves, end, cut } = rounds;
  let doing = 'load alone';
  using line = liveLine(cli, () => `${doing} · ${liveText(measurement)}`);
  for (const note of notes) line.say(note);
  await pause(flags.settle, end);
  for (let round = 1; round <= flags.rounds && !end.aborted; round++) {
    const way = ways[round % 2 === 1 ? 0 : 1];
    doing = `round ${round}/${flags.rounds} to ${way.to}`;
    const request = { ...way, workload, options };
    const { move, result } = await drive(cli, request, { clock: measurement.clock, undo: end, leave: cut });
    if (move !== null) moves.push(move);
    if (flags.json) writeJson(cli.out, { ...result, type: 'round', round });
    else line.say(`${doing}: ${endOf(result)}`);
    if (result.outcome !== 'committed') return cli.exitWith(exitStatusOf(result));
    await pause(flags.settle, end);
  }
}

function endOf({ outcome, outageMs, error }: MigrationResult): string {
  if (error !== undefined) return `${outcome}, ${error.code}: ${printable(error.message)}`;
  return outageMs === null ? outcome : `${outcome}, outage ${formatMs(outageMs)}`;
}

/** Both directions, once both are known to be open; nothing has been moved. @throws DrayageError */
async function waysOf(cli: Cli, workload: string, flags: Flags, options: MigrateOptions): Promise<[Way, Way]> {
  const { to, host, json, yes = false, rounds } = flags;
  await using agent = await cli.connect(host);
  const decision = await agent.call('workloads.check', { workload, to, options });
  const { findings } = decision;
  const refusal = refusalOf(decision, { workload, to, options, maySpend: yes, mayAsk: !json && cli.err.isTty });
  if (!json) cli.out.write(renderFindings(findings, cli.out.look()));
  else if (refusal !== null) writeJson(cli.out, { type: 'findings', findings });
  if (refusal !== null) throw refusal;
  await agreeTo(cli, costsOf(decision, options), yes);
  const back = flags.back ?? host ?? `root@${(await agent.call('hello', {})).hostname}`;
  if (rounds > 1) await checkWayBack(cli, { host: to, to: back }, workload, options);
  return [
    { host, to },
    { host: to, to: back },
  ];
}

/** The other host's agent dials this one before it looks for the workload, which it cannot have yet. */
async function checkWayBack(cli: Cli, { host, to }: Way, workload: string, options: MigrateOptions): Promise<void> {
  await using agent = await cli.connect(host);
  try {
    await agent.call('workloads.check', { workload, to, options });
  } catch (error) {
    if (error instanceof DrayageError && error.code === 'WORKLOAD_UNKNOWN') return;
    if (!(error instanceof DrayageError)) throw error;
    throw new DrayageError(error.code, `The way back, from ${host} to ${to}, is closed: ${error.message}`, {
      meaning: 'It would stay there after the first round. Nothing was moved.',
      remedy: `${error.remedy} Name this host as ${host} knows it by --back HOST, or move it once: --rounds 1.`,
      cause: error,
    });
  }
}

async function tell(cli: Cli, workload: string, flags: Flags, summary: Summary, recording: Measurement['recording']) {
  if (flags.json) writeJson(cli.out, { type: 'bench', workload, ...summary });
  else {
    const { renderBench } = await import('./report/figures.ts');
    cli.out.write(`\n${renderBench(summary, cli.out.look())}`);
  }
  if (flags.output === undefined) return;
  await writeReport(flags.output, workload, summary, recording.samples);
  if (!flags.json) cli.out.write(`\nreport: ${flags.output}\n`);
}

function whereItIs(moves: readonly Move[], workload: string): string {
  const last = moves.at(-1);
  if (last === undefined) return `${workload} was not moved.`;
  return `${workload} is on ${last.outcome === 'committed' ? last.target : last.source}.`;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener('abort', finish, { once: true });
  });
}
