import { Command } from 'commander';
import { declare, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';

export function hostCommand(cli: Cli): Command {
  const host = new Command('host')
    .summary('put drayage on hosts, and take it away')
    .description('Puts drayage on other hosts over ssh, takes it away, and lists those that were added from here.');
  host.addCommand(addCommand(cli));
  host.addCommand(removeCommand(cli));
  host.addCommand(lsCommand(cli));
  return host;
}

interface AddFlags {
  json?: true;
}

function addCommand(cli: Cli): Command {
  return declare('add', {
    summary: 'put drayage on a host, or bring it up to date there',
    description: `Puts drayage on a host over ssh: checks first whether it is fit and tells everything at once that it lacks, sends the program with a Node.js of its own (only what the host does not have yet), and runs drayage setup there. It may be repeated, and an interrupted one leaves what was there before working.`,
    examples: [
      ['drayage host add root@hostb', ''],
      ['drayage host add hostb', 'as ~/.ssh/config of root on this host has it'],
    ],
  })
    .argument('<host>', 'as ssh knows it; you must be root there')
    .addOption(jsonOption('what is done, as JSON lines'))
    .action(async (host: string, { json }: AddFlags) => {
      const [{ addHost }, { agentDoor }, { setupReport }] = await Promise.all([
        import('../fleet/add.ts'),
        import('./agent-door.ts'),
        import('./setup-report.ts'),
      ]);
      const report = setupReport(cli.out, json ?? false);
      await addHost({
        host,
        controlDir: cli.controlDir,
        own: cli.ownFiles(),
        door: agentDoor(cli, host),
        onEvent: report.event,
      });
      report.end(`${host} is ready.`);
    });
}

interface RemoveFlags {
  force?: boolean;
  purge?: boolean;
  json?: true;
}

function removeCommand(cli: Cli): Command {
  return declare('remove', {
    summary: 'take drayage away from a host',
    description:
      "Takes everything back that drayage host add did on a host. What else is in Docker's configuration stays, and so does the journal. It refuses while containers that were moved there still need drayage's runtime.",
    examples: [
      ['drayage host remove root@hostb', ''],
      ['drayage host remove root@hostb --purge', 'with the journal'],
    ],
  })
    .argument('<host>', 'as it was added')
    .option('--force', 'even if containers that were moved there could not be started again')
    .option('--purge', 'with the journal and the list of hosts')
    .addOption(jsonOption('what is done, as JSON lines'))
    .action(async (host: string, { json, force = false, purge = false }: RemoveFlags) => {
      const [{ removeHost }, { setupReport }] = await Promise.all([
        import('../fleet/add.ts'),
        import('./setup-report.ts'),
      ]);
      const report = setupReport(cli.out, json ?? false);
      await removeHost({ host, controlDir: cli.controlDir, force, purge, onEvent: report.event });
      report.end(`drayage is gone from ${host}.`);
    });
}

function lsCommand(cli: Cli): Command {
  return declare('ls', {
    summary: 'list the hosts that were added from here',
    description: 'Lists the hosts that were added from here, and whether the agent of each answers.',
    examples: [
      ['drayage host ls', ''],
      ['drayage host ls --json', 'for programs: an array'],
    ],
  })
    .addOption(jsonOption())
    .action(async ({ json }: { json?: true }) => {
      const { hostStates } = await import('./host-states.ts');
      const states = await hostStates(cli);
      if (json) return writeJson(cli.out, states);
      const { renderHosts } = await import('./report/tables.ts');
      cli.out.write(renderHosts(states, cli.out.look()));
    });
}
