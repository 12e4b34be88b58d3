/** From values to coordinates. Pure. */
import type { Stretch } from '../../../measure/move.ts';

export type Scale = (value: number) => number;

export function linear([from, to]: readonly [number, number], [start, end]: readonly [number, number]): Scale {
  const span = to === from ? 1 : to - from;
  return (value) => start + ((value - from) / span) * (end - start);
}

/** Values below the domain are drawn at its edge. */
export function logarithmic([from, to]: readonly [number, number], range: readonly [number, number]): Scale {
  const scale = linear([Math.log10(from), Math.log10(to)], range);
  return (value) => scale(Math.log10(Math.max(from, Math.min(to, value))));
}

/** The values in a logarithmic domain that begins at 1, 2 or 5 times a power of ten and holds two of them at least. */
export function decades(least: number, most: number): [number, number] {
  const power = 10 ** Math.floor(Math.log10(Math.max(0.1, least)));
  const from = power * ([5, 2, 1].find((factor) => factor * power <= Math.max(0.1, least)) ?? 1);
  const to = Math.max(2, Math.floor(Math.log10(from)) + 2, Math.ceil(Math.log10(Math.max(1, most))));
  return [from, 10 ** to];
}

/** The powers of ten in a domain. */
export function powersIn([from, to]: readonly [number, number]): number[] {
  const first = Math.ceil(Math.log10(from) - 1e-9);
  return Array.from({ length: Math.round(Math.log10(to)) - first + 1 }, (_, i) => 10 ** (first + i));
}

/** About `count` round numbers in the stretch. */
export function ticks({ fromMs, toMs }: Stretch, count: number): number[] {
  const rough = (toMs - fromMs) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(fromMs / step - 1e-9);
  const last = Math.floor(toMs / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
}

/** The next number that is round enough to end an axis. */
export function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value) ?? 10);
}
