/**
 * Spans of time as horizontal bars on one scale. What ran while the workload stood still (freeze to resume) is drawn
 * solid, the rest light, so that the outage is seen without colour, too.
 */

import { type Look, pad, padLeft } from './style.ts';
import { formatMs } from './units.ts';

export interface Bar {
  label: string;
  /** Milliseconds from the start of the migration. */
  startMs: number;
  ms: number;
}

/** From the freeze to the resume, milliseconds from the start of the migration. */
export interface Outage {
  startMs: number;
  ms: number;
}

const TIME_COLUMNS = 11;

/** One line a bar, then the outage as a span of its own; `range` is drawn from margin to margin. */
export function renderTimeline(bars: readonly Bar[], outage: Outage | null, range: Outage, { style, width }: Look) {
  const labels = Math.max(6, ...bars.map((bar) => bar.label.length));
  const columns = Math.max(10, Math.min(width, 110) - labels - TIME_COLUMNS - 4);
  const frozen = outageColumns(outage, range, columns);
  const lines = bars.map((bar) => {
    const cells = drawBar(bar, range, columns, frozen).replace(/█+/g, style.red).replace(/░+/g, style.cyan);
    return `  ${pad(bar.label, labels)}  ${pad(cells, columns)}${padLeft(formatMs(bar.ms), TIME_COLUMNS)}`;
  });
  if (outage !== null) {
    const rule = drawOutage(outage, range, columns);
    const label = style.bold(pad('outage', labels));
    lines.push(`  ${label}  ${style.red(rule)}${padLeft(formatMs(outage.ms), TIME_COLUMNS)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** A bar of exactly `columns` characters; at least one of them is drawn for what lies in the range. */
export function drawBar(bar: Bar, range: Outage, columns: number, frozen: readonly [number, number] | null): string {
  const from = Math.min(scale(bar.startMs, range, columns), columns - 1);
  const to = Math.max(from + 1, scale(bar.startMs + bar.ms, range, columns));
  let cells = '';
  for (let i = 0; i < columns; i++) {
    if (i < from || i >= to) cells += ' ';
    else cells += frozen !== null && i >= frozen[0] && i < frozen[1] ? '█' : '░';
  }
  return cells;
}

/** The outage as a ruler of exactly `columns` characters. */
export function drawOutage(outage: Outage, range: Outage, columns: number): string {
  const from = Math.min(scale(outage.startMs, range, columns), columns - 1);
  const span = Math.max(1, scale(outage.startMs + outage.ms, range, columns) - from);
  return pad(' '.repeat(from) + (span === 1 ? '│' : `├${'─'.repeat(span - 2)}┤`), columns);
}

/** First column of the outage, and the first one after it. */
export function outageColumns(outage: Outage | null, range: Outage, columns: number): readonly [number, number] | null {
  if (outage === null) return null;
  const from = Math.min(scale(outage.startMs, range, columns), columns - 1);
  return [from, Math.max(from + 1, scale(outage.startMs + outage.ms, range, columns))];
}

function scale(ms: number, range: Outage, columns: number): number {
  const share = range.ms <= 0 ? 0 : (ms - range.startMs) / range.ms;
  return Math.round(Math.max(0, Math.min(1, share)) * columns);
}
