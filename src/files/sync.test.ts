import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import { TreeSync } from './sync.ts';
import { describeTree } from './testing/describe-tree.ts';
import { mutate, mutations } from './testing/mutate.ts';
import { connection, type Rig, scratch, target } from './testing/rig.ts';

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

test('what was prepared sends only what has changed, and hard links stay what they are', async () => {
  using at = sides();
  mkdirSync(`${at.from}/d`);
  for (const name of ['a', 'b', 'd/c']) writeFileSync(`${at.from}/${name}`, name);
  linkSync(`${at.from}/a`, `${at.from}/d/linked`);
  await tick();
  await using sync = await at.begin();
  await sync.firstPass();
  await sync.prepareFinal();
  appendFileSync(`${at.from}/d/linked`, 'more');
  const { changed, deleted, bytes } = await sync.finalPass();
  expect({ changed, deleted }).toEqual({ changed: 2, deleted: 0 });
  expect(bytes).toBeLessThan(1000);
  expect(readFileSync(`${at.to}/a`, 'utf8')).toBe('amore');
  expect(await describeTree(at.to)).toEqual(await describeTree(at.from));
});

test('what is always to be sent is sent though no time tells of a change', async () => {
  using at = sides();
  writeFileSync(`${at.from}/mapped`, 'old');
  await tick();
  await using sync = await at.begin();
  await sync.firstPass();
  // A target that differs stands for a store through a mapping: the source shows nothing of it.
  const { atime, mtime } = statSync(`${at.to}/mapped`);
  writeFileSync(`${at.to}/mapped`, 'new');
  utimesSync(`${at.to}/mapped`, atime, mtime);
  expect((await sync.finalPass({ alwaysPaths: ['mapped', 'gone'] })).changed).toBe(1);
  expect(readFileSync(`${at.to}/mapped`, 'utf8')).toBe('old');
});

test('of a workload that does not run everything is what it is, with what no time tells', async () => {
  using at = sides();
  for (const name of ['gone', 'kept', 'same']) writeFileSync(`${at.from}/${name}`, 'old');
  await tick();
  await using sync = await at.begin();
  await sync.firstPass();
  renameSync(`${at.from}/gone`, `${at.from}/new`);
  const { atime, mtime } = statSync(`${at.from}/same`);
  writeFileSync(`${at.from}/same`, 'now');
  utimesSync(`${at.from}/same`, atime, mtime);
  const kept = statSync(`${at.to}/kept`);
  writeFileSync(`${at.to}/kept`, 'was');
  utimesSync(`${at.to}/kept`, kept.atime, kept.mtime);
  await sync.stoppedPass({ alwaysPaths: ['kept', 'not/there'] });
  await at.rig.idle();
  expect(readFileSync(`${at.to}/kept`, 'utf8')).toBe('old');
  expect(await describeTree(at.to)).toEqual(await describeTree(at.from));
});

test('what is always to be sent stays one file with its other names', async () => {
  using at = sides();
  mkdirSync(`${at.from}/d`);
  writeFileSync(`${at.from}/mapped`, 'old');
  linkSync(`${at.from}/mapped`, `${at.from}/d/other`);
  await tick();
  await using sync = await at.begin();
  await sync.firstPass();
  expect((await sync.finalPass({ alwaysPaths: ['mapped'] })).changed).toBe(2);
  expect(statSync(`${at.to}/d/other`).ino).toBe(statSync(`${at.to}/mapped`).ino);
});

test('what was away during the first pass and came back is sent with all that is in it', async () => {
  using at = sides();
  mkdirSync(`${at.from}/d/deep`, { recursive: true });
  writeFileSync(`${at.from}/d/deep/f`, 'x');
  await tick();
  await using sync = await TreeSync.begin({
    tree: { key: 'volume:v', kind: 'volume', path: at.from },
    ...at.rig.options,
    openRemote: async (key, pass) => {
      // Between the look and the transfer.
      if (pass === 'first') renameSync(`${at.from}/d`, `${at.from}/../away`);
      return at.rig.options.openRemote(key, pass);
    },
  });
  await sync.firstPass();
  renameSync(`${at.from}/../away`, `${at.from}/d`);
  await sync.finalPass();
  expect(await describeTree(at.to)).toEqual(await describeTree(at.from));
});

