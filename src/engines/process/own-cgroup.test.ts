import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scratch } from '../../files/testing/rig.ts';
import { assertFree, sourceCgroup } from './own-cgroup.ts';

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
