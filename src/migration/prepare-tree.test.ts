import { expect, test } from 'vitest';
import type { UsedFile } from '../engines/process/used-files.ts';
import { canRewrite, firstFiles, lastFiles, listingsWithout } from './prepare-tree.ts';

function file(path: string, more: Partial<UsedFile> = {}): UsedFile {
  const common = { kind: 'file', bytes: 1, mode: 0o644, uid: 0, gid: 0, mtimeMs: 1, isWritten: false } as const;
  return { ...common, path, ...more };
}

test('before the freeze goes what the target lacks or has otherwise, and what is being written', () => {
  const files = [file('/same'), file('/missing'), file('/differs'), file('/left'), file('/log', { isWritten: true })];
  const paths = firstFiles(files, ['same', 'missing', 'differs', 'left', 'same']).map(({ path }) => path);
  expect(paths).toEqual(['/missing', '/differs', '/left', '/log']);
});

test('in it goes what may have changed since, and what was opened since', () => {
  const before = [file('/same'), file('/touched'), file('/log', { isWritten: true })];
  const now = [file('/same'), file('/touched', { mtimeMs: 2 }), file('/log', { isWritten: true }), file('/new')];
  expect(lastFiles(before, now).map(({ path }) => path)).toEqual(['/touched', '/log', '/new']);
});

test('content alone goes without rsync, where a file is one for itself and has been sent', () => {
  const log = file('/log', { isWritten: true });
  const sent = [file('/log'), file('/two', { isShared: true }), file('/dir', { kind: 'directory' }), file('/lib')];
  expect(canRewrite(sent, [])).toBe(true);
  expect(canRewrite(sent, [log])).toBe(true);
  const others = [
    ...[file('/new', { isWritten: true }), file('/two', { isWritten: true }), file('/lib'), { ...log, mode: 0o755 }],
    ...[file('/log', { isShared: true, isWritten: true }), file('/dir', { isWritten: true }), sent[2] as UsedFile],
  ];
  for (const other of others) expect(canRewrite(sent, [log, other]), JSON.stringify(other)).toBe(false);
});

test('what was sent and is gone is left out of its directory, and nothing else', () => {
  const staged = ['/a/gone', '/a/stays', '/a/b/c/deep', '/other', '/bin'].map((path) => file(path));
  expect(listingsWithout([file('/a/gone')], staged)).toEqual([{ path: 'a', names: ['stays', 'b'] }]);
  expect(listingsWithout([file('/other'), file('/bin')], staged)).toEqual([{ path: '', names: ['a'] }]);
  expect(listingsWithout([], staged)).toEqual([]);
});
