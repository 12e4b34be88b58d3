/** The end of a migration that leaves its source running. */
import { DrayageError } from '../../errors.ts';
import type { Frozen } from '../dump.ts';
import { result } from '../ending.ts';
import type { MigrationResult } from '../events.ts';
import { TARGET } from '../prepared.ts';
import type { SourceMigration } from '../source-migration.ts';
import type { CommitAnswer } from '../target-port.ts';
import type { UndoStack } from '../undo.ts';

/** All that is to be known of it has been written down: it goes on, and what becomes of the archive is none of its. */
export async function snapshot(m: SourceMigration, { atMs }: Frozen, undo: UndoStack): Promise<MigrationResult> {
  undo.drop(TARGET);
  const failures = await m.phase('release', () => undo.run());
  const outageMs = m.trace.now() - atMs;
  for (const { error } of failures) m.emit({ type: 'note', message: DrayageError.from(error).message });
  await m.journal.append({ type: 'state', state: 'undone' });
  const answer = await m.phase('commit', () => m.target.commit(m.id).catch((error) => askFor(m, error)));
  if (answer.outcome === 'running') return result(m, 'committed', { outageMs });
  return result(m, 'undone', { outageMs, error: new DrayageError('ARCHIVE_WRITE', answer.reason) });
}

/** Something failed when somebody may have had the archive: it is there, or it is not known to be. */
async function askFor(m: SourceMigration, error: unknown): Promise<CommitAnswer> {
  const written = await m.redial();
  if ((await written.outcome(m.id)) !== 'committed') throw error;
  return { outcome: 'running', sinceMs: 0 };
}
