/** How a migration ends on its source, whichever way it moved. */
import type { AnyWorkload } from '../engines/facts.ts';
import { hasEnded } from '../engines/processes/state.ts';
import { DrayageError } from '../errors.ts';
import type { SettledDoubt } from './doubt.ts';
import type { MigrationResult, Phase } from './events.ts';
import type { SourceMigration } from './source-migration.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

interface Conclusion {
  /** When it stopped running here, in milliseconds from the migration's start; null where it did not run. */
  stoppedAtMs: number | null;
  /** Engine id of the copy, where there is one. */
  targetId?: string;
  /** Why it is undone, where the target did not commit. */
  refused: (reason: string) => DrayageError;
  /** What becomes of the source's copy after the commit, which is `recorded` beside its first steps. */
  release: (recorded: Promise<void>) => Promise<{ keptAs?: string }>;
}

/** After the target has answered, or its journal has. */
export async function concluded(
  m: SourceMigration,
  undo: UndoStack,
  answer: SettledDoubt,
  { stoppedAtMs, refused, release, ...copy }: Conclusion,
): Promise<MigrationResult> {
  if (answer.outcome === 'unknown') {
    await m.journal.append({ type: 'state', state: 'unknown' });
    return result(m, 'unknown', { outageMs: null, error: answer.error });
  }
  if (answer.outcome === 'aborted') return undone(m, undo, answer.error ?? refused(answer.reason));
  const outageMs = stoppedAtMs === null ? null : m.trace.now() - answer.sinceMs - stoppedAtMs;
  const committed = { type: 'state', state: 'committed', data: { outageMs } } as const;
  // Clients wait; whoever finds only the intent asks the target.
  const recorded = untilDone(m.stopping, () => m.journal.append(committed), m.noteRetry);
  undo.clear();
  const kept = await m.phase('release', () => release(recorded));
  return result(m, 'committed', { outageMs, ...copy, ...kept });
}

/** @param left the workload, where it is to be running on by then */
export async function undone(
  m: SourceMigration,
  undo: UndoStack,
  cause: unknown,
  left?: AnyWorkload,
): Promise<MigrationResult> {
  const error = m.cancelled ?? DrayageError.from(cause);
  await m.phase('undo', async () => {
    for (const failure of await undo.run()) {
      m.emit({ type: 'note', message: `undo of ${failure.name}: ${DrayageError.from(failure.error).message}` });
    }
  });
  // An agent that is being stopped leaves the rest to its next start, which goes by the journal.
  m.stopping.throwIfAborted();
  await m.journal.append({ type: 'state', state: 'undone' });
  return result(m, 'undone', { outageMs: null, error: left === undefined ? error : endedMeanwhile(left, error) });
}

/** A workload that ended by itself, that somebody ended, or that a CRIU took with it which was killed. */
function endedMeanwhile({ pid, ref }: AnyWorkload, cause: DrayageError): DrayageError {
  if (!hasEnded(pid)) return cause;
  const message = `${ref.engine}:${ref.name} ended while it was being moved: ${cause.message}`;
  return new DrayageError('WORKLOAD_ENDED', message, { cause });
}

type Ending = Pick<MigrationResult, 'outageMs' | 'targetId' | 'keptAs'> & { error?: DrayageError };

export function result(
  m: SourceMigration,
  outcome: MigrationResult['outcome'],
  { outageMs, error, ...rest }: Ending,
): MigrationResult {
  const names = [...new Set(m.trace.spans.filter((span) => span.kind === 'phase').map((span) => span.name as Phase))];
  return {
    type: 'result',
    id: m.id,
    outcome,
    outageMs: outageMs === null ? null : Math.round(outageMs * 10) / 10,
    totalMs: Math.round(m.trace.now()),
    bytes: m.bytes,
    phases: names.map((name) => ({ name, ms: Math.round(m.trace.phaseMs(name) * 10) / 10 })),
    ...rest,
    ...(error === undefined ? {} : { error: error.toJSON() }),
  };
}
