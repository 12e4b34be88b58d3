import {
  chmodSync,
  closeSync,
  linkSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner, start } from '../../exec/run.ts';
import { compareContent, compareFiles, digestFiles } from './compare-files.ts';
import { descendants } from './descendants.ts';
import { noteLeft, stillLeft } from './left-files.ts';
import { filesOfTree, lookAgain, type UsedFile, usedFiles } from './used-files.ts';

const { signal } = new AbortController();
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'used-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a process uses its executable, what it has mapped and open, and the directory that it is in', async () => {
  const [reads, writes] = ['reads', 'writes'].map((name) => join(dir, name)) as [string, string];
  writeFileSync(reads, '');
  const fds = [openSync(reads, 'r'), openSync(writes, 'a')];
  linkSync(reads, join(dir, 'other name'));
  const used = await usedFiles([process.pid]);
  for (const fd of fds) closeSync(fd);
  const byPath = new Map(used.map((file) => [file.path, file]));
  expect(byPath.get(reads)).toMatchObject({ kind: 'file', isWritten: false, isShared: true });
  expect(byPath.get(writes)).toMatchObject({ kind: 'file', isWritten: true });
  expect(byPath.get(writes)).not.toHaveProperty('isShared');
  expect(byPath.get(process.cwd())).toMatchObject({ kind: 'directory' });
  expect(used.some(({ path }) => path.includes('/libc.so') || path.includes('/ld-musl'))).toBe(true);
  expect(used.filter(({ path }) => /^\/(proc|sys|dev)\//.test(path))).toEqual([]);
});

test('what a tree starts for a moment only counts, too', async () => {
  const tree = start('sh', ['-c', 'while :; do sleep 0.015; tail -f /dev/null --pid $$ & sleep 0.015; kill $!; done']);
  const root = tree.pid ?? 0;
  const isTail = (path: string): boolean => path.endsWith('/tail');
  try {
    while (descendants([root]).size === 1) await sleep(1);
    while ([...descendants([root]).values()].some(isTail)) await sleep(1);
    expect((await filesOfTree([root], signal)).map(({ path }) => path).filter(isTail)).toHaveLength(1);
  } finally {
    tree.kill('SIGKILL');
    await tree.ended;
  }
});

test('a file is the same by content and mode, whatever its times, unless it is being written', async () => {
  const path = join(dir, 'file');
  writeFileSync(path, 'one');
  const [file] = await digestFiles(
    [{ path, kind: 'file', ...statSync(path), bytes: 3, mode: statSync(path).mode & 0o7777, isWritten: false }],
    signal,
  );
  if (file === undefined) throw new Error('nothing was digested');
  utimesSync(path, 1, 1);
  expect(await compareFiles([file], signal)).toEqual(['same']);
  expect(await compareFiles([{ ...file, isWritten: true }], signal)).toEqual(['differs']);
  writeFileSync(path, 'two');
  expect(await compareFiles([file], signal)).toEqual(['differs']);
  rmSync(path);
  expect(await compareFiles([file], signal)).toEqual(['missing']);
});

test('where nothing may be read, files of one size and time are the same', async () => {
  const [one, other] = [join(dir, 'one'), join(dir, 'other')];
  for (const path of [one, other]) writeFileSync(path, path === one ? 'one' : 'two');
  for (const path of [one, other]) utimesSync(path, 1, 1);
  expect(await compareContent(one, other, signal)).toBe(true);
  utimesSync(other, 1, 2);
  expect(await compareContent(one, other, signal)).toBe(false);
  writeFileSync(other, 'one');
  expect(await compareContent(one, other, signal)).toBe(true);
});

test('what a fifo holds stays in it, and a fifo is the same as another of its mode', async () => {
  const [path, other] = [join(dir, 'fifo'), join(dir, 'other')];
  for (const each of [path, other]) await runner()('mkfifo', ['-m', '640', each]);
  const fd = openSync(path, 'r+');
  writeSync(fd, 'kept');
  const used = await usedFiles([process.pid]);
  const digested = await digestFiles(
    used.filter((file) => file.path === path),
    signal,
  );
  expect(digested).toMatchObject([{ kind: 'fifo', bytes: 0, isWritten: false, sha256: '' }]);
  const there = digested.map((file) => ({ ...file, path: other }));
  expect(await compareFiles(there, signal)).toEqual(['same']);
  expect(await compareContent(path, other, signal)).toBe(true);
  chmodSync(other, 0o600);
  expect(await compareFiles(there, signal)).toEqual(['differs']);
  const [wrong] = await digestFiles(
    digested.map((file) => ({ ...file, kind: 'file' as const })),
    signal,
  );
  expect(wrong?.sha256).toBe('');
  const kept = Buffer.alloc(10);
  expect(readSync(fd, kept)).toBe(4);
  closeSync(fd);
});

test('a path is looked at again whoever uses it, but not through a link', async () => {
  const [path, link] = [join(dir, 'file'), join(dir, 'link')];
  writeFileSync(path, 'text');
  symlinkSync(path, link);
  const at = (each: string): UsedFile => {
    return { path: each, kind: 'file', ...{ bytes: 1, mode: 0, uid: 0, gid: 0, mtimeMs: 0, isWritten: true } };
  };
  expect(await lookAgain(at(path))).toMatchObject({ kind: 'file', bytes: 4, isWritten: true });
  expect(await lookAgain(at(link))).toBeUndefined();
  expect(await lookAgain(at(join(dir, 'none')))).toBeUndefined();
});

test('files that were left behind are known as long as nobody touches them', async () => {
  const record = join(dir, 'left.json');
  const path = join(dir, 'log');
  writeFileSync(path, 'text');
  await noteLeft([path, join(dir, 'gone')], record);
  expect(await stillLeft([path, join(dir, 'gone')], record)).toEqual(new Set([path]));
  writeFileSync(path, 'more');
  expect(await stillLeft([path], record)).toEqual(new Set());
});
