/** `drayage inspect`: what is in an archive. Needs no agent. */
import { createReadStream } from 'node:fs';
import type { Command } from 'commander';
import { type KeyFlags, keyOf, withKeyOptions } from './archive-options.ts';
import { declare, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';

interface Flags extends KeyFlags {
  showValues?: true;
  json?: true;
}

export function inspectCommand(cli: Cli): Command {
  const command = declare('inspect', {
    summary: 'show what is in an archive',
    description: `Shows what is in an archive, and that it is whole: where it comes from, its process tree, memory by kind, open files, sockets, environment. Values of the environment are hidden, because passwords are often among them.`,
    examples: [
      ['drayage inspect web.drayage', ''],
      ['drayage inspect web.drayage --show-values', 'with the values of the environment'],
      ['drayage inspect web.drayage --json | jq .processes', 'for programs'],
    ],
  });
  return withKeyOptions(command.argument('<archive>', 'a file, or - for standard input'))
    .option('--show-values', 'show the values of the environment, too')
    .addOption(jsonOption())
    .action(async (archive: string, flags: Flags) => {
      const key = await keyOf(flags);
      const [{ lookInto, withoutValues }, { renderInside }] = await Promise.all([
        import('../migration/archive/inside.ts'),
        import('./report/inside.ts'),
      ]);
      const input = archive === '-' ? cli.pipes.in : createReadStream(archive, { highWaterMark: 4 << 20 });
      const inside = await lookInto(input as AsyncIterable<Buffer>, key);
      const shown = flags.showValues ? inside : withoutValues(inside);
      if (flags.json) return writeJson(cli.out, shown);
      cli.out.write(renderInside(shown, cli.out.look()));
    });
}
