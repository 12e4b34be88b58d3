import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { scratch } from '../../files/testing/rig.ts';
import { copyCgroup, readLimits, setLimits } from './limits.ts';

/** Lays out a /proc and hierarchies below a directory. */
function host(root: string, files: Record<string, string>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return join(root, 'proc');
}

const procs = (...directories: string[]) => Object.fromEntries(directories.map((one) => [`${one}/cgroup.procs`, '']));

test('limits of cgroup v1 are the lowest on the way up; what is as large as fits is none', async () => {
  using directory = scratch();
  const mount = (controller: string): string =>
    `30 20 0:1 / ${directory.path}/${controller} rw - cgroup cgroup rw,${controller}`;
  const proc = host(directory.path, {
    'proc/self/mountinfo': `${['memory', 'cpu', 'pids'].map(mount).join('\n')}\n`,
    'proc/7/cgroup': '3:memory:/slice/job\n2:cpu:/job\n1:pids:/\n0::/\n',
    ...procs('memory', 'memory/slice', 'memory/slice/job', 'cpu', 'cpu/job', 'pids'),
    'memory/memory.limit_in_bytes': '9223372036854771712\n',
    'memory/slice/memory.limit_in_bytes': '1048576\n',
    'memory/slice/job/memory.limit_in_bytes': '4194304\n',
    'cpu/cpu.cfs_quota_us': '-1\n',
    'cpu/job/cpu.cfs_quota_us': '150000\n',
    'cpu/job/cpu.cfs_period_us': '100000\n',
  });
  expect(await readLimits(7, proc)).toEqual({ memoryBytes: 1048576, cpus: 1.5 });
});

test('limits of cgroup v2', async () => {
  using directory = scratch();
  const proc = host(directory.path, {
    'proc/self/mountinfo': `30 20 0:1 / ${directory.path}/cg rw - cgroup2 cgroup2 rw\n`,
    'proc/7/cgroup': '0::/job\n',
    ...procs('cg', 'cg/job'),
    'cg/job/memory.max': 'max\n',
    'cg/job/cpu.max': '50000 100000\n',
    'cg/job/pids.max': '100\n',
  });
  expect(await readLimits(7, proc)).toEqual({ cpus: 0.5, tasks: 100 });
});

test('what a restore needs besides the tree is not added at each move', async () => {
  using directory = scratch();
  const name = copyCgroup('20261121-140309-1f2e', true);
  const proc = host(directory.path, {
    'proc/self/mountinfo': `30 20 0:1 / ${directory.path}/cg rw - cgroup2 cgroup2 rw\n`,
    'proc/7/cgroup': `0::/${name}\n`,
    ...procs('cg', `cg/${name}`),
    [`cg/${name}/pids.max`]: '108\n',
  });
  expect(await readLimits(7, proc)).toEqual({ tasks: 100 });
});

test('a limit that is not taken is told', async () => {
  using directory = scratch();
  host(directory.path, { 'pids.max': '' });
  const refused = await setLimits({
    path: directory.path,
    values: [
      ['memory.max', '1'],
      ['pids.max', '5'],
    ],
  });
  expect(readFileSync(join(directory.path, 'pids.max'), 'utf8')).toBe('5');
  expect(refused).toEqual(['the limit memory.max of 1 could not be set: ENOENT']);
});
