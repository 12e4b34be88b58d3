/** All commands, as one tree. */
import { Command, CommanderError } from 'commander';
import { DrayageError } from '../errors.ts';
import { agentCommand } from './agent.ts';
import { attachCommand } from './attach.ts';
import { benchCommand } from './bench.ts';
import { checkCommand } from './check.ts';
import { completionCommand } from './completion.ts';
import type { Cli } from './context.ts';
import { dialCommand } from './dial.ts';
import { exportCommand, snapshotCommand } from './export.ts';
import { forwardsCommand } from './forwards.ts';
import { historyCommand } from './history.ts';
import { hostCommand } from './host.ts';
import { importCommand } from './import.ts';
import { inspectCommand } from './inspect.ts';
import { migrateCommand } from './migrate.ts';
import { probeCommand } from './probe.ts';
import { psCommand } from './ps.ts';
import { replayCommand } from './replay.ts';
import { resolveCommand } from './resolve.ts';
import { setupCommand } from './setup.ts';
import { showCommand } from './show.ts';
import { watchCommand } from './watch.ts';

/** @param lab the command `lab`, which is only loaded where it is needed */
export function programOf(cli: Cli, lab: Command): Command {
  const program = new Command('drayage')
    .description('Moves running containers between Linux hosts: memory, files, configuration and all.')
    .version(cli.version, '-V, --version')
    .helpCommand(false)
    .enablePositionalOptions()
    .addHelpText('after', OVERVIEW);
  const groups: [string, Command[]][] = [
    ['Move:', [psCommand(cli), checkCommand(cli), migrateCommand(cli), attachCommand(cli), replayCommand(cli)]],
    ['Without a network:', [exportCommand(cli), snapshotCommand(cli), importCommand(cli), inspectCommand(cli)]],
    [
      'Look back:',
      [historyCommand(cli), showCommand(cli), watchCommand(cli), resolveCommand(cli), forwardsCommand(cli)],
    ],
    ['Measure:', [benchCommand(cli), probeCommand(cli)]],
    ['Hosts:', [setupCommand(cli), hostCommand(cli), agentCommand(cli), dialCommand(cli), lab]],
    ['Other:', [completionCommand()]],
  ];
  for (const [group, commands] of groups) {
    for (const command of commands) program.addCommand(command.helpGroup(group));
  }
  settle(program, cli, []);
  return program;
}

/** Runs one command line. @throws DrayageError, USAGE for a command line that is not understood */
export async function runProgram(program: Command, cli: Cli, words: readonly string[]): Promise<void> {
  if (words.length === 0) {
    cli.out.write(program.helpInformation());
    return cli.exitWith(2);
  }
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return cli.exitWith(error.exitCode === 0 ? 0 : 2);
    throw error;
  }
}

/** Settings that commander does not hand down to commands made elsewhere. */
function settle(command: Command, cli: Cli, path: readonly string[]): void {
  const name = [...path, command.name()];
  command.showSuggestionAfterError(true).configureOutput({
    writeOut: (text) => cli.out.write(text),
    writeErr: (text) => cli.err.write(text),
    outputError: () => {}, // main.ts writes errors, all in one way.
  });
  command.exitOverride((error) => {
    if (error.exitCode === 0 || error.code === 'commander.help') throw error;
    const remedy = `See ${name.join(' ')} --help.`;
    throw new DrayageError('USAGE', error.message.replace(/^error: /, ''), { remedy });
  });
  for (const child of command.commands) settle(child, cli, name);
}

const OVERVIEW = `
Examples:
  drayage host add root@hostb                    make a host ready
  drayage ps                                     what can move
  drayage migrate docker:web --to root@hostb     move it
  drayage lab up                                 hosts to try it on, on this machine
`;
