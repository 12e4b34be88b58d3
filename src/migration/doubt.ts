/**
 * In doubt: the intent is on disk and the target's answer has not come. The source stands still and asks until the
 * target's journal tells; asking makes a migration that was not committed impossible to commit.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import type { CommitAnswer, TargetPort } from './target-port.ts';

export type SettledDoubt = CommitAnswer | { outcome: 'unknown'; error: DrayageError };

/** What is needed to settle it; `target` is set to the connection that gave the answer. */
export interface Doubtful {
  readonly id: string;
  readonly to: string;
  readonly redial: () => Promise<TargetPort>;
  emit(event: { type: 'note'; message: string }): void;
  target?: TargetPort;
}

const RETRY_MS = [100, 200, 500, 1000, 2000, 5000];

/**
 * @param decided what a human decided meanwhile, where the target does not come back: `drayage resolve`.
 */
export async function settleDoubt(
  m: Doubtful,
  signal?: AbortSignal,
  decided: Promise<'source' | 'target'> = new Promise(() => {}),
): Promise<SettledDoubt> {
  const ended = new AbortController();
  const human = decided.then((keep): SettledDoubt => {
    ended.abort();
    return keep === 'target'
      ? { outcome: 'running', sinceMs: 0 }
      : { outcome: 'aborted', reason: 'its user decided to keep the source' };
  });
  const signals = signal === undefined ? [ended.signal] : [signal, ended.signal];
  const asked = askTarget(m, AbortSignal.any(signals));
  return Promise.race([human, asked.catch((error: unknown) => (ended.signal.aborted ? human : Promise.reject(error)))]);
}

async function askTarget(m: Doubtful, signal: AbortSignal): Promise<SettledDoubt> {
  m.emit({
    type: 'note',
    message: `no answer from ${m.to} to the commit; the workload stands still until its journal has been read`,
  });
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    let target: TargetPort | undefined;
    try {
      target = await m.redial();
      const outcome = await target.outcome(m.id);
      await m.target?.close().catch(() => {});
      m.target = target;
      if (outcome === 'committed') return { outcome: 'running', sinceMs: 0 };
      if (outcome === 'aborted')
        return { outcome: 'aborted', reason: 'the connection was lost before the target had committed' };
      return {
        outcome: 'unknown',
        error: new DrayageError(
          'OUTCOME_UNKNOWN',
          `${m.to} committed, but it cannot be told whether the copy has run.`,
        ),
      };
    } catch (error) {
      await target?.close().catch(() => {});
      if (attempt % 5 === 0) m.emit({ type: 'note', message: `still in doubt: ${DrayageError.from(error).message}` });
      await sleep(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)], undefined, { signal });
    }
  }
}