test('a tree may be a single file', async () => {
  using directory = scratch();
  const from = `${directory.path}/conf`;
  const to = `${directory.path}/target/conf`;
  mkdirSync(`${directory.path}/target`);
  writeFileSync(from, 'one');
  await tick();
  const rig = target({ first: to, final: to, isFile: true });
  await using sync = await TreeSync.begin({ tree: { key: 'bind:/conf', kind: 'bind', path: from }, ...rig.options });
  await sync.firstPass();
  await rig.idle();
  expect(readFileSync(to, 'utf8')).toBe('one');
  expect(await sync.finalPass()).toEqual({ changed: 0, deleted: 0, bytes: 0 });
  writeFileSync(from, 'two');
  expect((await sync.finalPass()).changed).toBe(1);
  await rig.idle();
  expect(readFileSync(to, 'utf8')).toBe('two');
});

test('a full disk on the target is told as such', async () => {
  using at = sides();
  const run = runner();
  mkdirSync(at.to);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'drayage-test', at.to]);
  try {
    writeFileSync(`${at.from}/big`, Buffer.alloc(1 << 20, 'x'));
    await using sync = await at.begin();
    await expect(sync.firstPass()).rejects.toMatchObject({ code: 'FILES_NO_SPACE' });
    await at.rig.idle();
  } finally {
    await run('umount', ['-l', at.to]);
  }
});

test('a target whose file system cannot hold all that makes a file is told', async () => {
  using at = sides();
  const run = runner();
  mkdirSync(at.to);
  writeFileSync(`${at.from}/f`, 'x');
  await run('setfattr', ['-n', 'user.x', '-v', 'y', `${at.from}/f`]);
  await run('mount', ['-t', 'ramfs', 'drayage-test', at.to]);
  try {
    await using sync = await at.begin();
    await expect(sync.firstPass()).rejects.toMatchObject({
      code: 'FILES_TRANSFER',
      message: expect.stringContaining('xattr'),
    });
    await at.rig.idle();
  } finally {
    await run('umount', ['-l', at.to]);
  }
});

test('a tree that is not there, and a stream that breaks, are told', async () => {
  using at = sides();
  const gone = { key: 'volume:v', kind: 'volume', path: `${at.from}/gone` } as const;
  await expect(TreeSync.begin({ tree: gone, ...at.rig.options })).rejects.toMatchObject({ code: 'FILES_UNREADABLE' });
  const broken = async () => {
    const [near, far] = await connection();
    far.destroy();
    return near;
  };
  const tree = { key: 'volume:v', kind: 'volume', path: at.from } as const;
  await using sync = await TreeSync.begin({ tree, ...at.rig.options, openRemote: broken });
  await expect(sync.firstPass()).rejects.toMatchObject({ code: 'FILES_TRANSFER' });
});

test.each(['firstPass', 'prepareFinal'] as const)('a signal ends %s, and both programs', async (step) => {
  using at = sides();
  writeFileSync(`${at.from}/big`, Buffer.alloc(32 << 20, 'x'));
  const abort = new AbortController();
  const tree = { key: 'volume:v', kind: 'volume', path: at.from } as const;
  await using sync = await TreeSync.begin({
    tree,
    ...at.rig.options,
    signal: abort.signal,
    onProgress: () => abort.abort(),
  });
  const work = sync[step]().then(() => sync.finalPass());
  if (step === 'prepareFinal') abort.abort();
  await expect(work).rejects.toMatchObject({ name: 'AbortError' });
  await at.rig.idle();
});
