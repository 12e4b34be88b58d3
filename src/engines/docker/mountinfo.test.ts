import { expect, test } from 'vitest';
import { freezerPath, parseMountinfo, upperDirOfRoot } from './mountinfo.ts';

// Recorded in a container of Docker 26 with overlay2, shortened.
const CONTAINER = `198 139 0:80 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/C7:/var/lib/docker/overlay2/l/OP,upperdir=/var/lib/docker/overlay2/4b91/diff,workdir=/var/lib/docker/overlay2/4b91/work
199 198 0:83 / /proc rw,nosuid master:3 - proc proc rw
200 198 8:1 /srv/a\\040b /bind rw shared:1 master:2 - ext4 /dev/vda rw
`;

// Recorded in hosts with version 1 (two controllers in one hierarchy here), 2, and both.
const V1 = '95 89 0:34 / /sys/fs/cgroup/cpu,freezer rw,relatime - cgroup cgroup rw,cpu,freezer\n';
const V2 = '30 22 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n';
const NESTED = '95 89 0:34 /host /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n';

test('mounts', () => {
  const mounts = parseMountinfo(CONTAINER);
  expect(mounts.map(({ mountPoint, type }) => [mountPoint, type])).toEqual([
    ['/', 'overlay'],
    ['/proc', 'proc'],
    ['/bind', 'ext4'],
  ]);
  expect(mounts[2]?.root).toBe('/srv/a b');
  expect(upperDirOfRoot(mounts)).toBe('/var/lib/docker/overlay2/4b91/diff');
  expect(upperDirOfRoot(parseMountinfo(V2))).toBeUndefined();
});

test.each([
  ['version 1', '9:pids:/docker/x\n6:cpu,freezer:/docker/x\n0::/\n', V1 + V2, '/sys/fs/cgroup/cpu,freezer/docker/x'],
  ['version 2', '0::/system.slice/docker-x.scope\n', V2, '/sys/fs/cgroup/system.slice/docker-x.scope'],
  ['version 1 named, but not mounted', '6:freezer:/docker/x\n0::/docker/x\n', V2, '/sys/fs/cgroup/docker/x'],
  ['a mount of a part', '6:freezer:/host/docker/x\n', NESTED, '/sys/fs/cgroup/freezer/docker/x'],
  ['outside of that part', '6:freezer:/elsewhere/x\n', NESTED, undefined],
  ['none', '', '', undefined],
])('freezer of %s', (_, cgroups, mounts, path) => {
  expect(freezerPath(cgroups, parseMountinfo(mounts))).toBe(path);
});
