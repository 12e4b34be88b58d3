import { expect, test } from 'vitest';
import { DrayageError } from '../../errors.ts';
import type { SourceMigration } from '../../migration/source-migration.ts';
import type { TargetOutcome } from '../../migration/target-port.ts';
import { finish } from './finish.ts';
import type { ReplayTarget } from './target-port.ts';

const WORKLOAD = { ref: { engine: 'docker', name: 'My_dev' } } as const;
const LOST = new DrayageError('AGENT_LOST', 'The connection was lost.');

/** A target whose first word is lost or is an error, and whose journal tells an outcome when it is asked. */
function finishing(answer: DrayageError | 'well', outcome?: TargetOutcome): ReturnType<typeof finish> {
  const redial = async () => {
    if (outcome === undefined) throw LOST;
    return { outcome: async () => outcome, close: async () => {} };
  };
  const stopping = outcome === undefined ? AbortSignal.abort() : new AbortController().signal;
  const m = { id: 'm1', cancelled: undefined, stopping, redial } as unknown as SourceMigration;
  const target = {
    finish: async () => {
      if (answer !== 'well') throw answer;
      return { image: 'i', containerId: 'c', notes: [] };
    },
  } as unknown as ReplayTarget;
  return finish(m, target, WORKLOAD, true);
}

test('the answer of the target, and what it failed with', async () => {
  expect(await finishing('well')).toEqual({ image: 'i', containerId: 'c', notes: [] });
  const refused = new DrayageError('DOCKER_REFUSED', 'in use');
  await expect(finishing(refused, 'committed')).rejects.toBe(refused);
});

test('where the answer was lost, the journal of the target says how it ended', async () => {
  expect(await finishing(LOST, 'committed')).toMatchObject({
    image: 'drayage-replay/my-dev:m1',
    containerId: 'My_dev',
  });
  await expect(finishing(LOST, 'aborted')).rejects.toBe(LOST);
  await expect(finishing(LOST)).rejects.toBe(LOST);
});
