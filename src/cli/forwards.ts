import { Command } from 'commander';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';

export function forwardsCommand(cli: Cli): Command {
  const forwards = new Command('forwards')
    .summary('see and remove what hosts forward for workloads that they had')
    .description(
      'After a move the host that a workload left goes on answering at its old address: it forwards what comes to where the workload is. These forwards outlive restarts, and are taken away when the workload comes home.',
    );
  forwards.addCommand(lsCommand(cli));
  forwards.addCommand(rmCommand(cli));
  forwards.addCommand(repairCommand(cli));
  return forwards;
}

function lsCommand(cli: Cli): Command {
  return declare('ls', {
    summary: 'list them, with packets and bytes',
    description:
      'Lists the forwards of a host: those to where a workload has gone, and those by way of which workloads here are reached.',
    examples: [
      ['drayage forwards ls', 'of this host'],
      ['drayage forwards ls --host root@hostb', 'of another one'],
    ],
  })
    .addOption(hostOption())
    .addOption(jsonOption())
    .action(async ({ host, json }: HostOptions) => {
      await using agent = await cli.connect(host);
      const { forwards } = await agent.call('forwards.list', {});
      if (json) return writeJson(cli.out, forwards);
      const { renderForwards } = await import('./report/tables.ts');
      cli.out.write(renderForwards(forwards, cli.out.look()));
    });
}

function rmCommand(cli: Cli): Command {
  return declare('rm', {
    summary: 'forward nothing any more',
    description:
      'Removes a forward from a host. Connections that go by way of it end, and its clients are refused from then on. Do the same on the other host.',
    examples: [['drayage forwards rm 20261121-120000-1f2e', 'clients know the new address by now']],
  })
    .argument('<id>', 'as drayage forwards ls tells it')
    .addOption(hostOption())
    .action(async (id: string, { host }: HostOptions) => {
      await using agent = await cli.connect(host);
      await agent.call('forwards.remove', { id });
      cli.out.write(`${cli.out.look().style.green('✔')} forward ${id} is gone from this host.\n`);
    });
}

function repairCommand(cli: Cli): Command {
  return declare('repair', {
    summary: 'put a forward in place anew',
    description:
      "Makes a forward's rules and devices anew: finishes what a move could not when it switched the traffic, lets go of packets that still wait, and puts back what somebody removed.",
    examples: [['drayage forwards repair 20261121-120000-1f2e', 'on the host that the workload left']],
  })
    .argument('<id>', 'as drayage forwards ls tells it')
    .addOption(hostOption())
    .action(async (id: string, { host }: HostOptions) => {
      await using agent = await cli.connect(host);
      await agent.call('forwards.repair', { id });
      cli.out.write(`${cli.out.look().style.green('✔')} forward ${id} is in place.\n`);
    });
}
