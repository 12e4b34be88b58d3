/** What was measured, as people read it: tables and plots of `drayage probe` and `drayage bench`. */
import { FAILURE_MEANINGS, type Failure } from '../../measure/failure.ts';
import type { Percentiles } from '../../measure/percentiles.ts';
import type { Figures, Round, Summary } from '../../measure/summarise.ts';
import { renderPlot } from './plot.ts';
import { type Look, pad, printable } from './style.ts';
import { renderTable } from './table.ts';
import { formatMs } from './units.ts';

/** So much of the time before and after a move is drawn. */
const AROUND_MS = 1500;
/** From here on, the measuring host itself may be what was late. */
const SLOW_LAG_MS = 20;

export function renderProbe(summary: Summary, look: Look): string {
  const { throughput, durationMs } = summary;
  const plot = renderPlot(
    {
      title: 'requests answered in each 100 ms',
      values: throughput.answered.slice(0, -1),
      keep: 'least',
      // A shorter one is in no column.
      marked:
        (summary.longestGap?.ms ?? 0) < throughput.bucketMs
          ? null
          : buckets(summary.longestGap, throughput.fromMs, throughput.bucketMs),
      ends: ['0 s', formatMs(durationMs)],
    },
    look,
  );
  return `${renderFigures(summary, look)}${summary.requests.sent > 0 ? `\n${plot}` : ''}`;
}

export function renderBench(summary: Summary, look: Look): string {
  const [first] = summary.rounds;
  if (first === undefined) return renderFigures(summary, look);
  const shown = typical(summary) ?? first;
  return [
    renderRounds(summary, look),
    renderFigures(summary, look),
    renderRoundPlot(shown, summary.rounds.length, look),
  ].join('\n');
}

/** One line a round, and the medians of those that differ. */
function renderRounds({ rounds, outageMs, longestGapMs }: Summary, look: Look): string {
  const rows = rounds.map((round) => {
    const { move, requests, connections, longestGap, latencyBy } = round;
    const { lost = 0, repeated = 0 } = connections?.incidents ?? {};
    return [
      String(round.round),
      printable(move.target),
      move.outcome === 'committed' ? ms(move.outageMs) : move.outcome,
      ms(longestGap?.ms ?? null),
      bad(requests.failed, look),
      connections === null ? '–' : bad(connections.broken, look),
      connections === null ? '–' : bad(lost, look),
      connections === null ? '–' : bad(repeated, look),
      ms(latencyBy.before.p99),
      ms(latencyBy.during.p99),
      ms(latencyBy.after.p99),
    ];
  });
  if (rounds.length > 1) {
    rows.push(['', 'median', ms(outageMs?.median ?? null), ms(longestGapMs?.median ?? null)]);
    rows.push(['', 'worst', ms(outageMs?.max ?? null), ms(longestGapMs?.max ?? null)]);
  }
  const header = ['#', 'to', 'outage', 'gap', 'failed', 'broken', 'lost', 'repeated', 'p99 before', 'during', 'after'];
  return renderTable(header, rows, look);
}

/** All together. */
function renderFigures(summary: Summary, look: Look): string {
  const { requests, connections, latency, longestGap, lag, durationMs } = summary;
  const lines: [string, string][] = [];
  if (requests.sent > 0) {
    const rate = Math.round((requests.sent / durationMs) * 1000);
    lines.push([
      'requests',
      `${requests.sent} at ${rate}/s, ${bad(requests.failed, look)} failed${failuresOf(requests)}`,
    ]);
    lines.push(['latency', latencyLine(latency)]);
  }
  if (connections !== null) {
    const { count, speak, answered, broken, incidents } = connections;
    const of = speak === 'tcp' ? 'TCP connections' : 'kept-alive HTTP connections';
    lines.push(['connections', `${count} ${of}, ${answered} messages answered`]);
    const kinds = ['lost', 'repeated', 'reordered', 'garbled'] as const;
    const counted = kinds.map((kind) => `${bad(incidents[kind] ?? 0, look)} ${kind}`);
    const { reset = 0, closed = 0, timeout = 0 } = incidents;
    const how = broken === 0 ? '' : ` (${reset} reset, ${closed} closed, ${timeout} silent)`;
    lines.push(['', `${bad(broken, look)} broken${how} · ${counted.join(' · ')}`]);
  }
  if (longestGap !== null) {
    lines.push([
      'longest gap',
      `${ms(longestGap.ms)} at ${formatMs(longestGap.fromMs)}, ${SEEN_BY[longestGap.seenBy]}`,
    ]);
  }
  if (lag.max !== null) {
    const doubt =
      lag.max >= SLOW_LAG_MS ? look.style.yellow(' (this host was late itself: see what else it does)') : '';
    lines.push(['own lag', `p99 ${ms(lag.p99)}, at most ${ms(lag.max)}${doubt}`]);
  }
  return lines.map(([label, text]) => `${look.style.bold(pad(label, 12))} ${text}\n`).join('');
}

const SEEN_BY = {
  requests: 'in which no new request was answered',
  request: 'for which one request waited',
  connection: 'for which one connection waited',
} as const;

function renderRoundPlot(round: Round, rounds: number, look: Look): string {
  const { move, throughput } = round;
  const from = Math.max(0, Math.floor((move.fromMs - AROUND_MS - throughput.fromMs) / throughput.bucketMs));
  const to = Math.ceil((move.toMs + AROUND_MS - throughput.fromMs) / throughput.bucketMs);
  const startMs = throughput.fromMs + from * throughput.bucketMs;
  const values = throughput.answered.slice(from, to);
  return renderPlot(
    {
      title: `requests answered in each 100 ms of round ${round.round}${rounds > 1 ? ', the median one' : ''}; the outage is red`,
      values,
      keep: 'least',
      marked: buckets(move.frozen, startMs, throughput.bucketMs),
      ends: [formatMs(startMs), formatMs(startMs + values.length * throughput.bucketMs)],
    },
    look,
  );
}

/** The round whose outage is the median. */
export function typical({ rounds }: Pick<Summary, 'rounds'>): Round | undefined {
  const sorted = rounds
    .filter(({ move }) => move.outageMs !== null)
    .sort((a, b) => (a.move.outageMs ?? 0) - (b.move.outageMs ?? 0));
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

function buckets(stretch: { fromMs: number; toMs: number } | null, startMs: number, bucketMs: number) {
  if (stretch === null) return null;
  return [(stretch.fromMs - startMs) / bucketMs, (stretch.toMs - startMs) / bucketMs] as const;
}

function latencyLine({ p50, p90, p99, p999, max }: Percentiles): string {
  return `p50 ${ms(p50)} · p90 ${ms(p90)} · p99 ${ms(p99)} · p99.9 ${ms(p999)} · max ${ms(max)}`;
}

function failuresOf({ failures }: Figures['requests']): string {
  const kinds = Object.entries(failures) as [Failure, number][];
  if (kinds.length === 0) return '';
  return ` (${kinds.map(([kind, count]) => `${count} ${kind}: ${FAILURE_MEANINGS[kind]}`).join('; ')})`;
}

function bad(count: number, { style }: Look): string {
  return count === 0 ? style.green('0') : style.red(String(count));
}

function ms(value: number | null): string {
  return value === null ? '–' : formatMs(value);
}
