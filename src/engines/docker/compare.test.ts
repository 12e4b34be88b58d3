import { expect, test } from 'vitest';
import { differences, type Exception } from './compare.ts';

test.each<[string, unknown, unknown, Exception[], string[]]>([
  ['equal', { a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }, [], []],
  ['a leaf', { a: { b: 1, c: 2 } }, { a: { b: 1, c: 3 } }, [], ['a.c']],
  ['only on one side', { a: {} }, { a: { b: 1 }, c: 1 }, [], ['a.b', 'c']],
  ['null is not an empty list', { a: null }, { a: [] }, [], ['a']],
  ['a list is not an object', { a: [] }, { a: {} }, [], ['a']],
  ['order of a list', { a: [1, 2] }, { a: [2, 1] }, [], ['a.0', 'a.1']],
  [
    'order of mounts',
    { Mounts: [{ Destination: '/a' }, { Destination: '/b' }] },
    { Mounts: [{ Destination: '/b' }, { Destination: '/a' }] },
    [],
    [],
  ],
  ['excepted with all below', { a: { b: 1, c: { d: 1 } } }, { a: { b: 2, c: { d: 2 } } }, [{ path: 'a.c' }], ['a.b']],
  ['any one segment', { a: { 'x.y': { d: 1 } } }, { a: { 'x.y': { d: 2 } } }, [{ path: 'a.*.d' }], []],
  [
    'one way only',
    { a: 1, b: undefined },
    { a: 2, b: 2 },
    ['a', 'b'].map((path) => ({ path, only: (x) => x === undefined })),
    ['a'],
  ],
  ['one way only, of the leaf itself', { a: {} }, { a: { b: 1 } }, [{ path: 'a', only: () => true }], ['a.b']],
])('%s', (_, a, b, except, paths) => {
  expect(differences(a, b, except).map(({ path }) => path)).toEqual(paths);
});
