/** How the commands are declared: the same words for the same options everywhere. */
import { Command, Option } from 'commander';

export interface Declaration {
  summary: string;
  description: string;
  /** Command lines, each with what it does. */
  examples: readonly (readonly [line: string, what: string])[];
}

export function declare(name: string, { summary, description, examples }: Declaration): Command {
  const columns = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  ${line.padEnd(columns)}  ${what}`.trimEnd());
  return new Command(name)
    .summary(summary)
    .description(description)
    .addHelpText('after', `\nExamples:\n${lines.join('\n')}\n`);
}

export function hostOption(): Option {
  return new Option('--host <host>', 'ask the agent of this host instead of the local one, over ssh');
}

export function jsonOption(what = 'as JSON'): Option {
  return new Option('--json', what);
}

export interface HostOptions {
  host?: string;
  json?: true;
}
