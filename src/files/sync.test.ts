import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TreeSync } from './sync.ts';
import { describeTree } from './testing/describe-tree.ts';
import { mutate, mutations } from './testing/mutate.ts';
import { type Rig, scratch, target } from './testing/rig.ts';

/** More of them find more; see also overlay.test.ts. */
const RUNS = Number(process.env.DRAYAGE_TEST_RUNS ?? 10);

interface Sides extends Disposable {
  from: string;
  to: string;
  rig: Rig;
  begin(): Promise<TreeSync>;
}

function sides(): Sides {
  const directory = scratch();
  const from = `${directory.path}/from`;
  const to = `${directory.path}/to`;
  mkdirSync(from);
  const rig = target({ first: to, final: to });
  return {
    from,
    to,
    rig,
    begin: () => TreeSync.begin({ tree: { key: 'volume:v', kind: 'volume', path: from }, ...rig.options }),
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

/** A change in the same tick of the clock as the look before would count as a change anyway. */
const tick = () => sleep(25);

test.each([1, 2])(
  'after %i first passes and the final one the trees are the same, whatever happened',
  async (passes) => {
    await fc.assert(
      fc.asyncProperty(mutations(3), async ([before = [], during = [], between = []]) => {
        using at = sides();
        await mutate(at.from, before);
        await using sync = await at.begin();
        await Promise.all([sync.firstPass(), sleep(20).then(() => mutate(at.from, during))]);
        if (passes > 1) await sync.firstPass();
        await mutate(at.from, between);
        await sync.finalPass();
        await at.rig.idle();
        expect(await describeTree(at.to)).toEqual(await describeTree(at.from));
      }),
      { numRuns: RUNS },
    );
  },
  600_000,
);

test('where nothing has changed nothing is started', async () => {
  using at = sides();
  writeFileSync(`${at.from}/f`, 'x');
  await tick();
  await using sync = await at.begin();
  await sync.firstPass();
  expect(await sync.finalPass()).toEqual({ changed: 0, deleted: 0, bytes: 0 });
  expect(at.rig.opened).toEqual(['first']);
});
