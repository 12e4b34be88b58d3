import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scratch } from '../../files/testing/rig.ts';
import { assertFree, changeOf, membersOf, sourceCgroup } from './own-cgroup.ts';

/** A directory that looks like a cgroup. */
function cgroup(root: string, name: string, files: Record<string, string>): string {
  const path = join(root, name);
  mkdirSync(path, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
  return path;
}

test.each([
  ['job', { 'freezer.state': 'THAWED\n' }],
  ['job', { 'cgroup.freeze': '0\n', 'cgroup.events': 'populated 1\nfrozen 0\n' }],
  ['drayage-20261121-140309-1f2e', { 'freezer.state': 'THAWED\n' }],
])('what is in %s and runs may be moved', (name, files) => {
  using directory = scratch();
  expect(() => assertFree(7, cgroup(directory.path, name, files))).not.toThrow();
});

test.each([
  ['job', { 'freezer.state': 'FROZEN\n' }, 'is in a frozen cgroup'],
  ['job', { 'cgroup.freeze': '0\n', 'cgroup.events': 'populated 1\nfrozen 1\n' }, 'is in a frozen cgroup'],
  [sourceCgroup('20261121-140309-1f2e'), { 'freezer.state': 'THAWED\n' }, 'by migration 20261121-140309-1f2e'],
  [
    `${sourceCgroup('20261121-140309-1f2e')}/below`,
    { 'freezer.state': 'FROZEN\n' },
    'by migration 20261121-140309-1f2e',
  ],
])('what is in %s stays there: %s', (name, files, why) => {
  using directory = scratch();
  const home = cgroup(directory.path, name, files);
  expect(() => assertFree(7, home)).toThrow(expect.objectContaining({ code: 'WORKLOAD_BUSY' }));
  expect(() => assertFree(7, home)).toThrow(why);
});

const TREE = [
  { pid: 1, parent: 0, state: 'S', startedAt: '1' },
  { pid: 7, parent: 1, state: 'S', startedAt: '50' },
  { pid: 8, parent: 7, state: 'S', startedAt: '60' },
  { pid: 9, parent: 7, state: 'Z', startedAt: '70' },
];

test('a tree is that of the process that was looked at, not of another with its pid', () => {
  expect(membersOf(TREE, { pid: 7, id: '7-50' }).map(({ pid }) => pid)).toEqual([7, 8, 9]);
  for (const top of [
    { pid: 7, id: '7-49' },
    { pid: 6, id: '6-50' },
  ])
    expect(() => membersOf(TREE, top)).toThrow(expect.objectContaining({ code: 'TREE_CHANGED' }));
});

test.each([
  [[7, 8], undefined],
  [[8], 'Process 7 has ended.'],
  [[7, 8, 10], 'Process 10 has lost its parent meanwhile.'],
  [[7], 'Process 8 was put into another cgroup meanwhile.'],
])('a cgroup with %j: %s', (inside, change) => {
  expect(changeOf(inside, TREE, 7)).toBe(change);
});
