/** Puts together what the commands are given, and runs one command line. */
import { createWriteStream, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { DrayageError } from '../errors.ts';
import { complete } from './completion.ts';
import type { Cli, Output } from './context.ts';
import { controlDirectory } from './control-directory.ts';
import { programOf, runProgram } from './program.ts';
import { renderError } from './report/finding.ts';
import { confirm, keyboard, output } from './terminal.ts';

export interface RunOptions {
  /** The command line after the program's name. */
  words: readonly string[];
  version: string;
  /** The file that runs: main.mjs, or src/main.ts. */
  script: string;
  env: Readonly<Record<string, string | undefined>>;
}

/** Resolves to the exit status. @throws DrayageError */
export async function run(options: RunOptions): Promise<number> {
  const { words } = options;
  let status = 0;
  const cli = cliOf(options, (next) => {
    status = next;
  });
  const completes = words[0] === 'complete' && words[1] === '--';
  const needsLab = words[completes ? 2 : 0] === 'lab';
  const program = programOf(cli, needsLab ? await lab(cli, options) : labStub());
  if (completes) await complete(cli, program, words.slice(2));
  else await runProgram(program, cli, words);
  return status;
}

/** On the terminal, or, where JSON was asked for, as the last line of the output. */
export function writeError(error: DrayageError, { words, env }: Pick<RunOptions, 'words' | 'env'>): void {
  const { out, err } = outputs(env);
  const options = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  if (options.includes('--json')) out.write(`${JSON.stringify({ type: 'error', ...error.toJSON() })}\n`);
  else err.write(renderError(error.toJSON(), err.look()));
}

function cliOf({ version, script, env }: RunOptions, exitWith: (status: number) => void): Cli {
  const controlDir = controlDirectory(process.getuid?.(), env.XDG_RUNTIME_DIR);
  return {
    version,
    script,
    controlDir,
    ...outputs(env),
    exitWith,
    ownFiles: () => ({ directory: directoryOf(script), node: process.execPath, version }),
    confirm: (question) => confirm(process.stdin, process.stderr, question),
    keyboard: () => keyboard(process.stdin, process.stdout),
    async connect(host) {
      const { connect } = await import('./connect.ts');
      return connect({ host, version, controlDir });
    },
    async stream(agent, purpose, token) {
      const { openChannel } = await import('../agent/channels.ts');
      return openChannel(agent, purpose, { token });
    },
    // Not process.stdout: there a reader that has gone away is no error.
    pipes: { in: process.stdin, out: () => createWriteStream('', { fd: 1, autoClose: false }) },
    onInterrupt(listener) {
      process.on('SIGINT', listener);
      return { [Symbol.dispose]: () => void process.off('SIGINT', listener) };
    },
    untilTold() {
      const controller = new AbortController();
      for (const name of ['SIGINT', 'SIGTERM'] as const) {
        process.once(name, () => controller.abort(new DrayageError('CANCELLED', `Told to end by ${name}.`)));
      }
      return controller.signal;
    },
  };
}

function outputs(env: RunOptions['env']): { out: Output; err: Output } {
  const options = { noColor: env.NO_COLOR, term: env.TERM };
  return { out: output(process.stdout, options), err: output(process.stderr, options) };
}

function directoryOf(script: string): string {
  const here = dirname(script);
  if (script.endsWith('.mjs')) return here;
  const built = join(dirname(here), 'dist');
  if (existsSync(join(built, 'main.mjs'))) return built;
  throw new DrayageError('SETUP_NO_PROGRAM', `There is no program in ${built}.`);
}

async function lab(cli: Cli, { env }: RunOptions): Promise<Command> {
  const { labCommand } = await import('./lab.ts');
  return labCommand({
    print: (line) => cli.out.write(`${line}\n`),
    progress: (line) => cli.err.write(`${line}\n`),
    programDir: cli.ownFiles().directory,
    mirror: env.DRAYAGE_DEBIAN_MIRROR,
    terminal: cli.out.isTty && process.stdin.isTTY ? env.TERM : undefined,
    exitWith: cli.exitWith,
  });
}

/** For the overview of commands only; loading the lab takes time. */
function labStub(): Command {
  return new Command('lab').summary('hosts on this machine, to try drayage on');
}
