import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import { MOST_BYTES, MOST_FILES, readShort, rewriteShort } from './short-files.ts';

let from: string;
let to: string;
beforeEach(() => {
  [from, to] = ['from-', 'to-'].map((name) => mkdtempSync(join(tmpdir(), name))) as [string, string];
  for (const root of [from, to]) mkdirSync(join(root, 'a'));
});
afterEach(() => {
  for (const root of [from, to]) rmSync(root, { recursive: true });
});

test.each([
  ['longer', 'one\n', 'one\ntwo\n'],
  ['shorter', 'one\ntwo\n', 'one\n'],
  ['empty', 'one\n', ''],
])('a file that has become %s is brought up to date, in place', (_, before, after) => {
  const [source, target] = [join(from, 'a/log'), join(to, 'a/log')];
  writeFileSync(target, before);
  const { ino } = statSync(target);
  writeFileSync(source, 'other');
  chmodSync(source, 0o640);
  writeFileSync(source, after);
  const files = readShort(from, ['a/log']);
  expect(rewriteShort(to, files ?? [])).toBe(true);
  expect(readFileSync(target, 'utf8')).toBe(after);
  const { mtimeMs, mode } = statSync(source);
  expect(statSync(target)).toMatchObject({ ino, mode });
  expect(statSync(target).mtimeMs).toBeCloseTo(mtimeMs, 2);
});

test('what is not short, or no file for itself, is left to rsync', async () => {
  writeFileSync(join(from, 'large'), Buffer.alloc(MOST_BYTES + 1));
  for (const name of ['half', 'other']) writeFileSync(join(from, name), Buffer.alloc(MOST_BYTES / 2 + 1));
  writeFileSync(join(from, 'two'), '');
  linkSync(join(from, 'two'), join(from, 'names'));
  symlinkSync('half', join(from, 'link'));
  for (const name of ['mode', 'time']) writeFileSync(join(from, name), '');
  await sleep(20); // Longer than a tick of the kernel's clock for files.
  chmodSync(join(from, 'mode'), 0o600);
  utimesSync(join(from, 'time'), 1, 1);
  await runner()('mkfifo', [join(from, 'fifo')]);
  for (const paths of [['large'], ['half', 'other'], ['two'], ['mode'], ['time'], ['link'], ['fifo'], ['a'], ['none']])
    expect(readShort(from, paths), paths.join()).toBeUndefined();
  expect(readShort(from, new Array(MOST_FILES + 1).fill('half'))).toBeUndefined();
  expect(readShort(from, ['half'])).toHaveLength(1);
});

test('where one of them has not come before nothing is done', () => {
  for (const name of ['a/log', 'gone']) writeFileSync(join(from, name), 'new');
  writeFileSync(join(to, 'a/log'), 'old');
  expect(rewriteShort(to, readShort(from, ['a/log', 'gone']) ?? [])).toBe(false);
  symlinkSync(join(to, 'a/log'), join(to, 'gone'));
  expect(rewriteShort(to, readShort(from, ['gone', 'a/log']) ?? [])).toBe(false);
  expect(readFileSync(join(to, 'a/log'), 'utf8')).toBe('old');
});

test('nobody is led out of the root', () => {
  writeFileSync(join(from, 'victim'), 'old');
  symlinkSync(from, join(to, 'way'));
  const file = { mode: 0o644, uid: 0, gid: 0, mtimeMs: 0, content: 'bmV3' };
  expect(rewriteShort(to, [{ ...file, path: 'way/victim' }])).toBe(false);
  for (const path of ['../victim', 'a/../../victim', ''])
    expect(() => rewriteShort(to, [{ ...file, path }]), path).toThrow(/not safe/);
  expect(readFileSync(join(from, 'victim'), 'utf8')).toBe('old');
});
