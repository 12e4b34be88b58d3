import type { Command } from 'commander';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';

export function psCommand(cli: Cli): Command {
  return declare('ps', {
    summary: 'list workloads, and whether each can move',
    description: 'Lists the workloads of a host, whether each can be moved as it is, and if not, why.',
    examples: [
      ['drayage ps', 'of this host'],
      ['drayage ps --host root@hostb', 'of another one'],
      ['drayage ps --json', 'for programs: an array'],
    ],
  })
    .addOption(hostOption())
    .addOption(jsonOption())
    .action(async ({ host, json }: HostOptions) => {
      await using agent = await cli.connect(host);
      const { workloads } = await agent.call('workloads.list', {});
      if (json) return writeJson(cli.out, workloads);
      const { renderWorkloads } = await import('./report/tables.ts');
      cli.out.write(renderWorkloads(workloads, cli.out.look()));
    });
}
