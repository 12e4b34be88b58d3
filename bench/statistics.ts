export interface Summary {
  median: number;
  p90: number;
  min: number;
  max: number;
}

/** Nearest-rank percentiles, rounded to a tenth. */
export function summarize(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (fraction: number) =>
    Math.round((sorted[Math.max(0, Math.ceil(sorted.length * fraction) - 1)] ?? Number.NaN) * 10) / 10;
  const middle =
    sorted.length % 2 === 1 ? at(0.5) : ((sorted[sorted.length / 2 - 1] ?? 0) + (sorted[sorted.length / 2] ?? 0)) / 2;
  return { median: Math.round(middle * 10) / 10, p90: at(0.9), min: at(0), max: at(1) };
}
