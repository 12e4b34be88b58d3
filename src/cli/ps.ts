import type { Command } from 'commander';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';

export function psCommand(cli: Cli): Command {
  return declare('ps', {
    summary: 'list workloads, and whether each can move',
    description:
      'Lists the containers of a host, whether each can be moved as it is, and if not, why; with --processes also trees of processes that no engine keeps: sessions on terminals, their jobs, and what runs in the background.',
    examples: [
      ['drayage ps', 'of this host'],
      ['drayage ps --host root@hostb', 'of another one'],
      ['drayage ps --processes', 'programs that were started by hand, too'],
      ['drayage ps --json', 'for programs: an array'],
    ],
  })
    .option('--processes', 'also trees of processes that no engine keeps')
    .addOption(hostOption())
    .addOption(jsonOption())
    .action(async ({ host, json, processes }: HostOptions & { processes?: true }) => {
      await using agent = await cli.connect(host);
      const { workloads } = await agent.call('workloads.list', processes ? { processes } : {});
      if (json) return writeJson(cli.out, workloads);
      const { renderWorkloads } = await import('./report/tables.ts');
      cli.out.write(renderWorkloads(workloads, cli.out.look()));
    });
}
