/**
 * Docker's json-file log: one object a line, `{"log":"…\n","stream":"stdout","time":"…"}` (moby,
 * daemon/logger/jsonfilelog). A line of the terminal over 16 KiB comes in several objects, of which only the last has
 * the newline; bytes that are no UTF-8 were replaced by the engine.
 */
import { DrayageError } from '../../errors.ts';
import { logFiles, readLogFile } from './log-files.ts';

export interface LogEntry {
  text: string;
  /** Unix time in milliseconds at which the engine got it; NaN where it is not told. */
  timeMs: number;
}

export interface LogCount {
  entries: number;
  bytes: number;
  /** Lines that were torn by a crash or are not the engine's, of which nothing could be used. */
  torn: number;
}

/** Longer than any line the engine writes: 16 KiB, each byte escaped as six, and what stands around it. */
const MAX_LINE = 1 << 20;
const NEWLINE = 0x0a;
/** So many lines without one entry are no log. */
const PATIENCE = 50;

/**
 * All entries of a log, rotated files included, in order; holds one line at a time.
 * @param count is kept up to date
 * @throws DrayageError REPLAY_NO_LOG, REPLAY_NOT_A_LOG
 */
export async function* readJsonLog(
  path: string,
  count: LogCount = { entries: 0, bytes: 0, torn: 0 },
  signal?: AbortSignal,
): AsyncGenerator<LogEntry> {
  for (const file of await logFiles(path)) {
    for await (const line of lines(readLogFile(file, signal), count)) {
      const entry = line === undefined ? undefined : parseEntry(line);
      if (entry === undefined) {
        count.torn += 1;
        if (count.entries === 0 && count.torn >= PATIENCE) throw notALog(path);
        continue;
      }
      count.entries += 1;
      yield entry;
    }
  }
  if (count.entries === 0 && count.torn > 0) throw notALog(path);
}

/**
 * One line; undefined where it is no entry. A crash leaves half an object, to which the next one is appended: that one
 * is whole.
 */
export function parseEntry(line: string): LogEntry | undefined {
  for (let at = 0; at >= 0; at = line.indexOf('{"log":', at + 1)) {
    const entry = asEntry(line.slice(at));
    if (entry !== undefined) return entry;
  }
  return undefined;
}

function asEntry(json: string): LogEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('log' in value) || typeof value.log !== 'string')
    return undefined;
  const time = 'time' in value && typeof value.time === 'string' ? Date.parse(value.time) : Number.NaN;
  return { text: value.log, timeMs: time };
}

/** Undefined stands for a line that is too long to be one. */
async function* lines(chunks: AsyncIterable<Buffer>, count: LogCount): AsyncGenerator<string | undefined> {
  let parts: Buffer[] = [];
  let length = 0;
  const take = (): string | undefined => {
    const line = length > MAX_LINE ? undefined : Buffer.concat(parts).toString('utf8');
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    count.bytes += chunk.length;
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end));
      length += end - start;
      start = end + 1;
      const line = take();
      if (line !== '') yield line;
    }
    length += chunk.length - start;
    if (length <= MAX_LINE) parts.push(chunk.subarray(start));
    else parts = [];
  }
  if (length > 0) yield take();
}

function notALog(path: string): DrayageError {
  return new DrayageError('REPLAY_NOT_A_LOG', `${path} is not a log of Docker's json-file driver.`);
}
