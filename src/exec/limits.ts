/** When a call must not wait any longer. */
import { DrayageError } from '../errors.ts';

/**
 * A promise that rejects when a signal aborts, with its reason, or when the time is over, with `late`. AbortSignal.any
 * would do, but keeps an entry in the connection's signal for every call until it is collected.
 */
export function limits(
  signals: readonly AbortSignal[],
  timeout?: { ms: number; late: () => DrayageError },
): { stopped: Promise<never>; dispose(): void } {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  stopped.catch(() => {}); // Where the call ends otherwise, nobody waits for it.
  const timer = timeout && setTimeout(() => reject(timeout.late()), timeout.ms);
  const stops = signals.map((signal) => {
    const stop = () => reject(DrayageError.from(signal.reason));
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    return () => signal.removeEventListener('abort', stop);
  });
  return {
    stopped,
    dispose: () => {
      clearTimeout(timer);
      for (const remove of stops) remove();
    },
  };
}

/** A promise that `begin` resolves, and that rejects with the signal's reason where it aborts before. */
export function untilAborted(signal: AbortSignal, begin: (resolve: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) return stop();
    begin(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
  });
}
