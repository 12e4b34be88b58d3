import { expect, test } from 'vitest';
import { type Doubtful, settleDoubt } from './doubt.ts';
import type { TargetOutcome, TargetPort } from './target-port.ts';

/** A target that cannot be reached `unreachable` times and then answers. */
function doubtful(unreachable: number, answer: TargetOutcome): Doubtful & { dials: number; notes: string[] } {
  const target = { outcome: async () => answer, close: async () => {} } as unknown as TargetPort;
  return {
    id: 'm1',
    to: 'hostb',
    dials: 0,
    notes: [],
    async redial() {
      if (this.dials++ < unreachable) throw new Error('no route to host');
      return target;
    },
    emit({ message }) {
      this.notes.push(message);
    },
  };
}

test.each([
  ['committed', 'running'],
  ['aborted', 'aborted'],
  ['unknown', 'unknown'],
] as const)('a target that says %s settles it as %s', async (answer, outcome) => {
  const m = doubtful(0, answer);
  expect(await settleDoubt(m)).toMatchObject({ outcome });
  expect(m.target).toBeDefined();
});

test('it asks until there is an answer, and says that it is still in doubt', async () => {
  const m = doubtful(3, 'aborted');
  expect(await settleDoubt(m)).toMatchObject({ outcome: 'aborted' });
  expect(m.dials).toBe(4);
  expect(m.notes.join()).toContain('no route to host');
});

test('the end of the agent ends the asking, without an answer', async () => {
  const m = doubtful(Number.POSITIVE_INFINITY, 'aborted');
  const end = new AbortController();
  const asking = settleDoubt(m, end.signal);
  setTimeout(() => end.abort(new Error('stopping')), 50);
  await expect(asking).rejects.toThrow();
});
