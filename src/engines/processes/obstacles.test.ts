import { describe, expect, it } from 'vitest';
import type { ObstacleKind } from '../facts.ts';
import type { Look } from './look.ts';
import { fileObstacles, GHOST_LIMIT, type Surroundings } from './obstacles.ts';

const look = (some: Partial<Omit<Look, 'status'>> & { status?: Partial<Look['status']> } = {}): Look => ({
  namespaces: { mnt: 'mnt:[2]', user: 'user:[1]', ipc: 'ipc:[2]' },
  files: [],
  mappings: [],
  deleted: [],
  watches: [],
  ...some,
  status: {
    pid: 501,
    name: 'worker',
    state: 'S',
    tracerPid: 0,
    pids: [501, 7],
    sessions: [500, 1],
    owners: [0, 0, 0, 0, 0, 0],
    anonBytes: 0,
    shmemBytes: 0,
    swapBytes: 0,
    ...some.status,
  },
});

const init = look({ status: { pid: 500, name: 'init', pids: [500, 1] } });

const judge = (one: Look, more: Partial<Surroundings> = {}): [ObstacleKind, string][] =>
  fileObstacles(one, { init, hostIpc: 'ipc:[1]', locks: [], readsAllLimits: true, mounts: [], ...more }).map(
    ({ kind, detail }) => [kind, detail],
  );

const open = (...targets: string[]): Look => look({ files: targets.map((target, fd) => ({ fd: String(fd), target })) });
const mapped = (path: string, ipc = 'ipc:[2]'): Look =>
  look({ mappings: [{ range: '1-2', inode: 3, path }], namespaces: { ...init.namespaces, ipc } });

describe('fileObstacles', () => {
  const cases: [string, Look, [ObstacleKind, string][]][] = [
    [
      'what every program has open',
      open(
        ...[
          '/dev/null',
          '/dev/pts/0',
          '/dev/tty',
          '/dev/urandom',
          '/dev/shm/x',
          '/etc/passwd',
          'pipe:[1]',
          'socket:[2]',
        ],
        ...['anon_inode:[eventfd]', 'anon_inode:[eventpoll]', 'anon_inode:inotify', 'anon_inode:[timerfd]'],
        ...['anon_inode:[pidfd]', 'anon_inode:bpf-map', '/memfd:x (deleted)', '/dev/net/tun', 'mnt:[4026531841]'],
      ),
      [],
    ],
    ['io_uring', open('anon_inode:[io_uring]'), [['io-uring', 'descriptor 0']]],
    ['userfaultfd', open('anon_inode:[userfaultfd]'), [['unsupported-fd', '[userfaultfd]']]],
    ['perf', open('anon_inode:[perf_event]'), [['unsupported-fd', '[perf_event]']]],
    ['a graphics card', open('/dev/dri/card0'), [['device', '/dev/dri/card0']]],
    ['a device that is only mapped', mapped('/dev/nvidia0'), [['device', '/dev/nvidia0']]],
    ['shared anonymous memory', mapped('/dev/zero (deleted)'), []],
    ['SysV shared memory of its own', mapped('/SYSV00000000 (deleted)'), []],
    [
      "SysV shared memory of the host's",
      mapped('/SYSV00000000 (deleted)', 'ipc:[1]'),
      [['sysv-host-ipc', '/SYSV00000000 (deleted)']],
    ],
    ['a small deleted file', look({ deleted: [{ path: '/t', inode: 1, bytes: GHOST_LIMIT }] }), []],
    [
      'a large deleted file',
      look({ deleted: [{ path: '/t', inode: 1, bytes: 2 * GHOST_LIMIT }] }),
      [['large-deleted-file', '/t, 2.0 MiB']],
    ],
    ['a debugger', look({ status: { tracerPid: 42 } }), [['traced', 'by process 42']]],
    ['a pid namespace within', look({ status: { pids: [501, 7, 1] } }), [['nested-pidns', 'pid 1 in its own']]],
    [
      'a mount namespace of its own',
      look({ namespaces: { ...init.namespaces, mnt: 'mnt:[3]' } }),
      [['nested-mntns', 'mnt:[3]']],
    ],
    [
      'a user namespace of its own',
      look({ namespaces: { ...init.namespaces, user: 'user:[3]' } }),
      [['nested-userns', 'user:[3]']],
    ],
    ['namespaces that a zombie does not tell', look({ namespaces: { mnt: '', user: '', ipc: '' } }), []],
    [
      'somebody who came in with nsenter',
      look({ status: { sessions: [0, 0] } }),
      [['session-outside', 'leader of its session']],
    ],
  ];
  it.each(cases)('%s', (_, one, expected) => {
    expect(judge(one)).toEqual(expected);
  });

  it('tells locks of the process that holds them', () => {
    const locks = [
      { kind: 'POSIX', mode: 'WRITE', pid: 501, inode: 15 },
      { kind: 'FLOCK', mode: 'WRITE', pid: 84, inode: 16 },
    ];
    expect(judge(look(), { locks })).toEqual([['file-lock', 'POSIX WRITE on inode 15']]);
  });

  it('limits of other users, where root may not read them', () => {
    const worker = look({ status: { owners: [33, 33, 33, 0, 0, 0] } });
    expect(judge(worker, { readsAllLimits: false })).toEqual([['foreign-limits', 'user 33']]);
    expect(judge(worker)).toEqual([]);
    expect(judge(look(), { readsAllLimits: false })).toEqual([]);
  });

  it('tells what concerns the whole workload with its init process only', () => {
    const mounts = ['overlay', 'tmpfs', 'nfs4', 'fuse.sshfs', 'ext4'].map((type) => ({
      device: '0:1',
      root: '/',
      path: `/${type}`,
      type,
      options: [],
    }));
    expect(judge(look(), { mounts })).toEqual([]);
    expect(judge(init, { mounts })).toEqual([
      ['network-fs', 'nfs4 on /nfs4'],
      ['network-fs', 'fuse.sshfs on /fuse.sshfs'],
    ]);
    const systemd = look({ status: { name: 'systemd', pids: [500, 1] } });
    expect(judge(systemd, { init: systemd })).toEqual([['systemd', 'is its init process']]);
  });
});
