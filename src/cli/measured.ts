/** What `drayage probe` and `drayage bench` have in common: what is measured and how, and what is written in the end. */
import { dirname } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DrayageError } from '../errors.ts';
import type { Measurement, MeasureOptions } from '../measure/measure.ts';
import type { Summary } from '../measure/summarise.ts';
import type { Cli } from './context.ts';
import { formatMs } from './report/units.ts';

export interface MeasureFlags {
  url?: string;
  tcp?: string;
  rate: number;
  connections: number;
  timeout: number;
  output?: string;
  json?: true;
}

const FRAME_MS = 250;
const CLEAR_LINE = '\r\x1b[2K';

export function withMeasureOptions(command: Command): Command {
  return command
    .option('--url <url>', 'new requests go there, each on a connection of its own')
    .option('--tcp <host:port>', 'long-lived connections go there, where every line must be answered by itself')
    .option('--rate <number>', 'new requests a second', numberOf(0, 10_000), 200)
    .option(
      '--connections <number>',
      'long-lived connections; without --tcp, kept-alive ones to --url',
      count(10_000),
      50,
    )
    .addOption(timeOption('--timeout <time>', 'after which a request or message has failed', '10s'))
    .option('-o, --output <file>', 'write a report, as one HTML file');
}

/**
 * Asks once, so that nothing begins where there is nothing to measure.
 * @throws DrayageError USAGE, MEASURE_NO_ANSWER, MEASURE_NO_ECHO
 */
export async function reach(flags: MeasureFlags): Promise<MeasureOptions> {
  const { url, tcp, rate, connections, timeout: deadlineMs, output } = flags;
  if (url === undefined && tcp === undefined) {
    throw new DrayageError('USAGE', 'There is nothing to measure.', { remedy: 'Name it by --url, --tcp or both.' });
  }
  const { parseUrl, reachHttp, reachTcp, REACH_MS } = await import('../measure/target.ts');
  const http = url === undefined ? undefined : parseUrl(url);
  if (output !== undefined) await checkWritable(output);
  const reaching = { deadlineMs: Math.min(deadlineMs, REACH_MS) };
  return {
    ...(http && { http: await reachHttp(http, reaching) }),
    ...(tcp !== undefined && { tcp: await reachTcp(tcp, reaching) }),
    ...{ rate, connections, deadlineMs },
  };
}

/** What the user may have taken for granted and is not so. */
export function caveats({ http, tcp, connections }: MeasureOptions): string[] {
  if (tcp !== undefined || http === undefined || http.keepsAlive || connections === 0) return [];
  return [`${http.url.host} closes every connection after its answer: there are no long-lived ones without --tcp`];
}

/** Keeps the last line of the terminal up to date until disposed; does nothing where there is no terminal. */
export function liveLine(cli: Cli, text: () => string): Disposable & { say(line: string): void } {
  const { err } = cli;
  const draw = () => err.write(`${CLEAR_LINE}${text().slice(0, err.look().width - 1)}`);
  const timer = err.isTty ? setInterval(draw, FRAME_MS) : undefined;
  const clear = () => {
    if (err.isTty) err.write(CLEAR_LINE);
  };
  return {
    say(line) {
      clear();
      err.write(`${line}\n`);
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      clear();
    },
  };
}

/** One line about a measurement that goes on. */
export function liveText({ recording, open }: Measurement): string {
  const { samples, connections, endMs } = recording;
  const failed = samples.added - samples.counts.ok;
  const parts = [formatMs(endMs), `${samples.added} requests, ${failed} failed`];
  if (connections !== null) {
    const { reset, closed, timeout, lost, repeated } = connections.log.counts;
    parts.push(
      `${connections.log.answered} messages, ${lost} lost, ${repeated} twice, ${reset + closed + timeout} breaks`,
    );
  }
  return [...parts, `${open} waiting`].join(' · ');
}

/** @throws DrayageError MEASURE_REPORT */
export async function writeReport(
  path: string,
  title: string,
  summary: Summary,
  samples: Measurement['recording']['samples'],
) {
  const [{ htmlReport }, { writeFile }] = await Promise.all([
    import('./report/html/html.ts'),
    import('node:fs/promises'),
  ]);
  await writeFile(path, htmlReport({ title, summary, samples })).catch(unwritable(path));
}

/** `500ms`, `30s`, `2m`, `1h`; a bare number is seconds. In milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match?.[2] ?? 's'] ?? Number.NaN;
  const ms = Number(match?.[1]) * unit;
  if (ms > 0 && ms <= 24 * 3_600_000) return ms;
  throw new InvalidArgumentError('It should read like 500ms, 30s, 2m or 1h.');
}

/** An option for a time, with its default as it would be written. */
export function timeOption(flags: string, description: string, usual: string): Option {
  return new Option(flags, description).argParser(duration).default(duration(usual), usual);
}

/** A whole number up to `most`. */
export function count(most: number, least = 0): (text: string) => number {
  return (text) => {
    if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It should be a whole number.');
    return numberOf(least, most)(text);
  };
}

function numberOf(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It should be a number from ${least} to ${most}.`);
  };
}

/** Before anything is measured: nobody likes to lose ten rounds to a mistyped directory. */
async function checkWritable(path: string): Promise<void> {
  const { access, constants, stat } = await import('node:fs/promises');
  const there = await stat(path).catch(() => null);
  const isFolder = there?.isDirectory() ? Promise.reject(new Error('it is a directory')) : Promise.resolve();
  const writable = access(there === null ? dirname(path) : path, constants.W_OK);
  await Promise.all([isFolder, writable]).catch(unwritable(path, { meaning: 'Nothing was begun.' }));
}

function unwritable(path: string, detail: { meaning?: string } = {}): (cause: Error) => never {
  return (cause) => {
    throw new DrayageError('MEASURE_REPORT', `${path} cannot be written: ${cause.message}.`, { ...detail, cause });
  };
}
