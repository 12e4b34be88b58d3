import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { goodHost, goodWorkload, OPTIONS } from '../../test/fixtures/facts.ts';
import { scratch } from '../files/testing/rig.ts';
import { Journal, journalPath } from '../migration/journal.ts';
import { lastState } from '../migration/journal-records.ts';
import type { Relays } from '../traffic/relays.ts';
import type { ForwardStore } from '../traffic/store.ts';
import { Targets } from './targets.ts';

const ID = '20261121-120000-abcd';

test.each([
  ['a crash came before its header', ''],
  ['nothing is known of it', undefined],
])('a migration that never began is over: %s', async (_, content) => {
  using directory = scratch();
  if (content !== undefined) writeFileSync(journalPath(directory.path, ID, 'target'), content);
  const targets = new Targets({ journalDir: directory.path } as ConstructorParameters<typeof Targets>[0]);
  expect(await targets.outcome(ID)).toBe('aborted');
  expect(await targets.outcome(ID)).toBe('aborted');
});

test('a step that the end overtakes comes to nothing, and all is taken back before the session is gone', async () => {
  using directory = scratch();
  const resumed: unknown[] = [];
  const targets = new Targets({
    journalDir: directory.path,
    hostFacts: async () => goodHost('hostb'),
    log: () => {},
    stopping: new AbortController().signal,
    forwards: {} as ForwardStore,
    relays: { resume: (arriving: unknown) => void resumed.push(arriving) } as unknown as Relays,
  });
  const lost = Promise.withResolvers<void>();
  await targets.open({ id: ID, workload: goodWorkload(), options: OPTIONS, parents: {} }, lost.promise);
  const session = targets.get(ID);
  lost.resolve();
  // Without a turn of the event loop: its end is not on disk yet.
  while (!session.isOver) await Promise.resolve();
  await expect(session.settle()).rejects.toMatchObject({ code: 'CANCELLED' });
  await expect.poll(() => targets.busy).toBe(false);
  expect(resumed).toHaveLength(1);
  expect(lastState(await Journal.read(journalPath(directory.path, ID, 'target')))).toBe('aborted');
});
