/** A container's log as the commands that were typed into its terminal. */
import { DrayageError } from '../../errors.ts';
import { type LogCount, readJsonLog } from '../log/json-log.ts';
import { Screen } from '../screen/screen.ts';
import { CommandFinder } from './find-commands.ts';
import type { TypedCommand } from './typed-command.ts';

export interface ReadOptions {
  /** Where prompts are of another kind than those of common shells. */
  prompt?: RegExp | undefined;
  /** Width of the terminal, where it is known. */
  columns?: number | undefined;
  /** Which lines of output are of use, beside the begin; where it is not told, the first and the last ones are kept. */
  matters?: ((line: string) => boolean) | undefined;
  signal?: AbortSignal | undefined;
}

export interface Session {
  commands: TypedCommand[];
  log: LogCount;
}

/**
 * Reads a json-file log, with its rotated files, in one pass.
 * @throws DrayageError REPLAY_NO_LOG, REPLAY_NOT_A_LOG, REPLAY_EMPTY_LOG, REPLAY_NO_PROMPT
 */
export async function readSession(
  path: string,
  { prompt, columns, matters, signal }: ReadOptions = {},
): Promise<Session> {
  const commands: TypedCommand[] = [];
  const onCommand = (command: TypedCommand): void => {
    if (matters !== undefined) command.output.settle(matters);
    commands.push(command);
  };
  const reader = new CommandFinder({ prompt, onCommand });
  const screen = new Screen({ columns, reader });
  const log: LogCount = { entries: 0, bytes: 0, torn: 0 };
  for await (const entry of readJsonLog(path, log, signal)) await screen.write(entry);
  await screen.end();
  reader.end();
  if (log.entries === 0) throw new DrayageError('REPLAY_EMPTY_LOG', `The log ${path} is empty.`);
  if (reader.prompts === 0) {
    throw new DrayageError('REPLAY_NO_PROMPT', `In the ${log.entries} lines of ${path} there is no prompt of a shell.`);
  }
  return { commands, log };
}
