/** One round from close by: every request as a dot, answers in each 100 ms below, the phases behind. */
import type { Stretch } from '../../../measure/move.ts';
import type { RequestSample } from '../../../measure/samples.ts';
import type { Round, Throughput } from '../../../measure/summarise.ts';
import { formatMs } from '../units.ts';
import { at, escapeMarkup } from './markup.ts';
import { type Box, bars, dimension, dots, drops, grid, shade, timeAxis } from './panel.ts';
import { decades, linear, logarithmic, powersIn, roundUp, type Scale, ticks } from './scale.ts';

/** Domains that several charts share, so that they can be compared. */
export interface Domains {
  latency: [number, number];
  /** Most answers to requests, and to messages, in 100 ms. */
  answers: number;
  messages: number;
}

const WIDTH = 1080;
const [LEFT, RIGHT] = [64, WIDTH - 16];
const LATENCY: Box = { left: LEFT, right: RIGHT, top: 62, bottom: 292 };
const ANSWERS: Box = { left: LEFT, right: RIGHT, top: 324, bottom: 404 };
const MESSAGES: Box = { left: LEFT, right: RIGHT, top: 436, bottom: 496 };
/** So much before the freeze and after the resume, at least. */
const AROUND_MS = 1300;

export function momentChart(round: Round, samples: readonly RequestSample[], domains: Domains): string {
  const view = viewOf(round);
  const zero = round.move.frozen?.fromMs ?? round.move.fromMs;
  const x = linear([view.fromMs, view.toMs], [LEFT, RIGHT]);
  const last = round.throughput.messages.some((count) => count > 0) ? MESSAGES : ANSWERS;
  const whole = { ...LATENCY, bottom: last.bottom };
  const shown = samples.filter(({ atMs }) => atMs >= view.fromMs && atMs <= view.toMs);
  return svg(WIDTH, last.bottom + 34, `Round ${round.round}`, [
    shade(round.move.phases, x, whole, true),
    latencyPanel(shown, x, domains, LATENCY, 2),
    countPanel(
      'answered requests in each 100 ms',
      round.throughput,
      ['answered', 'failed'],
      x,
      domains.answers,
      ANSWERS,
    ),
    last === MESSAGES
      ? countPanel(
          'answered messages of long-lived connections',
          round.throughput,
          ['messages'],
          x,
          domains.messages,
          MESSAGES,
        )
      : '',
    marks(round, x, whole),
    timeAxis(
      ticks({ fromMs: view.fromMs - zero, toMs: view.toMs - zero }, 9),
      (ms) => x(ms + zero),
      last.bottom + 18,
      seconds,
    ),
  ]);
}

/** The same, small: only the dots. */
export function smallChart(round: Round, samples: readonly RequestSample[], domains: Domains): string {
  const box: Box = { left: 52, right: 348, top: 6, bottom: 128 };
  const view = viewOf(round);
  const zero = round.move.frozen?.fromMs ?? round.move.fromMs;
  const x = linear([view.fromMs, view.toMs], [box.left, box.right]);
  const shown = samples.filter(({ atMs }) => atMs >= view.fromMs && atMs <= view.toMs);
  return svg(356, 148, `Round ${round.round}`, [
    shade(round.move.phases, x, box, false),
    latencyPanel(shown, x, domains, box, 1.2),
    timeAxis(
      ticks({ fromMs: view.fromMs - zero, toMs: view.toMs - zero }, 4),
      (ms) => x(ms + zero),
      box.bottom + 16,
      seconds,
    ),
  ]);
}

export function domainsOf(rounds: readonly Round[], samples: readonly RequestSample[]): Domains {
  let [least, most] = [Number.POSITIVE_INFINITY, 1];
  for (const { latencyMs, outcome } of samples) {
    if (outcome !== 'ok') continue;
    least = Math.min(least, latencyMs);
    most = Math.max(most, latencyMs);
  }
  const highest = (pick: (throughput: Throughput) => readonly number[]) =>
    Math.max(1, ...rounds.map(({ throughput }) => capOf(pick(throughput))));
  return {
    latency: decades(Number.isFinite(least) ? least : 1, most),
    answers: highest(({ answered }) => answered),
    messages: highest(({ messages }) => messages),
  };
}

/** The burst after an outage is cut off at three times what is usual: the usual is what it is compared to. */
export function capOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const usual = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const most = sorted.at(-1) ?? 0;
  return roundUp(usual > 0 ? Math.min(most, usual * 3) : most);
}

/** The outage in the middle, and around it at least as much again. */
function viewOf({ move, window }: Round): Stretch {
  const middle = move.frozen ?? move;
  const around = Math.max(AROUND_MS, 1.5 * (middle.toMs - middle.fromMs));
  return {
    fromMs: Math.max(window.fromMs, middle.fromMs - around),
    toMs: Math.min(window.toMs, middle.toMs + around),
  };
}

function latencyPanel(samples: readonly RequestSample[], x: Scale, domains: Domains, box: Box, radius: number): string {
  const y = logarithmic(domains.latency, [box.bottom, box.top + 26]);
  const title = radius >= 2 ? panelTitle('latency of each request, by when it was to be sent', box) : '';
  return `${grid(powersIn(domains.latency), y, box, power)}${dots(samples, x, y, box, radius)}${title}`;
}

function countPanel(
  title: string,
  throughput: Throughput,
  kinds: readonly ('answered' | 'failed' | 'messages')[],
  x: Scale,
  most: number,
  box: Box,
): string {
  const y = (value: number) => linear([0, most], [box.bottom, box.top])(Math.min(most, value));
  const start = { fromMs: throughput.fromMs, toMs: 0, stepMs: throughput.bucketMs };
  const drawn = kinds.map((kind) => bars(kind, throughput[kind], start, x, y, box));
  return `${grid([0, most], y, box, String)}${drawn.join('')}${panelTitle(title, box)}`;
}

function panelTitle(title: string, { left, top }: Box): string {
  return `<text class="panel-title" x="${at(left)}" y="${at(top - 8)}">${escapeMarkup(title)}</text>`;
}

function marks({ move, longestGap }: Round, x: Scale, box: Box): string {
  const outage =
    move.frozen === null
      ? null
      : { ...move.frozen, label: `outage ${formatMs(move.frozen.toMs - move.frozen.fromMs)}` };
  const gap = longestGap === null ? null : { ...longestGap, label: `longest gap ${formatMs(longestGap.ms)}` };
  return [
    outage && drops('outage', outage, x, 12, box.top) + dimension('outage', outage, outage.label, x, 12, box),
    gap && drops('gap', gap, x, 34, box.bottom) + dimension('gap', gap, gap.label, x, 34, box),
  ]
    .filter((mark) => mark !== null)
    .join('');
}

/** 1 ms, 10 ms, 100 ms, 1 s. */
export function power(ms: number): string {
  return ms >= 1000 ? `${ms / 1000} s` : `${Number(ms.toPrecision(1))} ms`;
}

function seconds(ms: number): string {
  const value = Number((ms / 1000).toFixed(2));
  return value === 0 ? 'freeze' : `${value > 0 ? '+' : '−'}${Math.abs(value)} s`;
}

/** @param top what is cut off there */
export function svg(width: number, height: number, label: string, parts: readonly string[], top = 0): string {
  const box = `viewBox="0 ${top} ${width} ${height - top}"`;
  return `<svg ${box} role="img" aria-label="${escapeMarkup(label)}">${parts.join('\n')}</svg>`;
}
