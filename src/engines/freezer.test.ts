import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freeze, isFrozen, thaw } from './freezer.ts';

let cgroup: string;
beforeEach(() => {
  cgroup = mkdtempSync(join(tmpdir(), 'cgroup-'));
});
afterEach(() => rmSync(cgroup, { recursive: true }));

// Plain files stand in for the kernel's: version 1 echoes the state, version 2 tells it in another file.
test('version 1: freezes and thaws by freezer.state', async () => {
  writeFileSync(join(cgroup, 'freezer.state'), 'THAWED\n');
  await freeze(cgroup);
  expect(isFrozen(cgroup)).toBe(true);
  thaw(cgroup);
  expect(isFrozen(cgroup)).toBe(false);
});

test('version 2: waits for the event', async () => {
  writeFileSync(join(cgroup, 'cgroup.freeze'), '0');
  writeFileSync(join(cgroup, 'cgroup.events'), 'populated 1\nfrozen 0\n');
  const freezing = freeze(cgroup);
  expect(readFileSync(join(cgroup, 'cgroup.freeze'), 'utf8')).toBe('1');
  setTimeout(() => writeFileSync(join(cgroup, 'cgroup.events'), 'populated 1\nfrozen 1\n'), 10);
  await freezing;
  thaw(cgroup);
  expect(readFileSync(join(cgroup, 'cgroup.freeze'), 'utf8')).toBe('0');
});

test('a cgroup that is gone is not frozen, and thawing it is nothing', () => {
  expect(isFrozen(join(cgroup, 'gone'))).toBe(false);
  thaw(join(cgroup, 'gone'));
});
