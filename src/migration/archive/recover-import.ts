/** An import that a restart of the agent cut short: what became of its copy is what became of it. */

import { DrayageError } from '../../errors.ts';
import type { MigrationResult } from '../events.ts';
import type { Journal } from '../journal.ts';
import { eventsOf, type JournalRecord } from '../journal-records.ts';
import { endingOf } from '../recover.ts';
import { notInDoubt } from '../resolve.ts';
import type { TargetOutcome } from '../target-port.ts';

/** Id of the archive that an import is of; undefined for other migrations. */
export function archiveOf(records: readonly JournalRecord[]): string | undefined {
  const [header] = records;
  return header?.type === 'header' ? (header.data as { archive?: string } | undefined)?.archive : undefined;
}

/** What the table of errors says of a source that runs on is not so: there is none. */
export function ofImport(error: DrayageError): DrayageError {
  if (!/runs? on/.test(error.meaning)) return error;
  const meaning = 'The import was undone: nothing is left here, and the archive is as it was.';
  return new DrayageError(error.code, error.message, { meaning, remedy: error.remedy, cause: error });
}

export async function recoverImport(
  { id, journal }: { id: string; journal: Journal },
  outcomeOf: () => Promise<TargetOutcome>,
): Promise<void> {
  const outcome = await outcomeOf();
  const error = new DrayageError('AGENT_RESTARTED', 'The agent was restarted in the middle of the import.');
  const unknown = new DrayageError('OUTCOME_UNKNOWN', 'It cannot be told whether the copy of the import has run.');
  const ending = {
    committed: () => endingOf(id, journal, 'committed'),
    aborted: () => endingOf(id, journal, 'undone', { error: ofImport(error).toJSON() }),
    unknown: () => endingOf(id, journal, 'unknown', { error: unknown.toJSON() }),
  }[outcome]();
  journal.appendLazy({ type: 'event', event: { time: Date.now(), ...ending } });
}

/**
 * As a human decided: the copy is kept, or is taken away, and the archive may be imported again.
 * @throws DrayageError NOT_IN_DOUBT
 */
export async function resolveImport(
  { id, journal }: { id: string; journal: Journal },
  keep: 'source' | 'target',
  resolveHere: (id: string, keep: 'source' | 'target') => Promise<void>,
): Promise<MigrationResult> {
  const ended = eventsOf(journal.records).findLast((event) => event.type === 'result');
  if (ended?.outcome !== 'unknown') throw notInDoubt(id, ended?.outcome ?? 'unfinished');
  await resolveHere(id, keep);
  const ending = endingOf(id, journal, keep === 'target' ? 'committed' : 'undone');
  journal.appendLazy({ type: 'event', event: { time: Date.now(), ...ending } });
  return ending;
}
