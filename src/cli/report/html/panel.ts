/** Parts of a chart that share one axis of time: grids, bars, dots, shaded stretches and dimension lines, as SVG. */
import type { PhaseStretch, Stretch } from '../../../measure/move.ts';
import type { RequestSample } from '../../../measure/samples.ts';
import { formatMs } from '../units.ts';
import { at, escapeMarkup } from './markup.ts';
import type { Scale } from './scale.ts';

/** A rectangle of the drawing. */
export interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Phases in which the workload stands still. */
const FROZEN_PHASES = new Set(['freeze', 'dump', 'transfer', 'sync', 'restore', 'commit']);
const CHARACTER_WIDTH = 6.1;
const BOLD_WIDTH = 7.4;

/** A phase behind everything, from the top of the drawing to its bottom; its name where there is room for it. */
export function shade(phases: readonly PhaseStretch[], x: Scale, box: Box, named: boolean): string {
  let taken = Number.NEGATIVE_INFINITY;
  let shaded = box.left;
  return phases
    .map(({ name, fromMs, toMs }) => {
      // Of phases that overlap, each moment belongs to the first: two shades would look like a third kind.
      const [left, right] = [Math.max(shaded, x(fromMs)), Math.min(box.right, x(toMs))];
      if (right <= left) return '';
      shaded = right;
      const kind =
        name === 'release' ? 'released' : name === 'undo' ? 'undone' : FROZEN_PHASES.has(name) ? 'frozen' : 'running';
      const title = `<title>${escapeMarkup(name)} ${formatMs(toMs - fromMs)}</title>`;
      const band = `<rect class="phase ${kind}" x="${at(left)}" y="${at(box.top)}" width="${at(Math.max(0.5, right - left))}" height="${at(box.bottom - box.top)}">${title}</rect>`;
      const middle = (left + right) / 2;
      const half = (name.length * CHARACTER_WIDTH) / 2;
      if (!named || half * 2 > right - left || middle - half < taken) return band;
      taken = middle + half;
      return `${band}<text class="phase-name" x="${at(middle)}" y="${at(box.top + 13)}" text-anchor="middle">${escapeMarkup(name)}</text>`;
    })
    .join('');
}

/** Lines across at the values, with labels to the left of them. */
export function grid(
  values: readonly number[],
  y: Scale,
  { left, right }: Box,
  label: (value: number) => string,
): string {
  return values
    .map((value) => {
      const line = `<line class="grid" x1="${at(left)}" x2="${at(right)}" y1="${at(y(value))}" y2="${at(y(value))}"/>`;
      return `${line}<text class="axis" x="${at(left - 8)}" y="${at(y(value) + 3.5)}" text-anchor="end">${label(value)}</text>`;
    })
    .join('');
}

export function timeAxis(values: readonly number[], x: Scale, y: number, label: (value: number) => string): string {
  return values
    .map((value) => `<text class="axis" x="${at(x(value))}" y="${at(y)}" text-anchor="middle">${label(value)}</text>`)
    .join('');
}

/** Every request: a dot where it was to be sent, as high as it took; a cross at the top where it failed. */
export function dots(samples: readonly RequestSample[], x: Scale, y: Scale, { top }: Box, radius: number): string {
  const path = (some: RequestSample[], draw: (sample: RequestSample) => string) => some.map(draw).join('');
  const ok = samples.filter(({ outcome }) => outcome === 'ok');
  const failed = samples.filter(({ outcome }) => outcome !== 'ok');
  const dot = ({ atMs, latencyMs }: RequestSample) => `M${at(x(atMs))} ${at(y(latencyMs))}h0`;
  const cross = ({ atMs }: RequestSample) => `M${at(x(atMs) - 3)} ${at(top + 22)}l6 6m0 -6l-6 6`;
  const answered = `<path class="dots" stroke-width="${at(radius * 2)}" d="${path(ok, dot)}"/>`;
  return failed.length === 0 ? answered : `${answered}<path class="crosses" d="${path(failed, cross)}"/>`;
}

/** Bars of `stepMs`, from the bottom of the box. */
export function bars(
  kind: string,
  values: readonly number[],
  start: Stretch & { stepMs: number },
  x: Scale,
  y: Scale,
  box: Box,
) {
  const gap = x(start.stepMs) - x(0) > 4 ? 1 : 0;
  const path = values.map((value, i) => {
    const fromMs = start.fromMs + i * start.stepMs;
    const [left, right] = [Math.max(box.left, x(fromMs)), Math.min(box.right, x(fromMs + start.stepMs))];
    if (value === 0 || right - left <= gap) return '';
    return `M${at(left)} ${at(box.bottom)}V${at(y(value))}H${at(right - gap)}V${at(box.bottom)}Z`;
  });
  return `<path class="${kind}" d="${path.join('')}"/>${cutOff(values, start, x, y, box)}`;
}

/** How many there really were, where a bar is higher than the box and there is room to say so. */
function cutOff(
  values: readonly number[],
  start: { fromMs: number; stepMs: number },
  x: Scale,
  y: Scale,
  box: Box,
): string {
  if (x(start.stepMs) - x(0) < 22) return '';
  return values
    .map((value, i) => {
      const middle = x(start.fromMs + (i + 0.5) * start.stepMs);
      if (middle < box.left || middle > box.right || y(value) > box.top || y(value - 1) > box.top) return '';
      return `<text class="cut-off" x="${at(middle)}" y="${at(box.top + 11)}" text-anchor="middle">${value}</text>`;
    })
    .join('');
}

/** `|←— label —→|` over a stretch, the label beside it where it is too short. */
export function dimension(
  kind: string,
  { fromMs, toMs }: Stretch,
  label: string,
  x: Scale,
  y: number,
  box: Box,
): string {
  const [left, right] = [Math.max(box.left, x(fromMs)), Math.min(box.right, x(toMs))];
  const width = label.length * BOLD_WIDTH + 12;
  const fits = right - left > width + 16;
  const ends = `M${at(left)} ${at(y - 5)}v10M${at(right)} ${at(y - 5)}v10`;
  const middle = (left + right) / 2;
  const line = fits
    ? `M${at(left)} ${at(y)}H${at(middle - width / 2)}M${at(middle + width / 2)} ${at(y)}H${at(right)}`
    : `M${at(left)} ${at(y)}H${at(right)}`;
  const beside = right + width > box.right ? { x: left - 8, anchor: 'end' } : { x: right + 8, anchor: 'start' };
  const place = fits ? { x: middle, anchor: 'middle' } : beside;
  return `<g class="dimension ${kind}"><path d="${line}${ends}"/><text x="${at(place.x)}" y="${at(y + 4)}" text-anchor="${place.anchor}">${escapeMarkup(label)}</text></g>`;
}

/** Lines down to where a dimension begins and ends. */
export function drops(kind: string, { fromMs, toMs }: Stretch, x: Scale, from: number, to: number): string {
  return `<path class="drop ${kind}" d="M${at(x(fromMs))} ${at(from)}V${at(to)}M${at(x(toMs))} ${at(from)}V${at(to)}"/>`;
}
