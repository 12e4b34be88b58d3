import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { duplexPair, PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import { applyChanges, divided, unpackTree, writeChanges } from './packed.ts';
import { PackedSource } from './packed-source.ts';
import { describeTree } from './testing/describe-tree.ts';
import { mutate, mutations } from './testing/mutate.ts';
import { scratch } from './testing/rig.ts';

/** More of them find more. */
const RUNS = Number(process.env.DRAYAGE_TEST_RUNS ?? 10);

test('after both passes the trees are the same but for sockets, whatever happened', async () => {
  await fc.assert(
    fc.asyncProperty(mutations(3), async ([before = [], during = [], between = []]) => {
      const without = (list: typeof before) => list.filter(({ kind }) => kind !== 'socket');
      using directory = scratch();
      const [from, to] = [`${directory.path}/from`, `${directory.path}/to`];
      mkdirSync(from);
      await mutate(from, without(before));
      const { source, recorded } = packing(from);
      await Promise.all([source.firstPass(), sleep(20).then(() => mutate(from, without(during)))]);
      await mutate(from, without(between));
      await source.finalPass();
      await recorded.replay({ root: to });
      expect(await describeTree(to)).toEqual(await describeTree(from));
    }),
    { numRuns: RUNS },
  );
});

test('a single file', async () => {
  using directory = scratch();
  const [from, to] = [`${directory.path}/from`, `${directory.path}/to`];
  writeFileSync(from, 'one');
  const { source, recorded } = packing(from, 'bind:/f');
  await source.firstPass();
  await sleep(25);
  writeFileSync(from, 'two');
  await source.finalPass();
  await recorded.replay({ root: to, isFile: true });
  expect(readFileSync(to, 'utf8')).toBe('two');
});

test('a first pass goes over what one that was cut short has left', async () => {
  using directory = scratch();
  const [from, to] = [`${directory.path}/from`, `${directory.path}/to`];
  mkdirSync(from);
  writeFileSync(`${from}/file`, 'new');
  mkdirSync(`${to}/old/deep`, { recursive: true });
  const { source, recorded } = packing(from);
  await source.firstPass();
  await recorded.replay({ root: to });
  expect(await describeTree(to)).toEqual(await describeTree(from));
});

test('a list of changes that leads out of the tree through a link is refused', async () => {
  using directory = scratch();
  const root = `${directory.path}/tree`;
  mkdirSync(`${directory.path}/outside`);
  writeFileSync(`${directory.path}/outside/file`, 'precious');
  mkdirSync(root);
  symlinkSync('../outside', `${root}/link`);
  for (const path of ['link/file', '../outside/file', '/etc/passwd', 'a//b', '.']) {
    const stream = new PassThrough();
    void writeChanges(stream, { listings: [], paths: [path], links: [] });
    await expect(applyChanges({ root, stream })).rejects.toMatchObject({ code: 'FILES_UNSAFE_PATH' });
  }
  expect(existsSync(`${directory.path}/outside/file`)).toBe(true);
});

test('a list of changes is divided between directories, all of it in its order', () => {
  const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`);
  const listings = [60_000, 60_000, 250_000, 3].map((count, i) => ({ path: `d${i}`, names: names(count) }));
  const changes = { listings, paths: names(150_000), links: [names(90_000), ['a', 'b'], ['c', 'd', 'e']] };
  const parts = [...divided(changes)];
  expect(parts.map(({ listings, paths, links }) => [listings.length, paths.length, links.length])).toEqual([
    [1, 0, 0],
    [1, 0, 0],
    [1, 0, 0],
    [1, 99_996, 0],
    [0, 50_004, 0],
    [0, 0, 3],
  ]);
  expect(parts.flatMap((part) => part.listings)).toEqual(listings);
  expect(parts.flatMap((part) => part.paths)).toEqual(changes.paths);
  expect(parts.flatMap((part) => part.links)).toEqual(changes.links);
});

test('directories, the root one of them, lose the attributes that they have no more', async () => {
  using directory = scratch();
  const [from, to] = [`${directory.path}/from`, `${directory.path}/to`];
  mkdirSync(`${from}/a/b`, { recursive: true });
  const set = (...args: string[]) => runner()('setfattr', [...args, from, `${from}/a/b`]);
  await set('-n', 'user.old', '-v', '1');
  const { source, recorded } = packing(from);
  await source.firstPass();
  await set('-x', 'user.old');
  await set('-n', 'trusted.new', '-v', '1');
  await source.finalPass();
  await recorded.replay({ root: to });
  expect(await describeTree(to)).toEqual(await describeTree(from));
});

test('names of one device become one again, and nothing is linked that a link leads to', async () => {
  using directory = scratch();
  const [from, to, outside] = [`${directory.path}/from`, `${directory.path}/to`, `${directory.path}/outside`];
  for (const path of [`${from}/below`, outside]) mkdirSync(path, { recursive: true });
  await mutate(from, [{ kind: 'fifo', path: 'a', other: '', number: 0 }]);
  linkSync(`${from}/a`, `${from}/b`);
  const { source, recorded } = packing(from);
  await source.firstPass();
  // Nothing else has changed: the list comes alone.
  await source.finalPass();
  linkSync(`${from}/a`, `${from}/below/c`);
  await source.finalPass();
  await recorded.replay({ root: to });
  expect(await describeTree(to)).toEqual(await describeTree(from));

  symlinkSync(outside, `${to}/link`);
  for (const link of [
    ['a', 'link/a'],
    ['link/a', 'd'],
    ['a', '../d'],
    ['none', 'd'],
  ]) {
    const stream = new PassThrough();
    void writeChanges(stream, { listings: [], paths: [], links: [link] });
    await expect(applyChanges({ root: to, stream })).rejects.toMatchObject({
      code: expect.stringMatching(/^FILES_(TRANSFER|UNSAFE_PATH)$/),
    });
  }
  expect(readdirSync(outside)).toEqual([]);
});

test('a list of changes that has no end is refused', async () => {
  using directory = scratch();
  const stream = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(64 << 20, ' ');
    })(),
  );
  await expect(applyChanges({ root: directory.path, stream })).rejects.toMatchObject({ code: 'FILES_TRANSFER' });
});

test('a second tar does not go through the links of the first, with names or with hard links', async () => {
  using directory = scratch();
  const [evil, outside, root] = [`${directory.path}/evil`, `${directory.path}/outside`, `${directory.path}/tree`];
  for (const path of [evil, outside, root, `${evil}/link`]) mkdirSync(path);
  writeFileSync(`${outside}/precious`, 'precious');
  symlinkSync('../outside', `${root}/link`);
  const tar = async (...names: string[]): Promise<Buffer> => {
    await runner()('tar', ['-C', evil, '-cf', `${directory.path}/tar`, '--no-recursion', ...names]);
    return readFileSync(`${directory.path}/tar`);
  };
  writeFileSync(`${evil}/link/file`, 'evil');
  await unpackTree({ root, pass: 'final', stream: Readable.from([await tar('link/file')]) });
  expect(readdirSync(outside)).toEqual(['precious']);
  expect(readdirSync(root)).toEqual(['link']);
  expect(readFileSync(`${root}/link/file`, 'utf8')).toBe('evil');

  // A hard link to what only the link of the first leads to.
  symlinkSync('../outside', `${root}/other`);
  mkdirSync(`${evil}/other`);
  writeFileSync(`${evil}/other/precious`, '');
  linkSync(`${evil}/other/precious`, `${evil}/taken`);
  const onlyTheLink = (await tar('other/precious', 'taken')).subarray(512);
  await expect(unpackTree({ root, pass: 'final', stream: Readable.from([onlyTheLink]) })).rejects.toMatchObject({
    code: 'FILES_TRANSFER',
  });
  expect(lstatSync(`${outside}/precious`).nlink).toBe(1);
  expect(readdirSync(root).toSorted()).toEqual(['link', 'other']);
});

test('a tar that is cut short is told', async () => {
  using directory = scratch();
  mkdirSync(`${directory.path}/from`);
  writeFileSync(`${directory.path}/from/file`, Buffer.alloc(100_000));
  const { source, recorded } = packing(`${directory.path}/from`);
  await source.firstPass();
  const whole = await recorded.content('first');
  const stream = Readable.from([whole.subarray(0, 50_000)]);
  await expect(unpackTree({ root: `${directory.path}/to`, pass: 'first', stream })).rejects.toMatchObject({
    code: 'FILES_TRANSFER',
  });
});

function packing(path: string, key = 'volume:v'): { source: PackedSource; recorded: Recorded } {
  const recorded = new Recorded();
  return { source: new PackedSource({ tree: { key, path }, open: async (part) => recorded.open(part) }), recorded };
}

/** What a source has written, for later. */
class Recorded {
  readonly #parts: { part: 'first' | 'changes' | 'final'; content: Promise<Buffer> }[] = [];

  open(part: 'first' | 'changes' | 'final') {
    const [near, far] = duplexPair();
    const content = (async () => {
      const pieces: Buffer[] = [];
      for await (const piece of far) pieces.push(piece as Buffer);
      return Buffer.concat(pieces);
    })();
    this.#parts.push({ part, content });
    return near;
  }

  content(part: string): Promise<Buffer> {
    return this.#parts.find((one) => one.part === part)?.content ?? Promise.resolve(Buffer.alloc(0));
  }

  async replay(tree: { root: string; isFile?: boolean }): Promise<void> {
    for (const { part, content } of this.#parts) {
      const stream = Readable.from([await content]);
      if (part === 'changes') await applyChanges({ ...tree, stream });
      else await unpackTree({ ...tree, pass: part, stream });
    }
  }
}
