import { createReadStream } from 'node:fs';
import type { Command } from 'commander';
import { declare } from './command.ts';
import type { Cli } from './context.ts';

export function agentCommand(cli: Cli): Command {
  return declare('agent', {
    summary: 'run the agent in the foreground',
    description:
      'Runs the agent of this host: what drives migrations from it and takes in those to it. drayage setup has it started by itself; there is no need to run it by hand.',
    examples: [
      ['drayage agent', 'until it is told to end; migrations that can be undone are undone first'],
      ['journalctl -u drayage-agent', 'what it said, where systemd keeps it'],
    ],
  }).action(() => agent(cli));
}

async function agent(cli: Cli): Promise<void> {
  const [{ runAgent }, process_, { sha256Of }, layout, { DrayageError }] = await Promise.all([
    import('../agent/agent.ts'),
    import('../fleet/agent-process.ts'),
    import('../fleet/program.ts'),
    import('../fleet/layout.ts'),
    import('../errors.ts'),
  ]);
  const running = await process_.runningAgent();
  if (running !== null) throw new DrayageError('AGENT_RUNNING', `Process ${running.pid} is the agent of this host.`);
  await process_.recordAgent({ version: cli.version, build: await sha256Of(createReadStream(cli.script)) });
  try {
    await runAgent({
      version: cli.version,
      stateDir: layout.STATE_DIRECTORY,
      runDir: layout.RUN_DIRECTORY,
      log: (line) => cli.err.write(`${new Date().toISOString()} ${line}\n`),
      signal: cli.untilTold(),
    });
  } finally {
    await process_.forgetAgent();
  }
}
