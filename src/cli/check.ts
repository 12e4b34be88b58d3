import type { Command } from 'commander';
import { ERRORS } from '../errors.ts';
import type { Handover, Strategy } from '../migration/events.ts';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';
import { handoverOption, optionsOf, refusalOf, showRestart, strategyOption } from './migrate.ts';
import { renderFindings } from './report/finding.ts';
import { renderPlan } from './report/plan.ts';

interface Flags extends HostOptions {
  to: string;
  strategy?: Strategy;
  allowRestart?: true;
  healthyUrl?: string;
  remove?: true;
  carryBinds?: true;
  dropConnections?: true;
  replaceFiles?: true;
  pidNamespace?: true;
  privateRoot?: true;
  handover?: Handover;
}

export function checkCommand(cli: Cli): Command {
  return declare('check', {
    summary: 'see whether a workload can move to a host',
    description:
      'Tells everything at once that speaks against a move or that it costs, each with what it means and what to do about it, and the plan. Nothing is touched.',
    examples: [
      ['drayage check docker:web --to root@hostb', ''],
      ['drayage check web --to hostb --strategy restart', 'what it would lose, and for how long it would be away'],
      ['drayage check web --to hostb --carry-binds', 'with the content of bind mounts'],
      ['drayage check web --to hostb --json', 'for programs: {"findings":[...],"plan":{...}}'],
    ],
  })
    .argument('<workload>', 'engine:name, or just the name')
    .requiredOption('--to <host>', 'the target, as ssh knows it')
    .addOption(strategyOption())
    .option('--allow-restart', 'as it would be with it')
    .option('--healthy-url <url>', 'as it would be with it')
    .option('--carry-binds', 'as it would be with it')
    .option('--drop-connections', 'as it would be with it')
    .option('--replace-files', 'as it would be with it')
    .option('--pid-namespace', 'as it would be with it')
    .option('--private-root', 'as it would be with it')
    .addOption(handoverOption())
    .addOption(hostOption())
    .addOption(jsonOption())
    .action((workload: string, flags: Flags) => check(cli, workload, flags));
}

async function check(cli: Cli, workload: string, { to, host, json, ...flags }: Flags): Promise<void> {
  await using agent = await cli.connect(host);
  const options = optionsOf({ ...flags, dryRun: true });
  const answer = await agent.call('workloads.check', { workload, to, options });
  const { findings, plan, restart } = answer;
  const refusal = refusalOf(answer, { workload, to, options, maySpend: true, mayAsk: false });
  if (json) {
    writeJson(cli.out, answer);
    // The answer says it all; only the status is left to tell.
    if (refusal !== null) cli.exitWith(ERRORS[refusal.code].exit);
    return;
  }
  const look = cli.out.look();
  cli.out.write(renderFindings(findings, look));
  if (restart !== undefined) showRestart(cli, workload, restart);
  if (refusal !== null) throw refusal;
  cli.out.write(renderPlan(plan, look));
  cli.out.write(`${look.style.green('✔')} ${workload} can be moved to ${to}.\n`);
}
