import { type Command, Option } from 'commander';
import { DrayageError } from '../errors.ts';
import { HANDOVERS, type Handover, type MigrateOptions, STRATEGIES, type Strategy } from '../migration/events.ts';
import type { Plan } from '../migration/plan.ts';
import type { Decision, Proposal } from '../migration/strategy.ts';
import { RESTART_COSTS, tellRestart } from '../migration/tell-restart.ts';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';
import { follow } from './follow.ts';
import { renderFindings } from './report/finding.ts';
import { renderPlan } from './report/plan.ts';

interface Flags extends HostOptions {
  to: string;
  strategy?: Strategy;
  allowRestart?: true;
  healthyUrl?: string;
  dryRun?: true;
  remove?: true;
  carryBinds?: true;
  dropConnections?: true;
  handover?: Handover;
  replaceFiles?: true;
  pidNamespace?: true;
  privateRoot?: true;
  yes?: true;
  attach?: true;
}

export function migrateCommand(cli: Cli): Command {
  return declare('migrate', {
    summary: 'move a workload to another host',
    description: `Moves a running workload, with its memory, files, configuration and name, to another host. One that cannot move live, or does not run, moves by restart if you agree: with its files, configuration and name.

What speaks against it, and what it costs, is told first. The agent drives the move, not this command: closing the terminal does not stop it. Ctrl-C asks for an undo, and until the workload runs on the target there always is one. The exit status is 0 only if the workload has moved.`,
    examples: [
      ['drayage migrate docker:web --to root@hostb', ''],
      ['drayage migrate process:4711 --to root@hostb --attach', 'processes that no engine keeps, with their terminal'],
      ['drayage migrate web --to hostb --dry-run', 'what would be done, and nothing else'],
      ['drayage migrate web --to hostb --allow-restart', 'by restart, if it cannot move live'],
      ['drayage migrate web --to hostb --strategy restart --healthy-url http://localhost:8080/', ''],
      ['drayage migrate web --to hostb --yes --json', 'for programs: events as JSON lines, the result last'],
    ],
  })
    .argument('<workload>', 'engine:name, or just the name')
    .requiredOption('--to <host>', 'the target, as ssh knows it')
    .addOption(strategyOption())
    .option('--allow-restart', 'where it cannot move live, stop it here and start it there, without being asked')
    .option('--healthy-url <url>', 'by restart: the copy is healthy when this answers, as the target reaches it')
    .option('--dry-run', 'end after the checks, and show the plan')
    .option(
      '--remove',
      "delete the source's copy and its volumes afterwards, instead of keeping it stopped under another name",
    )
    .option('--carry-binds', 'move the content of bind mounts, too')
    .option('--drop-connections', 'move it although established connections will be lost')
    .option('--replace-files', 'let files that processes use take the place of other ones on the target')
    .option('--pid-namespace', 'give processes numbers of their own, which others may have on the target')
    .option('--private-root', 'let processes alone see the files that come with them, and change nothing on the target')
    .addOption(handoverOption())
    .option('--attach', 'connect this terminal to that of the moved processes, as drayage attach does')
    .option('--yes', 'agree to what it costs, without being asked')
    .addOption(hostOption())
    .addOption(jsonOption('events as JSON lines, the result last'))
    .action((workload: string, flags: Flags) => migrate(cli, workload, flags));
}

async function migrate(cli: Cli, workload: string, flags: Flags): Promise<void> {
  const { json = false, host, to } = flags;
  const options = optionsOf(flags);
  await using agent = await cli.connect(host);
  const decision = await agent.call('workloads.check', { workload, to, options });
  const { findings, restart } = decision;
  const mayAsk = !json && cli.err.isTty;
  if (!json) cli.out.write(renderFindings(findings, cli.out.look()));
  const byRestart = restart !== undefined && mayAsk && !flags.dryRun && (await agreeToRestart(cli, workload, restart));
  const refusal = byRestart
    ? null
    : refusalOf(decision, { workload, to, options, maySpend: flags.yes ?? false, mayAsk });
  // In JSON, the findings are otherwise among the events of the migration.
  if (json && (refusal !== null || flags.dryRun)) writeJson(cli.out, { type: 'findings', findings });
  if (flags.dryRun && !json && restart !== undefined) showRestart(cli, workload, restart);
  if (refusal !== null) throw refusal;
  if (flags.dryRun) return showPlan(cli, decision.plan, json);
  await agreeTo(cli, costsOf(decision, options), byRestart || (flags.yes ?? false));

  const request = { workload, to, options: byRestart ? { ...options, allowRestart: true } : options };
  const { id } = await agent.call('migrations.start', request);
  if (!json) cli.out.write(`${cli.out.look().style.dim(`migration ${id}`)}\n`);
  const outcome = await follow(cli, agent, { id, json, host, onInterrupt: 'undo' });
  if (flags.attach && outcome === 'committed') await attachThere(cli, flags.to, id);
}

