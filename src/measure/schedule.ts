/** Calls back at a fixed rate whatever the callee does: what makes the load an open loop. */
import type { Clock } from './clock.ts';

export interface ScheduleOptions {
  clock: Clock;
  intervalMs: number;
  /** Ends it. */
  signal: AbortSignal;
  /** Every tick exactly once and in order, at or as soon as possible after its time `atMs`. Must not throw. */
  due: (index: number, atMs: number) => void;
}

/**
 * Begins now. Times are absolute (start + index * interval): a late tick delays no other one, and ticks that were
 * missed while the process could not run are made up for at once.
 */
export function schedule({ clock, intervalMs, signal, due }: ScheduleOptions): void {
  const startMs = clock.now();
  let index = 0;
  let timer: NodeJS.Timeout | undefined;
  const wake = () => {
    for (let atMs = startMs + index * intervalMs; atMs <= clock.now(); atMs = startMs + ++index * intervalMs) {
      if (signal.aborted) return;
      due(index, atMs);
    }
    if (signal.aborted) return;
    timer = setTimeout(wake, Math.max(0, startMs + index * intervalMs - clock.now()));
  };
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  wake();
}
