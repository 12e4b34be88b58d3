import { type Command, Option } from 'commander';
import { DrayageError } from '../errors.ts';
import { HANDOVERS, type Handover, type MigrateOptions } from '../migration/events.ts';
import type { Finding } from '../migration/finding.ts';
import type { Plan } from '../migration/plan.ts';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';
import { follow } from './follow.ts';
import { renderFindings } from './report/finding.ts';
import { renderPlan } from './report/plan.ts';

interface Flags extends HostOptions {
  to: string;
  dryRun?: true;
  remove?: true;
  carryBinds?: true;
  dropConnections?: true;
  handover?: Handover;
  yes?: true;
}

export function migrateCommand(cli: Cli): Command {
  return declare('migrate', {
    summary: 'move a running workload to another host',
    description: `Moves a running workload, with its memory, files, configuration and name, to another host.

What speaks against it, and what it costs, is told first. The agent drives the move, not this command: closing the terminal does not stop it. Ctrl-C asks for an undo, and until the workload runs on the target there always is one. The exit status is 0 only if the workload has moved.`,
    examples: [
      ['drayage migrate docker:web --to root@hostb', ''],
      ['drayage migrate web --to hostb --dry-run', 'what would be done, and nothing else'],
      ['drayage migrate web --to hostb --yes --json', 'for programs: events as JSON lines, the result last'],
    ],
  })
    .argument('<workload>', 'engine:name, or just the name')
    .requiredOption('--to <host>', 'the target, as ssh knows it')
    .option('--dry-run', 'end after the checks, and show the plan')
    .option(
      '--remove',
      "delete the source's copy and its volumes afterwards, instead of keeping it stopped under another name",
    )
    .option('--carry-binds', 'move the content of bind mounts, too')
    .option('--drop-connections', 'move it although established connections will be lost')
    .addOption(handoverOption())
    .option('--yes', 'agree to what it costs, without being asked')
    .addOption(hostOption())
    .addOption(jsonOption('events as JSON lines, the result last'))
    .action((workload: string, flags: Flags) => migrate(cli, workload, flags));
}

async function migrate(cli: Cli, workload: string, flags: Flags): Promise<void> {
  const request = { workload, to: flags.to, options: optionsOf(flags) };
  const { json = false, host } = flags;
  await using agent = await cli.connect(host);
  const { findings, plan } = await agent.call('workloads.check', request);
  const refusal = refusalOf(findings, { ...request, maySpend: flags.yes ?? false, mayAsk: !json && cli.err.isTty });
  if (!json) cli.out.write(renderFindings(findings, cli.out.look()));
  // In JSON, the findings are otherwise among the events of the migration.
  else if (refusal !== null || flags.dryRun) writeJson(cli.out, { type: 'findings', findings });
  if (refusal !== null) throw refusal;
  if (flags.dryRun) return showPlan(cli, plan, json);
  if (!flags.yes && costsOf(findings).length > 0) await agree(cli, findings);

  const { id } = await agent.call('migrations.start', request);
  if (!json) cli.out.write(`${cli.out.look().style.dim(`migration ${id}`)}\n`);
  await follow(cli, agent, { id, json, host, onInterrupt: 'undo' });
}

interface Request {
  workload: string;
  to: string;
  /** `--yes` */
  maySpend: boolean;
  /** There is a user to be asked. */
  mayAsk: boolean;
}

/** Pure: why it must not be begun; null where it may, perhaps after a question. */
export function refusalOf(
  findings: readonly Finding[],
  { workload, to, maySpend, mayAsk }: Request,
): DrayageError | null {
  const blocking = findings.filter(({ severity }) => severity === 'blocks');
  if (blocking.length > 0) {
    const why = blocking.map(({ code }) => code).join(', ');
    return new DrayageError('MIGRATION_BLOCKED', `${workload} cannot be moved to ${to}: ${why}.`);
  }
  const costs = costsOf(findings);
  if (costs.length === 0 || maySpend || mayAsk) return null;
  return new DrayageError('CONFIRMATION_NEEDED', `Moving ${workload} costs something: ${costs.join(', ')}.`);
}

function costsOf(findings: readonly Finding[]): string[] {
  return findings.flatMap(({ severity, code }) => (severity === 'costs' ? [code] : []));
}

/** Asks on the terminal. @throws DrayageError CANCELLED, CONFIRMATION_NEEDED */
export async function agree(cli: Cli, findings: readonly Finding[]): Promise<void> {
  const answer = await cli.confirm('Move it all the same?');
  if (answer === true) return;
  if (answer === false) throw new DrayageError('CANCELLED', 'Nothing was begun.');
  throw new DrayageError('CONFIRMATION_NEEDED', `It costs something: ${costsOf(findings).join(', ')}.`);
}

function showPlan(cli: Cli, plan: Plan | null, json: boolean): void {
  if (json) writeJson(cli.out, { type: 'plan', plan });
  else if (plan !== null) cli.out.write(renderPlan(plan, cli.out.look()));
}

export function handoverOption(): Option {
  return new Option(
    '--handover <way>',
    'how clients follow: the source forwards, an address of its own moves, each where it applies, or not at all',
  )
    .choices(HANDOVERS)
    .default('auto');
}

export function optionsOf(flags: Omit<Flags, 'to' | 'dryRun'> & { dryRun?: boolean }): MigrateOptions {
  return {
    remove: flags.remove ?? false,
    carryBinds: flags.carryBinds ?? false,
    dropConnections: flags.dropConnections ?? false,
    handover: flags.handover ?? 'auto',
    dryRun: flags.dryRun ?? false,
  };
}
