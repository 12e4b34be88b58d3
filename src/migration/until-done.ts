import { setTimeout as sleep } from 'node:timers/promises';

const WAITS_MS = [50, 100, 200, 500, 1000, 2000, 5000];

/**
 * Repeats what must succeed in the end, an engine being restarted say, with growing waits, until `signal` aborts. It is
 * tried once in any case.
 */
export async function untilDone<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
  onRetry: (error: unknown, attempt: number) => void = () => {},
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) throw error;
      onRetry(error, attempt);
      await sleep(WAITS_MS[Math.min(attempt, WAITS_MS.length - 1)], undefined, { signal });
    }
  }
}
