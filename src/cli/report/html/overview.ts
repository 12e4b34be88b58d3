/** The whole measurement at a glance: latency and throughput over all of its time, the moves shaded. */
import { percentiles } from '../../../measure/percentiles.ts';
import type { RequestSample } from '../../../measure/samples.ts';
import type { Summary } from '../../../measure/summarise.ts';
import { formatMs } from '../units.ts';
import { at } from './markup.ts';
import { capOf, power, svg } from './moment.ts';
import { type Box, bars, dimension, drops, grid, timeAxis } from './panel.ts';
import { decades, linear, logarithmic, powersIn, type Scale, ticks } from './scale.ts';

const WIDTH = 1080;
const [LEFT, RIGHT] = [64, WIDTH - 16];
const LATENCY: Box = { left: LEFT, right: RIGHT, top: 44, bottom: 204 };
const ANSWERS: Box = { left: LEFT, right: RIGHT, top: 236, bottom: 306 };
const MESSAGES: Box = { left: LEFT, right: RIGHT, top: 338, bottom: 388 };
/** So many points in a line, at most. */
const COLUMNS = 600;

export function overviewChart(summary: Summary, samples: readonly RequestSample[]): string {
  const { durationMs, rounds, longestGap } = summary;
  const x = linear([0, durationMs], [LEFT, RIGHT]);
  const last = summary.connections === null ? ANSWERS : MESSAGES;
  const parts = rounds.map(({ move, round }) => {
    const wide = x(move.toMs) - x(move.fromMs);
    const band = `<rect class="phase running" x="${at(x(move.fromMs))}" y="${LATENCY.top}" width="${at(wide)}" height="${last.bottom - LATENCY.top}"/>`;
    const frozen =
      move.frozen &&
      `<rect class="phase frozen strong" x="${at(x(move.frozen.fromMs))}" y="${LATENCY.top}" width="${at(Math.max(1.5, x(move.frozen.toMs) - x(move.frozen.fromMs)))}" height="${last.bottom - LATENCY.top}"/>`;
    const name = `<text class="phase-name" x="${at(x((move.fromMs + move.toMs) / 2))}" y="${LATENCY.top + 13}" text-anchor="middle">${round}</text>`;
    return `${band}${frozen ?? ''}${name}`;
  });
  if (samples.length > 0) parts.push(latency(samples, x, durationMs), answers(summary, x));
  if (last === MESSAGES) {
    parts.push(count('answered messages of long-lived connections', ['messages'], summary, x, MESSAGES));
  }
  if (rounds.length === 0 && longestGap !== null) {
    const label = `longest gap ${formatMs(longestGap.ms)}`;
    parts.push(drops('gap', longestGap, x, 16, last.bottom), dimension('gap', longestGap, label, x, 16, LATENCY));
  }
  const axis = timeAxis(
    ticks({ fromMs: 0, toMs: durationMs }, 9),
    x,
    last.bottom + 18,
    (ms) => `${Number((ms / 1000).toFixed(1))} s`,
  );
  return svg(WIDTH, last.bottom + 34, 'The whole measurement', [...parts, axis], rounds.length > 0 ? 20 : 0);
}

/** Worst and middle of each column. */
function latency(samples: readonly RequestSample[], x: Scale, durationMs: number): string {
  const stepMs = Math.max(100, durationMs / COLUMNS);
  const columns = new Map<number, number[]>();
  let [least, most] = [Number.POSITIVE_INFINITY, 1];
  for (const { atMs, latencyMs, outcome } of samples) {
    if (outcome !== 'ok') continue;
    const index = Math.floor(atMs / stepMs);
    const column = columns.get(index);
    if (column === undefined) columns.set(index, [latencyMs]);
    else column.push(latencyMs);
    [least, most] = [Math.min(least, latencyMs), Math.max(most, latencyMs)];
  }
  const domain = decades(Number.isFinite(least) ? least : 1, most);
  const y = logarithmic(domain, [LATENCY.bottom, LATENCY.top + 20]);
  const points = [...columns]
    .sort(([a], [b]) => a - b)
    .map(([index, values]) => ({ atMs: (index + 0.5) * stepMs, ...percentiles(values) }));
  const line = (pick: 'p50' | 'max') =>
    points
      .map((point, i) => {
        const previous = points[i - 1];
        const joined = previous !== undefined && point.atMs - previous.atMs < 1.5 * stepMs;
        return `${joined ? 'L' : 'M'}${at(x(point.atMs))} ${at(y(point[pick] ?? 0))}`;
      })
      .join('');
  const title = `<text class="panel-title" x="${LEFT}" y="${LATENCY.top - 8}">latency of requests: <tspan class="worst-key">worst</tspan> and <tspan class="middle-key">median</tspan> of each ${formatMs(stepMs)}</text>`;
  return `${grid(powersIn(domain), y, LATENCY, power)}<path class="worst" d="${line('max')}"/><path class="middle" d="${line('p50')}"/>${title}`;
}

function answers(summary: Summary, x: Scale): string {
  return count('answered requests, and failed ones in red', ['answered', 'failed'], summary, x, ANSWERS);
}

function count(
  title: string,
  kinds: readonly ('answered' | 'failed' | 'messages')[],
  { throughput }: Summary,
  x: Scale,
  box: Box,
): string {
  const group = Math.max(1, Math.ceil(throughput.answered.length / COLUMNS));
  const stepMs = group * throughput.bucketMs;
  const grouped = (values: readonly number[]) =>
    Array.from({ length: Math.ceil(values.length / group) }, (_, i) =>
      values.slice(i * group, (i + 1) * group).reduce((sum, value) => sum + value, 0),
    );
  const series = kinds.map((kind) => grouped(throughput[kind]));
  const most = Math.max(...series.map(capOf));
  const y = (value: number) => linear([0, most], [box.bottom, box.top])(Math.min(most, value));
  const drawn = series.map((values, i) => bars(kinds[i] ?? '', values, { fromMs: 0, toMs: 0, stepMs }, x, y, box));
  const text = `<text class="panel-title" x="${LEFT}" y="${box.top - 8}">${title}, in each ${formatMs(stepMs)}</text>`;
  return `${grid([0, most], y, box, String)}${drawn.join('')}${text}`;
}
