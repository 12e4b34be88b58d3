/** A series as bars of characters, for a terminal. Pure. */
import { type Look, pad, padLeft } from './style.ts';

const EIGHTHS = ' ▁▂▃▄▅▆▇█';

export interface Plot {
  /** Says what is drawn and in what unit. */
  title: string;
  values: readonly number[];
  /** Of several values that share a column: the one that tells most. */
  keep: 'least' | 'most';
  /** Columns, in values, to be marked, first and past the last. */
  marked?: readonly [number, number] | null;
  /** Under the first and the last column. */
  ends: readonly [string, string];
}

const ROWS = 4;
const AXIS_COLUMNS = 6;

export function renderPlot({ title, values, keep, marked = null, ends }: Plot, { style, width }: Look): string {
  const columns = Math.max(10, Math.min(values.length, width - AXIS_COLUMNS - 4, 110));
  const fitted = squeeze(values, columns, keep);
  const top = topOf(fitted);
  const scale = fitted.length / values.length;
  const isMarked = (i: number) => marked !== null && i + 1 > marked[0] * scale && i < marked[1] * scale;
  const lines = Array.from({ length: ROWS }, (_, i) => {
    const row = ROWS - 1 - i;
    const cells = fitted.map((value, column) => {
      const cell = barCell(value / top, row, ROWS);
      // An empty column in the marked stretch is what it is all about.
      if (isMarked(column)) return style.red(cell === ' ' ? '·' : cell);
      return style.cyan(cell);
    });
    return `  ${padLeft(i === 0 ? `${Math.max(...fitted) > top ? '>' : ''}${shortNumber(top)}` : row === 0 ? '0' : '', AXIS_COLUMNS)} ${cells.join('')}`;
  });
  const foot = `  ${' '.repeat(AXIS_COLUMNS)} ${pad(ends[0], fitted.length - ends[1].length)}${ends[1]}`;
  return `  ${style.dim(title)}\n${lines.join('\n')}\n${style.dim(foot)}\n`;
}

/** As many values as there are columns; each is the least or the most of those it stands for. */
export function squeeze(values: readonly number[], columns: number, keep: 'least' | 'most'): number[] {
  if (values.length <= columns) return [...values];
  const pick = keep === 'least' ? Math.min : Math.max;
  return Array.from({ length: columns }, (_, i) => {
    const from = Math.floor((i * values.length) / columns);
    const to = Math.max(from + 1, Math.floor(((i + 1) * values.length) / columns));
    return pick(...values.slice(from, to));
  });
}

/** What of a bar as high as `share` of all rows is seen in row `row`, counted from the bottom. */
export function barCell(share: number, row: number, rows: number): string {
  const eighths = Math.round(Math.max(0, Math.min(1, share)) * rows * 8) - row * 8;
  return EIGHTHS[Math.max(0, Math.min(8, eighths))] ?? ' ';
}

/** A burst is cut off, so that it does not make what is usual look like nothing. */
function topOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const usual = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const most = sorted.at(-1) ?? 0;
  return Math.max(1e-9, usual > 0 ? Math.min(most, 2 * usual) : most);
}

function shortNumber(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toFixed(1)));
}
