import { expect, test } from 'vitest';
import { DrayageError } from '../../errors.ts';
import { scratch } from '../../files/testing/rig.ts';
import { Journal, journalPath } from '../journal.ts';
import { eventsOf } from '../journal-records.ts';
import type { TargetOutcome } from '../target-port.ts';
import { ofImport, recoverImport, resolveImport } from './recover-import.ts';

const ID = '20261121-120000-abcd';

test.each([
  ['source', 'undone'],
  ['target', 'committed'],
] as const)('an import whose outcome is unknown is ended by the word of a human: keep %s', async (keep, outcome) => {
  using directory = scratch();
  await using journal = await recovered(directory.path, 'unknown');
  expect(eventsOf(journal.records)).toMatchObject([{ outcome: 'unknown', error: { code: 'OUTCOME_UNKNOWN' } }]);
  const told: unknown[] = [];
  const here = async (...what: unknown[]): Promise<void> => void told.push(what);
  expect(await resolveImport({ id: ID, journal }, keep, here)).toMatchObject({ outcome });
  expect(told).toEqual([[ID, keep]]);
  await journal.close();
  const records = await Journal.read(journalPath(directory.path, ID, 'source'));
  expect(eventsOf(records).at(-1)).toMatchObject({ type: 'result', outcome });
});

test('no import is told that its workload runs on somewhere', () => {
  for (const code of ['COMMIT_REFUSED', 'RESTORE_FAILED', 'AGENT_RESTARTED'] as const) {
    const error = ofImport(new DrayageError(code, 'As told.'));
    expect(error).toMatchObject({ code, message: 'As told.', meaning: expect.not.stringMatching(/runs? on/) });
  }
  const other = new DrayageError('ARCHIVE_DAMAGED', 'As told.');
  expect(ofImport(other)).toBe(other);
});

test('one whose outcome is known is not', async () => {
  using directory = scratch();
  await using journal = await recovered(directory.path, 'aborted');
  const here = async (): Promise<void> => expect.unreachable();
  await expect(resolveImport({ id: ID, journal }, 'target', here)).rejects.toMatchObject({ code: 'NOT_IN_DOUBT' });
});

async function recovered(directory: string, outcome: TargetOutcome): Promise<Journal> {
  const journal = await Journal.create(directory, ID, 'source', { archive: 'x' });
  await recoverImport({ id: ID, journal }, async () => outcome);
  await journal.close();
  return Journal.reopen(journal.path);
}
