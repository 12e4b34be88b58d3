import type { Command } from 'commander';
import { declare } from './command.ts';
import type { Cli } from './context.ts';

/** Here for its help, and for a program that runs from its sources: start.ts answers it before anything is loaded. */
export function dialCommand(cli: Cli): Command {
  return declare('dial', {
    summary: "bridge to the agent's socket",
    description:
      "Bridges standard input and output to the agent's socket. This is what one host runs on another over ssh to talk to its agent; there is no need to run it by hand.",
    examples: [['ssh root@hostb drayage dial', '']],
  }).action(async () => {
    const [{ dial, openStdio }, { AGENT_SOCKET }] = await Promise.all([
      import('../agent/dial.ts'),
      import('../fleet/layout.ts'),
    ]);
    cli.exitWith(await dial({ socketPath: AGENT_SOCKET, ...openStdio() }));
  });
}
