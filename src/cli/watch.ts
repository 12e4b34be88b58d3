import type { Command } from 'commander';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import type { Cli } from './context.ts';

export function watchCommand(cli: Cli): Command {
  return declare('watch', {
    summary: 'follow a migration that is under way',
    description:
      'Follows a migration from its beginning to its end, as drayage migrate does. Ctrl-C stops to follow it; the migration goes on. The exit status is 0 only if the workload has moved.',
    examples: [
      ['drayage watch 20261121-140309-1f2e', ''],
      ['drayage watch 20261121-140309-1f2e --json', 'its events as they come, one a line'],
    ],
  })
    .argument('<id>', 'of the migration')
    .addOption(hostOption())
    .addOption(jsonOption('events as JSON lines, the result last'))
    .action(async (id: string, { host, json }: HostOptions) => {
      await using agent = await cli.connect(host);
      const { follow } = await import('./follow.ts');
      await follow(cli, agent, { id, json: json ?? false, host, onInterrupt: 'leave' });
    });
}
