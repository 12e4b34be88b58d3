import { closeSync, mkdtempSync, openSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareFiles, digestFiles } from './compare-files.ts';
import { noteLeft, stillLeft } from './left-files.ts';
import { usedFiles } from './used-files.ts';

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
  const used = await usedFiles([process.pid]);
  for (const fd of fds) closeSync(fd);
  const byPath = new Map(used.map((file) => [file.path, file]));
  expect(byPath.get(reads)).toMatchObject({ kind: 'file', isWritten: false });
  expect(byPath.get(writes)).toMatchObject({ kind: 'file', isWritten: true });
  expect(byPath.get(process.cwd())).toMatchObject({ kind: 'directory' });
  expect(used.some(({ path }) => path.includes('/libc.so') || path.includes('/ld-musl'))).toBe(true);
  expect(used.filter(({ path }) => /^\/(proc|sys|dev)\//.test(path))).toEqual([]);
});

test('a file is the same by content and mode, whatever its times', async () => {
  const path = join(dir, 'file');
  writeFileSync(path, 'one');
  const [file] = await digestFiles(
    [{ path, kind: 'file', ...statSync(path), bytes: 3, mode: statSync(path).mode & 0o7777, isWritten: false }],
    signal,
  );
  if (file === undefined) throw new Error('nothing was digested');
  utimesSync(path, 1, 1);
  expect(await compareFiles([file], signal)).toEqual(['same']);
  writeFileSync(path, 'two');
  expect(await compareFiles([file], signal)).toEqual(['differs']);
  rmSync(path);
  expect(await compareFiles([file], signal)).toEqual(['missing']);
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
