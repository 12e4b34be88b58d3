/** Time as a measurement counts it: milliseconds from its beginning, by the monotonic clock. */
export interface Clock {
  /** Unix time in milliseconds at which it began. */
  readonly startedAt: number;
  /** Milliseconds since then. */
  now(): number;
}

export function startClock(): Clock {
  const origin = performance.now();
  return { startedAt: Date.now(), now: () => performance.now() - origin };
}
