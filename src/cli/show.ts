import type { Command } from 'commander';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJsonLines } from './context.ts';

export function showCommand(cli: Cli): Command {
  return declare('show', {
    summary: 'tell the whole story of a migration',
    description:
      'Tells the whole story of a migration: its findings, every phase, step and outside program with its time, how it ended and why.',
    examples: [
      ['drayage history', 'to find its ID'],
      ['drayage show 20261121-140309-1f2e', ''],
      ['drayage show 20261121-140309-1f2e --json', 'its events, one a line'],
    ],
  })
    .argument('<id>', 'of the migration')
    .addOption(hostOption())
    .addOption(jsonOption('its events as JSON lines'))
    .action(async (id: string, { host, json }: HostOptions) => {
      await using agent = await cli.connect(host);
      const { events } = await agent.call('migrations.show', { id });
      if (json) return writeJsonLines(cli.out, events);
      const [{ renderStory }, { storyOf }] = await Promise.all([
        import('./report/show.ts'),
        import('./report/story.ts'),
      ]);
      cli.out.write(renderStory(storyOf(id, events), cli.out.look()));
    });
}
