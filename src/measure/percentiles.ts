/** Percentiles of what was really seen: no buckets, no estimates. */
export interface Percentiles {
  count: number;
  /** null where there is nothing to tell of; milliseconds. */
  p50: number | null;
  p90: number | null;
  p99: number | null;
  p999: number | null;
  max: number | null;
}

/** By the nearest rank: the smallest value that at least that share does not exceed. */
export function percentiles(values: Iterable<number>): Percentiles {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => {
    const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
    return value === undefined ? null : Math.round(value * 100) / 100;
  };
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) };
}

export interface Spread {
  min: number;
  median: number;
  p90: number;
  max: number;
}

/** Of one figure over several rounds; null where no round has it. */
export function spread(values: Iterable<number | null>): Spread | null {
  const known = [...values].filter((value) => value !== null);
  const { p50, p90, max } = percentiles(known);
  if (p50 === null || p90 === null || max === null) return null;
  return { min: Math.min(...known), median: p50, p90, max };
}
