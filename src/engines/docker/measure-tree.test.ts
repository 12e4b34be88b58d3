import { link, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { measureTree } from './measure-tree.ts';

let tree: string;

beforeAll(async () => {
  tree = await mkdtemp(join(tmpdir(), 'measure-tree-'));
});
afterAll(() => rm(tree, { recursive: true }));

test('counts space on disk, hard links once, holes and link targets not at all', async () => {
  const empty = await measureTree(tree);
  await mkdir(join(tree, 'a/b'), { recursive: true });
  await writeFile(join(tree, 'a/file'), Buffer.alloc(1 << 20, 1));
  await link(join(tree, 'a/file'), join(tree, 'a/b/link'));
  await writeFile(join(tree, 'sparse'), '');
  await truncate(join(tree, 'sparse'), 1 << 30);
  await symlink('/usr', join(tree, 'elsewhere'));
  const { bytes, entries } = await measureTree(tree);
  expect(entries - empty.entries).toBe(6);
  expect(bytes - empty.bytes).toBeGreaterThanOrEqual(1 << 20);
  expect(bytes - empty.bytes).toBeLessThan((1 << 20) + (64 << 10));
});

test('a single file, one that is not there, and a file system of the kernel', async () => {
  expect(await measureTree(join(tree, 'a/file'))).toMatchObject({ entries: 1 });
  expect(await measureTree(join(tree, 'missing'))).toEqual({ bytes: 0, entries: 0 });
  expect(await measureTree('/proc')).toEqual({ bytes: 0, entries: 0 });
});

test('can be given up', async () => {
  await expect(measureTree(tree, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
});
