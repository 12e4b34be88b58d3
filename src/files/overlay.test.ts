import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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

/** What the engine leaves to the kernel's own setting, which differs between distributions. */
type Setting = 'redirect_dir=off,metacopy=off' | 'redirect_dir=on,metacopy=on';

async function mountOverlay(side: string, setting: Setting): Promise<void> {
  const options = `lowerdir=${side}/lower,upperdir=${side}/upper,workdir=${side}/work,index=off,${setting}`;
  await run('mount', ['-t', 'overlay', '-o', options, 'overlay', `${side}/merged`]);
}

const SETTINGS: Setting[] = ['redirect_dir=off,metacopy=off', 'redirect_dir=on,metacopy=on'];

test.each(SETTINGS)(
  'a writable layer gives the same root file system on the target (%s)',
  async (setting) => {
    await fc.assert(
      fc.asyncProperty(mutations(4), async ([image = [], before = [], during = [], between = []]) => {
        await using at = await hosts();
        const a = `${at.path}/a`;
        const b = `${at.path}/b`;
        await mutate(`${a}/lower`, image);
        await run('cp', ['-a', `${a}/lower`, `${b}/lower`]);
        await mountOverlay(a, setting);
        await mutate(`${a}/merged`, before);
        const rig = target({ first: `${b}/upper`, final: `${b}/merged` });
        const tree = { key: 'upper', kind: 'upper', path: `${a}/upper` } as const;
        await using sync = await TreeSync.begin({ tree, merged: `${a}/merged`, ...rig.options });
        await Promise.all([sync.firstPass(), sleep(20).then(() => mutate(`${a}/merged`, during))]);
        await rig.idle();
        await mountOverlay(b, setting);
        await mutate(`${a}/merged`, between);
        await sync.finalPass();
        await rig.idle();
        expect(await describeTree(`${b}/merged`)).toEqual(await describeTree(`${a}/merged`));
      }),
      { numRuns: RUNS },
    );
  },
  600_000,
);

test('a writable layer that is mounted on neither side is the same layer on the target', async () => {
  await fc.assert(
    fc.asyncProperty(mutations(3), async ([image = [], before = [], between = []]) => {
      await using at = await hosts();
      const a = `${at.path}/a`;
      const b = `${at.path}/b`;
      await mutate(`${a}/lower`, image);
      await run('cp', ['-a', `${a}/lower`, `${b}/lower`]);
      await mountOverlay(a, 'redirect_dir=off,metacopy=off');
      await mutate(`${a}/merged`, before);
      const rig = target({ first: `${b}/upper`, final: `${b}/merged` });
      const tree = { key: 'upper', kind: 'upper', path: `${a}/upper` } as const;
      await using sync = await TreeSync.begin({ tree, merged: `${a}/merged`, ...rig.options });
      await sync.firstPass();
      await mutate(`${a}/merged`, between);
      await run('umount', [`${a}/merged`]);
      await sync.stoppedPass();
      await rig.idle();
      await mountOverlay(a, 'redirect_dir=off,metacopy=off');
      await mountOverlay(b, 'redirect_dir=off,metacopy=off');
      expect(await describeTree(`${b}/merged`)).toEqual(await describeTree(`${a}/merged`));
    }),
    { numRuns: RUNS },
  );
}, 600_000);

test('a directory of the image that took the name of another is that one, also where its layer only says so', async () => {
  await using at = await hosts();
  const a = `${at.path}/a`;
  const b = `${at.path}/b`;
  for (const name of ['one', 'two']) {
    mkdirSync(`${a}/lower/${name}/deep`, { recursive: true });
    for (const file of ['x', 'deep/y']) writeFileSync(`${a}/lower/${name}/${file}`, name);
  }
  await run('cp', ['-a', `${a}/lower`, `${b}/lower`]);
  await mountOverlay(a, 'redirect_dir=on,metacopy=on');
  const rig = target({ first: `${b}/upper`, final: `${b}/merged` });
  const tree = { key: 'upper', kind: 'upper', path: `${a}/upper` } as const;
  await using sync = await TreeSync.begin({ tree, merged: `${a}/merged`, ...rig.options });
  await sync.firstPass();
  await rig.idle();
  await mountOverlay(b, 'redirect_dir=off,metacopy=off');
  rmSync(`${a}/merged/two`, { recursive: true });
  renameSync(`${a}/merged/one`, `${a}/merged/two`);
  await sync.finalPass();
  expect(await describeTree(`${b}/merged`)).toEqual(await describeTree(`${a}/merged`));
});
