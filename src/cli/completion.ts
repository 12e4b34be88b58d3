import { Argument, type Command } from 'commander';
import { declare } from './command.ts';
import type { Cli } from './context.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
/** How long Tab may take to look for names. */
const LOOK_MS = 1000;

export function completionCommand(): Command {
  return declare('completion', {
    summary: 'print the completion script of a shell',
    description: 'Prints a script that makes Tab complete commands, options, workloads and hosts.',
    examples: [
      ['drayage completion bash >/etc/bash_completion.d/drayage', ''],
      ['source <(drayage completion zsh)', 'in ~/.zshrc'],
      ['drayage completion fish >~/.config/fish/completions/drayage.fish', ''],
    ],
  })
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action(async (shell: string) => {
      const { script } = await import('@bomb.sh/tab');
      script(shell, 'drayage', 'drayage');
    });
}

/** Answers what the shell asks on Tab: `complete -- WORDS...`. */
export async function complete(cli: Cli, program: Command, words: readonly string[]): Promise<void> {
  const [{ default: tab }, names] = await Promise.all([import('@bomb.sh/tab/commander'), namesHere(cli)]);
  useSummaries(program);
  const root = tab(program);
  const offer = (values: readonly string[]) => (suggest: (value: string, description: string) => void) => {
    for (const value of values) suggest(value, '');
  };
  for (const { options, arguments: args } of root.commands.values()) {
    for (const name of ['to', 'host', 'back']) {
      const option = options.get(name);
      if (option !== undefined) option.handler = offer(names.hosts);
    }
    for (const [name, values] of Object.entries({ workload: names.workloads, host: names.hosts })) {
      const argument = args.get(name);
      if (argument !== undefined) argument.handler = offer(values);
    }
  }
  root.parse([...words]);
}

/** A description may have several lines, of which the shell would make suggestions. */
function useSummaries(command: Command): void {
  if (command.summary() !== '') command.description(command.summary());
  for (const child of command.commands) useSummaries(child);
}

/** Nothing to offer is no failure: Tab must never print an error. */
async function namesHere(cli: Cli): Promise<{ workloads: string[]; hosts: string[] }> {
  const { addedHosts } = await import('../fleet/hosts.ts');
  const hosts = addedHosts().then((list) => list.map(({ name }) => name));
  const workloads = (async () => {
    await using agent = await cli.connect();
    const answer = await agent.call('workloads.list', {}, { timeoutMs: LOOK_MS });
    return answer.workloads.map(({ ref }) => `${ref.engine}:${ref.name}`);
  })();
  const [w, h] = await Promise.all([workloads.catch(() => []), hosts.catch(() => [])]);
  return { workloads: w, hosts: h };
}
