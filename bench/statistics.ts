export interface Summary {
  median: number;
  p90: number;
  min: number;
  max: number;
}

/** Nearest-rank percentiles, rounded to a tenth, or to as many decimals. */
export function summarize(values: readonly number[], decimals = 1): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const round = (value: number) => Math.round(value * 10 ** decimals) / 10 ** decimals;
  const at = (fraction: number) => sorted[Math.max(0, Math.ceil(sorted.length * fraction) - 1)] ?? Number.NaN;
  const middle = sorted.length % 2 === 1 ? at(0.5) : (at(0.5) + (sorted[sorted.length / 2] ?? Number.NaN)) / 2;
  return { median: round(middle), p90: round(at(0.9)), min: round(at(0)), max: round(at(1)) };
}

/** Of two medians, to a hundredth. */
export function ratio(value: Summary, of: Summary): number {
  return Math.round((value.median / of.median) * 100) / 100;
}
