import type { Command } from 'commander';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';

export function historyCommand(cli: Cli): Command {
  return declare('history', {
    summary: 'list migrations, the newest first',
    description: "Lists the migrations in a host's journal, the newest first.",
    examples: [
      ['drayage history', 'of this host'],
      ['drayage history --host root@hostb', 'of another one'],
      ["drayage history --json | jq -r '.[].id'", 'for programs: an array'],
    ],
  })
    .addOption(hostOption())
    .addOption(jsonOption())
    .action(async ({ host, json }: HostOptions) => {
      await using agent = await cli.connect(host);
      const { migrations } = await agent.call('migrations.list', {});
      if (json) return writeJson(cli.out, migrations);
      const { renderHistory } = await import('./report/tables.ts');
      cli.out.write(renderHistory(migrations, cli.out.look()));
    });
}
