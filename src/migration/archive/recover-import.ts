/** An import that a restart of the agent cut short: what became of its copy is what became of it. */

import { DrayageError } from '../../errors.ts';
import type { Journal } from '../journal.ts';
import type { JournalRecord } from '../journal-records.ts';
import { endingOf } from '../recover.ts';
import type { TargetOutcome } from '../target-port.ts';

/** Id of the archive that an import is of; undefined for other migrations. */
export function archiveOf(records: readonly JournalRecord[]): string | undefined {
  const [header] = records;
  return header?.type === 'header' ? (header.data as { archive?: string } | undefined)?.archive : undefined;
}

export async function recoverImport(
  { id, journal }: { id: string; journal: Journal },
  outcomeOf: () => Promise<TargetOutcome>,
): Promise<void> {
  const outcome = await outcomeOf();
  const error = new DrayageError('AGENT_RESTARTED', 'The agent was restarted in the middle of the import.');
  const ending = {
    committed: () => endingOf(id, journal, 'committed'),
    aborted: () => endingOf(id, journal, 'undone', { error: error.toJSON() }),
    unknown: () => endingOf(id, journal, 'unknown', { error: error.toJSON() }),
  }[outcome]();
  journal.appendLazy({ type: 'event', event: { time: Date.now(), ...ending } });
}
