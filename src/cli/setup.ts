import { type Command, Option } from 'commander';
import { declare, jsonOption } from './command.ts';
import type { Cli } from './context.ts';

interface Flags {
  remove?: true;
  force?: true;
  purge?: true;
  json?: true;
}

export function setupCommand(cli: Cli): Command {
  return declare('setup', {
    summary: 'make this host ready, or take everything back',
    description: `Makes this host ready: puts the program to /usr/local/lib/drayage, registers the runtime with Docker (which is told to read its configuration again, not restarted) and starts the agent. It may be repeated, and changes nothing the second time.

With --remove it takes everything back.`,
    examples: [
      ['drayage setup', ''],
      ['drayage setup --remove', 'keeps the journal'],
      ['drayage setup --remove --purge', 'keeps nothing'],
    ],
  })
    .option('--remove', 'take back what setup has done')
    .addOption(
      new Option('--force', 'even if containers that were moved here could not be started again').implies({
        remove: true,
      }),
    )
    .addOption(new Option('--purge', 'with the journal and the list of hosts').implies({ remove: true }))
    .addOption(jsonOption('what is done, as JSON lines'))
    .action((flags: Flags) => setup(cli, flags));
}

async function setup(cli: Cli, { remove, force, purge, json }: Flags): Promise<void> {
  const { setupReport } = await import('./setup-report.ts');
  const { agentDoor } = await import('./agent-door.ts');
  const report = setupReport(cli.out, json ?? false);
  const door = agentDoor(cli);
  if (remove) {
    const { removeFromHost } = await import('../fleet/remove.ts');
    await removeFromHost({ door, force: force ?? false, purge: purge ?? false, onEvent: report.event });
    return report.end('drayage is gone from this host.');
  }
  const fleet = await import('../fleet/setup.ts');
  await fleet.setup({ own: cli.ownFiles(), door, onEvent: report.event });
  report.end('This host is ready.');
}
