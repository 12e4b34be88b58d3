import { expect, test } from 'vitest';
import { diffManifests, type TreeDiff } from './diff.ts';
import type { Directory, Manifest } from './manifest.ts';

const DIR = 0o040755;
const FILE = 0o100644;
/** Long before the look. */
const OLD = 1_000_000.5;
const LOOK = 2_000_000;
const LATER = 2_000_500.25;

/** [mode, ino, ctime] by path; the root is the empty path. */
type Tree = Record<string, [mode: number, ino: number, ctimeMs: number, size?: number]>;

function manifest(tree: Tree, takenAtMs = LOOK): Manifest {
  const stats = (path: string): number[] => {
    const [mode, ino, ctimeMs, size = 0] = tree[path] as Tree[string];
    return [mode, ino, size, OLD, ctimeMs];
  };
  const directories = new Map<string, Directory>();
  for (const [path, [mode]] of Object.entries(tree)) {
    if (mode !== DIR) continue;
    const prefix = path === '' ? '' : `${path}/`;
    const names = Object.keys(tree)
      .filter((other) => other !== '' && other.startsWith(prefix) && !other.slice(prefix.length).includes('/'))
      .filter((other) => other !== path)
      .map((other) => other.slice(prefix.length));
    const numbers = names.flatMap((name) => stats(prefix + name));
    directories.set(path, { names: names.join('/'), stats: Float64Array.from(numbers) });
  }
  return { root: Float64Array.from(stats('')), directories, entries: Object.keys(tree).length, bytes: 0, takenAtMs };
}

const BASE: Tree = {
  '': [DIR, 1, OLD],
  a: [FILE, 2, OLD],
  d: [DIR, 3, OLD],
  'd/x': [FILE, 4, OLD],
  'd/e': [DIR, 5, OLD],
  'd/e/y': [FILE, 6, OLD],
};

test.each<[string, Tree, Partial<TreeDiff> & Pick<TreeDiff, 'changed' | 'directories' | 'deleted'>]>([
  ['nothing', BASE, { changed: [], directories: [], deleted: [] }],
  ['content', { ...BASE, a: [FILE, 2, LATER, 7] }, { changed: ['a'], directories: [], deleted: [] }],
  [
    'content, with size and time as before',
    { ...BASE, a: [FILE, 2, LATER] },
    { changed: ['a'], directories: [], deleted: [] },
  ],
  [
    'a new file',
    { ...BASE, d: [DIR, 3, LATER], 'd/new': [FILE, 7, LATER] },
    { changed: ['d', 'd/new'], directories: ['d'], deleted: [] },
  ],
  [
    'a deleted file',
    {
      '': [DIR, 1, LATER],
      d: BASE.d as Tree[string],
      'd/x': [FILE, 4, OLD],
      'd/e': [DIR, 5, OLD],
      'd/e/y': [FILE, 6, OLD],
    },
    { changed: [''], directories: [''], deleted: ['a'] },
  ],
  [
    'a deleted directory: its own name only',
    { '': [DIR, 1, LATER], a: [FILE, 2, OLD] },
    { changed: [''], directories: [''], deleted: ['d'] },
  ],
  [
    'a renamed directory: all that is in it, though nothing of that has changed',
    {
      '': [DIR, 1, LATER],
      a: [FILE, 2, OLD],
      z: [DIR, 3, LATER],
      'z/x': [FILE, 4, OLD],
      'z/e': [DIR, 5, OLD],
      'z/e/y': [FILE, 6, OLD],
    },
    { changed: ['', 'z', 'z/x', 'z/e', 'z/e/y'], directories: ['', 'z', 'z/e'], fresh: ['z', 'z/e'], deleted: ['d'] },
  ],
  [
    'a directory that was replaced by another of the same name',
    { ...BASE, '': [DIR, 1, LATER], d: [DIR, 9, LATER] },
    { changed: ['', 'd', 'd/x', 'd/e', 'd/e/y'], directories: ['', 'd', 'd/e'], fresh: ['d', 'd/e'], deleted: [] },
  ],
  [
    'a file that became a directory',
    { ...BASE, '': [DIR, 1, LATER], a: [DIR, 9, LATER], 'a/f': [FILE, 10, LATER] },
    { changed: ['', 'a', 'a/f'], directories: ['', 'a'], fresh: ['a'], deleted: [] },
  ],
  [
    'a directory that became a file',
    { '': [DIR, 1, LATER], a: [FILE, 2, OLD], d: [FILE, 9, LATER] },
    { changed: ['', 'd'], directories: [''], deleted: [] },
  ],
])('%s', (_, after, expected) => {
  const diff = diffManifests(manifest(BASE), manifest(after));
  const sorted = (paths: string[]) => paths.toSorted();
  expect({ ...diff, changed: sorted(diff.changed), directories: sorted(diff.directories) }).toEqual({
    fresh: [],
    ...expected,
    changed: sorted(expected.changed),
    directories: sorted(expected.directories),
  });
});

test.each([
  ['well before the look', LOOK - 100.5, false],
  ['in the tick of the look', LOOK - 5.5, true],
  ['after the look', LOOK + 1.5, true],
  ['in the second before the look, on a file system that keeps seconds', LOOK - 1000, true],
  ['well before the look, on a file system that keeps seconds', LOOK - 5000, false],
])('what changed %s counts as changed: %s', (_, ctimeMs, isChanged) => {
  const tree: Tree = { ...BASE, a: [FILE, 2, ctimeMs] };
  expect(diffManifests(manifest(tree), manifest(tree)).changed).toEqual(isChanged ? ['a'] : []);
});

test('names that only come in another order are the same', () => {
  const { d, ...rest } = BASE;
  const reordered: Tree = { '': BASE[''] as Tree[string], d: d as Tree[string], ...rest };
  expect(diffManifests(manifest(BASE), manifest(reordered)).changed).toEqual([]);
});
