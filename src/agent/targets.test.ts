import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { scratch } from '../files/testing/rig.ts';
import { journalPath } from '../migration/journal.ts';
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