async function attachThere(cli: Cli, to: string, id: string): Promise<void> {
  const { attach } = await import('./attach.ts');
  await using there = await cli.connect(to);
  await attach(cli, there, id).catch((error: unknown) => {
    // It has moved: that it is on no terminal is no failure of the move.
    if (!(error instanceof DrayageError) || error.code !== 'TERMINAL_UNKNOWN') throw error;
    cli.err.write('drayage: it is on no terminal\n');
  });
}

interface Request {
  workload: string;
  to: string;
  options: Pick<MigrateOptions, 'allowRestart'>;
  /** `--yes` */
  maySpend: boolean;
  /** There is a user to be asked. */
  mayAsk: boolean;
}

/** Pure: why it must not be begun; null where it may, perhaps after a question. */
export function refusalOf(
  decision: Pick<Decision, 'findings' | 'restart'>,
  { workload, to, options, maySpend, mayAsk }: Request,
): DrayageError | null {
  const blocking = decision.findings.filter(({ severity }) => severity === 'blocks');
  if (blocking.length > 0) {
    const why = blocking.map(({ code }) => code).join(', ');
    return decision.restart === undefined
      ? new DrayageError('MIGRATION_BLOCKED', `${workload} cannot be moved to ${to}: ${why}.`)
      : new DrayageError('MIGRATION_BLOCKED', `${workload} cannot be moved live to ${to}: ${why}.`, {
          remedy: `Do what the findings say; or move it by restart with --allow-restart (${tellRestart(decision.restart.plan)}).`,
        });
  }
  const costs = costsOf(decision, options);
  if (costs.length === 0 || maySpend || mayAsk) return null;
  return new DrayageError('CONFIRMATION_NEEDED', `Moving ${workload} costs something: ${costs.join(', ')}.`);
}

/** Codes of what the user has not agreed to by an option. */
export function costsOf(
  { findings }: Pick<Decision, 'findings'>,
  { allowRestart }: Pick<MigrateOptions, 'allowRestart'>,
): string[] {
  const agreed: readonly string[] = allowRestart ? RESTART_COSTS : [];
  return findings.flatMap(({ severity, code }) => (severity === 'costs' && !agreed.includes(code) ? [code] : []));
}

/** Asks where it costs something and nobody has agreed. @throws DrayageError CANCELLED, CONFIRMATION_NEEDED */
export async function agreeTo(cli: Cli, costs: readonly string[], agreed: boolean): Promise<void> {
  if (agreed || costs.length === 0) return;
  const answer = await cli.confirm('Move it all the same?');
  if (answer === true) return;
  if (answer === false) throw new DrayageError('CANCELLED', 'Nothing was begun.');
  throw new DrayageError('CONFIRMATION_NEEDED', `It costs something: ${costs.join(', ')}.`);
}

/** Explains what a restart means, and asks. @throws DrayageError CANCELLED */
async function agreeToRestart(cli: Cli, workload: string, restart: Proposal): Promise<boolean> {
  showRestart(cli, workload, restart);
  const answer = await cli.confirm('Move it by restart?');
  if (answer === false) throw new DrayageError('CANCELLED', 'Nothing was begun.');
  return answer === true;
}

export function showRestart(cli: Cli, workload: string, { findings, plan }: Proposal): void {
  const look = cli.out.look();
  cli.out.write(`\n${workload} cannot move live. By restart it can:\n`);
  cli.out.write(renderFindings(findings, look) + renderPlan(plan, look));
}

function showPlan(cli: Cli, plan: Plan, json: boolean): void {
  if (json) writeJson(cli.out, { type: 'plan', plan });
  else cli.out.write(renderPlan(plan, cli.out.look()));
}

export function handoverOption(): Option {
  return new Option(
    '--handover <way>',
    'how clients follow: the source forwards, an address of its own moves, each where it applies, or not at all',
  )
    .choices(HANDOVERS)
    .default('auto');
}

export function strategyOption(): Option {
  return new Option('--strategy <way>', 'live with its memory, or by restart; auto is live wherever that can be')
    .choices(STRATEGIES)
    .default('auto');
}

export function optionsOf(flags: Omit<Flags, 'to' | 'dryRun'> & { dryRun?: boolean }): MigrateOptions {
  return {
    strategy: flags.strategy ?? 'auto',
    allowRestart: flags.allowRestart ?? false,
    ...(flags.healthyUrl === undefined ? {} : { healthyUrl: checkUrl(flags.healthyUrl) }),
    remove: flags.remove ?? false,
    carryBinds: flags.carryBinds ?? false,
    dropConnections: flags.dropConnections ?? false,
    handover: flags.handover ?? 'auto',
    replaceFiles: flags.replaceFiles ?? false,
    ...(flags.pidNamespace && { pidNamespace: true }),
    ...(flags.privateRoot && { privateRoot: true }),
    dryRun: flags.dryRun ?? false,
  };
}

/** @throws DrayageError USAGE */
function checkUrl(text: string): string {
  if (['http:', 'https:'].includes(URL.parse(text)?.protocol ?? '')) return text;
  throw new DrayageError('USAGE', `--healthy-url takes an http or https address, not ${JSON.stringify(text)}.`);
}
