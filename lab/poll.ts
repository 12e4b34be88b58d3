/** Waits for a thing of the outside world that announces itself by no event. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface PollOptions {
  everyMs?: number;
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

/** Asks `probe` until it answers with anything but undefined; resolves to undefined when the time is over. */
export async function poll<T>(
  probe: () => T | undefined | Promise<T | undefined>,
  { everyMs = 50, timeoutMs, signal }: PollOptions,
): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await probe();
    if (answer !== undefined || performance.now() > deadline) return answer;
    await sleep(everyMs, undefined, { signal });
  }
}
