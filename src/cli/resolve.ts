import { type Command, Option } from 'commander';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';

interface ResolveOptions extends HostOptions {
  keep: 'source' | 'target';
}

export function resolveCommand(cli: Cli): Command {
  return declare('resolve', {
    summary: 'decide a migration that is in doubt',
    description:
      'Decides a migration that is in doubt and cannot decide itself, because its target is gone for good. The side that is not kept must never run again: if it might, the workload would run twice. Where the target is kept, clients are sent after it as after any move.',
    examples: [
      ['drayage resolve 20261121-140309-1f2e --keep source', 'the target is lost: go on here'],
      ['drayage resolve 20261121-140309-1f2e --keep target', 'it runs there: give up the copy here'],
    ],
  })
    .argument('<id>', 'of the migration')
    .addOption(
      new Option('--keep <side>', 'the side that is to run').choices(['source', 'target']).makeOptionMandatory(),
    )
    .addOption(hostOption())
    .addOption(jsonOption('the result as JSON'))
    .action(async (id: string, { host, json, keep }: ResolveOptions) => {
      await using agent = await cli.connect(host);
      const result = await agent.call('migrations.resolve', { id, keep });
      if (json) writeJson(cli.out, result);
      else cli.out.write(`${cli.out.look().style.green('✔')} ${id} is decided: the ${keep}'s copy runs.\n`);
    });
}
