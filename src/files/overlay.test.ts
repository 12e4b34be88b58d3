import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import { TreeSync } from './sync.ts';
import { describeTree } from './testing/describe-tree.ts';
import { mutate, mutations } from './testing/mutate.ts';
import { scratch, target } from './testing/rig.ts';

const RUNS = Number(process.env.DRAYAGE_TEST_RUNS ?? 10);
const run = runner();

/** A tmpfs, because an overlay cannot stand on another one, which the test may run in. */
async function hosts(): Promise<AsyncDisposable & { path: string }> {
  const directory = scratch();
  await run('mount', ['-t', 'tmpfs', 'drayage-test', directory.path]);
  for (const side of ['a', 'b'])
    for (const part of ['upper', 'work', 'merged']) mkdirSync(`${directory.path}/${side}/${part}`, { recursive: true });
  mkdirSync(`${directory.path}/a/lower`);
  return {
    path: directory.path,
    [Symbol.asyncDispose]: async () => {
      for (const side of ['a', 'b'])
        await run('umount', ['-l', `${directory.path}/${side}/merged`], { okCodes: [0, 32] });
      await run('umount', ['-l', directory.path]);
      directory[Symbol.dispose]();
    },
  };
}

async function mountOverlay(side: string): Promise<void> {
  const options = `lowerdir=${side}/lower,upperdir=${side}/upper,workdir=${side}/work,redirect_dir=off,metacopy=off,index=off`;
  await run('mount', ['-t', 'overlay', '-o', options, 'overlay', `${side}/merged`]);
}

test('a writable layer gives the same root file system on the target', async () => {
  await fc.assert(
    fc.asyncProperty(mutations(4), async ([image = [], before = [], during = [], between = []]) => {
      await using at = await hosts();
      const a = `${at.path}/a`;
      const b = `${at.path}/b`;
      await mutate(`${a}/lower`, image);
      await run('cp', ['-a', `${a}/lower`, `${b}/lower`]);
      await mountOverlay(a);
      await mutate(`${a}/merged`, before);
      const rig = target({ first: `${b}/upper`, final: `${b}/merged` });
      const tree = { key: 'upper', kind: 'upper', path: `${a}/upper` } as const;
      await using sync = await TreeSync.begin({ tree, merged: `${a}/merged`, ...rig.options });
      await Promise.all([sync.firstPass(), sleep(20).then(() => mutate(`${a}/merged`, during))]);
      await rig.idle();
      await mountOverlay(b);
      await mutate(`${a}/merged`, between);
      await sync.finalPass();
      await rig.idle();
      expect(await describeTree(`${b}/merged`)).toEqual(await describeTree(`${a}/merged`));
    }),
    { numRuns: RUNS },
  );
}, 600_000);
