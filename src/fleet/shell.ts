/** A POSIX shell on this host or on another one: the same scripts put drayage on either. */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ProgramError, start } from '../exec/run.ts';

export interface ShellOptions {
  signal?: AbortSignal | undefined;
  /** Becomes the script's standard input. */
  input?: Readable;
}

export interface Shell {
  /**
   * Runs a script with arguments `$1`...; resolves to what it wrote.
   * @throws ProgramError where its exit status is not 0; what the way to another host raises.
   */
  run(script: string, args: readonly string[], options?: ShellOptions): Promise<string>;
}

export const localShell: Shell = {
  run: (script, args, options) => runScript('sh', ['-c', script, 'drayage', ...args], options),
};

/** Runs a program that reads `input` and writes text. */
export async function runScript(program: string, argv: readonly string[], options: ShellOptions = {}): Promise<string> {
  const { signal, input } = options;
  const child = start(program, argv, signal === undefined ? {} : { signal });
  child.stdin.on('error', () => {}); // It may end before it has read everything; its status tells.
  const fed = input === undefined ? child.stdin.end() : pipeline(input, child.stdin).catch(() => {});
  const [stdout, stderr, end] = await Promise.all([text(child.stdout), text(child.stderr), child.exited, fed]);
  signal?.throwIfAborted();
  if (end.code !== 0) {
    const how = end.code === null ? (end.error?.message ?? `was ended by ${end.signal}`) : `exit status ${end.code}`;
    throw new ProgramError(program, `failed (${how})`, end.code, stdout, stderr);
  }
  return stdout;
}

async function text(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
