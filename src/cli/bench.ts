import type { Command } from 'commander';
import { DrayageError } from '../errors.ts';
import type { Measurement } from '../measure/measure.ts';
import type { Move } from '../measure/move.ts';
import type { Summary } from '../measure/summarise.ts';
import type { MigrateOptions } from '../migration/events.ts';
import { drive } from './bench-move.ts';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';
import { exitStatusOf } from './follow.ts';
import {
  caveats,
  count,
  duration,
  liveLine,
  liveText,
  type MeasureFlags,
  reach,
  withMeasureOptions,
  writeReport,
} from './measured.ts';
import { agree, optionsOf, refusalOf } from './migrate.ts';
import { renderFindings } from './report/finding.ts';

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
    .option('--rounds <number>', 'moves; even, and it ends where it began', count(1000, 1), 10)
    .option('--settle <time>', 'load alone, before and after each move', duration, 3000)
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
  let recording: Measurement['recording'];
  let failure: unknown;
  {
    let doing = '';
    using line = liveLine(cli, () => `${doing} · ${liveText(measurement)}`);
    for (const caveat of caveats(targets)) line.say(caveat);
    try {
      await pause(flags.settle, end.signal);
      for (let round = 0; round < flags.rounds && !end.signal.aborted; round++) {
        const way = ways[round % 2] as Way;
        doing = `round ${round + 1}/${flags.rounds} to ${way.to}`;
        const { move, result } = await drive(
          cli,
          { ...way, workload, options },
          measurement.clock,
          end.signal,
          cut.signal,
        );
        if (move !== null) moves.push(move);
        if (flags.json) writeJson(cli.out, { ...result, type: 'round', round: round + 1 });
        else
          line.say(
            `${doing}: ${result.outcome}${result.outageMs === null ? '' : `, outage ${Math.round(result.outageMs)} ms`}`,
          );
        if (result.outcome !== 'committed') cli.exitWith(exitStatusOf(result));
        if (result.error !== undefined && !flags.json) line.say(`${result.error.code}: ${result.error.message}`);
        if (result.outcome !== 'committed') break;
        await pause(flags.settle, end.signal);
      }
    } catch (error) {
      // What was measured so far is told all the same.
      failure = error;
    }
    recording = await measurement.finish(failure === undefined ? cut.signal : AbortSignal.abort());
  }
  await tell(cli, workload, flags, summarise(recording, moves), recording);
  if (failure !== undefined) throw failure;
  if (end.signal.aborted) throw new DrayageError('CANCELLED', whereItIs(moves, workload));
}

/** Both directions, once both are known to be open; nothing has been moved. @throws DrayageError */
async function waysOf(cli: Cli, workload: string, flags: Flags, options: MigrateOptions): Promise<[Way, Way]> {
  const { to, host, json, yes = false, rounds } = flags;
  await using agent = await cli.connect(host);
  const { findings } = await agent.call('workloads.check', { workload, to, options });
  const refusal = refusalOf(findings, { workload, to, maySpend: yes, mayAsk: !json && cli.err.isTty });
  if (!json) cli.out.write(renderFindings(findings, cli.out.look()));
  else if (refusal !== null) writeJson(cli.out, { type: 'findings', findings });
  if (refusal !== null) throw refusal;
  if (!yes && findings.some(({ severity }) => severity === 'costs')) await agree(cli, findings);
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
