/** The real terminal behind a command's outputs and questions. */
import type { ReadStream, WriteStream } from 'node:tty';
import { runner } from '../exec/run.ts';
import type { Keyboard, Output } from './context.ts';
import { look } from './report/style.ts';

export interface TerminalOptions {
  /** NO_COLOR, where set: not empty means no colours (no-color.org). */
  noColor: string | undefined;
  /** TERM, where set. */
  term: string | undefined;
}

/** Where the output is no terminal, lines are as wide as this. */
const PAGE_COLUMNS = 100;

export function output(stream: WriteStream, { noColor, term }: TerminalOptions): Output {
  const isTty = stream.isTTY === true;
  const colour = isTty && (noColor ?? '') === '' && term !== 'dumb';
  return {
    isTty,
    look: () => look({ colour, width: isTty ? stream.columns || 80 : PAGE_COLUMNS }),
    write: (text) => void stream.write(text),
  };
}

/** Asks on the terminal; null where there is none. */
export async function confirm(input: ReadStream, stream: WriteStream, question: string): Promise<boolean | null> {
  if (input.isTTY !== true || stream.isTTY !== true) return null;
  const { createInterface } = await import('node:readline/promises');
  const lines = createInterface({ input, output: stream });
  try {
    const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
    const answer = await Promise.race([lines.question(`${question} [y/N] `), ended]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}

/**
 * The terminal's keys, raw, until disposed; null where input or output is no terminal. Node's own raw mode leaves the
 * output cooked (libuv, UV_TTY_MODE_RAW keeps ONLCR), which breaks programs that draw.
 */
export async function keyboard(input: ReadStream, stream: WriteStream): Promise<Keyboard | null> {
  if (input.isTTY !== true || stream.isTTY !== true) return null;
  const run = runner();
  const stty = async (...args: string[]) => (await run('stty', ['-F', '/dev/tty', ...args])).stdout.trim();
  const before = await stty('-g');
  await stty('raw', '-echo');
  const size = () => ({ columns: stream.columns, rows: stream.rows });
  const ends: (() => void)[] = [];
  return {
    size,
    onKeys(listener) {
      input.on('data', listener).resume();
      ends.push(() => input.off('data', listener));
    },
    onResize(listener) {
      const resized = (): void => listener(size());
      stream.on('resize', resized);
      ends.push(() => stream.off('resize', resized));
    },
    async [Symbol.asyncDispose]() {
      for (const end of ends) end();
      input.pause();
      await stty(before);
    },
  };
}
