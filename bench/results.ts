/** bench/results.json, and what is printed of it. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { ms } from './moves.ts';
import type { Summary } from './statistics.ts';
import type { WebFigures } from './web-figures.ts';

/** Milliseconds and bytes are medians where they are not spread out. */
export interface Entry {
  scenario: string;
  runs: number;
  outageMs: Summary;
  floorMs: number;
  baselineMs: number;
  totalMs: number;
  bytes: number;
  agentPeakRssMb: number;
  ofFloor: number;
  ofBaseline: number;
  spread: { floor: Summary; baseline: Summary };
}

/** What clients saw: of all moves by drayage, of those with each Docker, and of the baseline's. */
export interface WebEntry extends Entry, WebFigures {
  docker26: WebFigures;
  docker28: WebFigures;
  baseline: WebFigures;
}

/** Milliseconds of whole commands; zstd's are of all that the archive holds, read from memory. */
export interface ArchiveEntry {
  scenario: string;
  runs: number;
  exportMs: Summary;
  importMs: Summary;
  zstdMs: Summary;
  /** Not compressed. */
  contentBytes: number;
  archiveBytes: number;
  /** How fast, of what zstd does. */
  exportVsZstd: number;
  importVsZstd: number;
  agentPeakRssMb: number;
}

const PATH = 'bench/results.json';

/** Entries of scenarios that were not run this time stay. */
export async function save(entries: readonly (Entry | ArchiveEntry)[]): Promise<void> {
  const before = existsSync(PATH) ? (JSON.parse(await readFile(PATH, 'utf8')) as typeof entries) : [];
  const kept = before.filter((old) => !entries.some((entry) => entry.scenario === old.scenario));
  const text = JSON.stringify([...kept, ...entries], null, 2);
  // Lists of figures are a line each.
  await writeFile(PATH, `${text.replace(/\[[\d.,\s]+\]/g, (list) => list.replace(/\s+/g, ' '))}\n`);
}

export function movesTable(entries: readonly Entry[]): string {
  const head = [
    'scenario',
    'outage',
    'p90',
    'floor',
    'baseline',
    'of floor',
    'of baseline',
    'total',
    'MB sent',
    'agent MB',
  ];
  const rows = entries.map((entry) => [
    entry.scenario,
    ...[entry.outageMs.median, entry.outageMs.p90, entry.floorMs, entry.baselineMs].map(ms),
    ...[entry.ofFloor, entry.ofBaseline].map(String),
    ms(entry.totalMs),
    ...[Math.round(entry.bytes / 1e6), entry.agentPeakRssMb].map(String),
  ]);
  return table([head, ...rows]);
}

export function archiveTable(entry: ArchiveEntry): string {
  const { exportMs, importMs, zstdMs, contentBytes } = entry;
  const row = (title: string, { median, p90 }: Summary, of: string) => {
    const rate = `${Math.round(contentBytes / median / 1000)} MB/s`;
    return [title, ms(median), ms(p90), rate, of];
  };
  return table([
    [entry.scenario, 'median', 'p90', 'rate', 'of zstd'],
    row('export', exportMs, String(entry.exportVsZstd)),
    row('import', importMs, String(entry.importVsZstd)),
    row('zstd -1 | cat', zstdMs, '1'),
  ]);
}

/** What clients saw, a column for each way to move it. */
export function webTable({ docker26, docker28, baseline }: WebEntry): string {
  const columns = [docker26, docker28, baseline];
  const row = (title: string, cell: (figures: WebFigures) => string) => [title, ...columns.map(cell)];
  const spread = (pick: (figures: WebFigures) => Summary) => (figures: WebFigures) => {
    const { median, p90, max } = pick(figures);
    return `${Math.round(median)} / ${Math.round(p90)} / ${Math.round(max)} ms`;
  };
  return table([
    ['web: median / p90 / worst', 'drayage, Docker 26', 'drayage, Docker 28', 'baseline, Docker 26'],
    row('failed of all requests', ({ failedRequests, requests }) => `${failedRequests} of ${requests}`),
    row('breaks of connections', ({ resets, connections }) => `${resets} of ${connections}`),
    row(
      'messages lost, repeated',
      (figures) => `${figures.lostMessages}, ${figures.repeatedMessages} of ${figures.messages}`,
    ),
    row(
      'outage',
      spread(({ outageMs }) => outageMs),
    ),
    row(
      'longest gap of a client',
      spread(({ longestGapMs }) => longestGapMs),
    ),
    row(
      'the same beyond the outage',
      spread(({ gapBeyondOutageMs }) => gapBeyondOutageMs),
    ),
    row(
      'the load itself was late by',
      spread(({ ownLagMs }) => ownLagMs),
    ),
    row('success in the worst round of 100', ({ rounds }) => `${Math.round(rounds.worst.min * 100)} %`),
    row('rounds with failures', ({ rounds }) => String(rounds.broken)),
    row('longest round, usual one', ({ rounds }) => `${ms(rounds.longestMs.max)}, ${ms(rounds.usualMs)}`),
    row('forwarded / direct throughput', ({ forwardedVsDirect, forwardedMBps, directMBps }) => {
      return `${forwardedVsDirect.median} (${forwardedMBps} / ${directMBps} MB/s)`;
    }),
  ]);
}

/** The first column to the left, all others to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  return `${rows.map(line).join('\n')}\n`;
}
