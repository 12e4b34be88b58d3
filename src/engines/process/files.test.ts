import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner } from '../../exec/run.ts';
import { compareFiles, digestFiles } from './compare-files.ts';
import { noteLeft, stillLeft } from './left-files.ts';
import { placeFiles, TREE, takeBackFiles } from './place-files.ts';
import { usedFiles } from './used-files.ts';

const { signal } = new AbortController();
const run = runner();
let dir: string;
let stage: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'used-'));
  stage = join(dir, 'stage');
  mkdirSync(join(stage, TREE), { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A file that has come from the source, for its own place below `dir`. */
function staged(name: string, content: string): string {
  const path = join(dir, name);
  mkdirSync(join(stage, TREE, dir, name, '..'), { recursive: true });
  writeFileSync(join(stage, TREE, path), content);
  return path;
}

function place(options: { mayReplace?: boolean; wanted?: (path: string) => boolean } = {}): Promise<void> {
  return placeFiles({ stage, run, signal, mayReplace: false, wanted: () => true, ...options });
}

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

test('what is put in place can be taken back, with the directories that it needed', async () => {
  const path = staged('a/b/file', 'new');
  await place();
  expect(readFileSync(path, 'utf8')).toBe('new');
  await takeBackFiles(stage, run);
  expect(existsSync(join(dir, 'a'))).toBe(false);
  expect(existsSync(stage)).toBe(false);
});

test('a file that differs is in the way, unless it may be replaced; then it can be had back', async () => {
  const path = staged('file', 'new');
  writeFileSync(path, 'old');
  await expect(place()).rejects.toThrow(`The target has another ${path}.`);
  expect(readFileSync(path, 'utf8')).toBe('old');
  await place({ mayReplace: true });
  expect(readFileSync(path, 'utf8')).toBe('new');
  await takeBackFiles(stage, run);
  expect(readFileSync(path, 'utf8')).toBe('old');
});

test('what was put in place is brought up to date, and is still ours to take back', async () => {
  const path = staged('log', 'first');
  await place();
  staged('log', 'first, and second');
  await place();
  expect(readFileSync(path, 'utf8')).toBe('first, and second');
  await takeBackFiles(stage, run);
  expect(existsSync(path)).toBe(false);
});

test('only what is wanted is put in place', async () => {
  const [now, later] = [staged('now', '1'), staged('later', '2')];
  await place({ wanted: (path) => path === now });
  expect([existsSync(now), existsSync(later)]).toEqual([true, false]);
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
