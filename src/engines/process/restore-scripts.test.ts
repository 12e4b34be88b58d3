import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runner } from '../../exec/run.ts';
import { scratch } from '../../files/testing/rig.ts';
import { treeScripts } from './restore-scripts.ts';

const run = runner();

/** Runs the launcher with a CRIU that ends well; the events are in a file. */
async function launch(dir: string, own: string): Promise<void> {
  mkdirSync(join(dir, 'bin'));
  writeFileSync(join(dir, 'events'), '');
  const { criu } = treeScripts({
    ...{ imagesDir: dir, externalTerminal: undefined, isOnTerminal: false, pidNamespace: false },
    ...{ privateRoot: undefined, cgroups: { roots: [join(dir, 'missing/cgroup.procs')], own: [own] } },
  });
  writeFileSync(join(dir, 'launcher'), criu(dir, '/bin/true'));
  await run('sh', [join(dir, 'launcher')], { okCodes: [0, 1] });
}

test('the launcher starts CRIU once it is in the cgroup of the copy, whatever it cannot leave', async () => {
  using directory = scratch();
  await launch(directory.path, join(directory.path, 'procs'));
  expect(readFileSync(join(directory.path, 'procs'), 'utf8')).toMatch(/^\d+\n$/);
  expect(readFileSync(join(directory.path, 'status'), 'utf8')).toBe('0\n');
});

test('a launcher that does not get into the cgroup of the copy starts nothing, and says so', async () => {
  using directory = scratch();
  await launch(directory.path, join(directory.path, 'gone/cgroup.procs'));
  expect(readFileSync(join(directory.path, 'status'), 'utf8')).toBe('1\n');
  expect(readFileSync(join(directory.path, 'events'), 'utf8')).toBe('status 1\n');
});
