import { describe, expect, it } from 'vitest';
import {
  parseFileMappings,
  parseLocks,
  parseMounts,
  parseSharedShare,
  parseStat,
  parseStatus,
  parseWatches,
} from './proc.ts';

describe('parseStatus', () => {
  it('reads what Linux 6.18 says of a process in a container', () => {
    expect(parseStatus(STATUS)).toEqual({
      pid: 13440,
      owners: [33, 33, 33, 0, 0, 34],
      name: 'naughty: a name',
      state: 'S',
      tracerPid: 0,
      pids: [13440, 1],
      sessions: [13440, 1],
      anonBytes: 6904 * 1024,
      shmemBytes: 15856 * 1024,
      swapBytes: 0,
    });
  });

  it('counts nothing for a zombie, which has no memory', () => {
    expect(parseStatus('Name:\tsh\nState:\tZ (zombie)\nPid:\t7\nTracerPid:\t0\n')).toMatchObject({
      state: 'Z',
      pids: [7],
      sessions: [],
      anonBytes: 0,
      swapBytes: 0,
    });
  });
});

it('parseSharedShare reads smaps_rollup', () => {
  expect(parseSharedShare('Pss_File:              0 kB\nPss_Shmem:         15758 kB\n')).toBe(15758 * 1024);
  expect(parseSharedShare('')).toBe(0);
});

it('parseFileMappings leaves anonymous memory out and keeps spaces', () => {
  expect(parseFileMappings(MAPS)).toEqual([
    { range: '00400000-00401000', inode: 10405, path: '/bin/naughty' },
    { range: '7f991a726000-7f991aa03000', inode: 1208, path: '/dev/zero (deleted)' },
    { range: '7f991b603000-7f991b7ec000', inode: 15339, path: '/a b/ghostm (deleted)' },
  ]);
});

it('parseMounts reads optional fields and quoted characters', () => {
  const [root, shm, volume] = parseMounts(MOUNTS);
  expect(root).toEqual({
    device: '0:101',
    root: '/',
    path: '/',
    type: 'overlay',
    options: ['rw', 'lowerdir=/var/lib/docker/overlay2/l/DM5', 'upperdir=/var/lib/docker/overlay2/10a/diff'],
  });
  expect(shm).toMatchObject({ device: '0:109', path: '/dev/shm', type: 'tmpfs' });
  expect(volume).toMatchObject({ root: '/volumes/my data', path: '/my data', type: 'ext4' });
});

it('parseLocks tells owners, and leaves out who waits', () => {
  expect(parseLocks(LOCKS)).toEqual([
    { kind: 'FLOCK', mode: 'WRITE', pid: 13440, inode: 15333 },
    { kind: 'OFDLCK', mode: 'WRITE', pid: -1, inode: 15335 },
    { kind: 'POSIX', mode: 'READ', pid: 84, inode: 82 },
  ]);
});

it('parseWatches decodes hexadecimal inodes and device numbers', () => {
  expect(parseWatches(FDINFO)).toEqual([
    { device: '0:101', inode: 10397 },
    { device: '259:1', inode: 1 },
  ]);
  expect(parseWatches('pos:\t0\nflags:\t00\n')).toEqual([]);
});

const STATUS = `Name:	naughty: a name
Umask:	0022
State:	S (sleeping)
Tgid:	13440
Ngid:	0
Pid:	13440
PPid:	13417
TracerPid:	0
Uid:	33	33	33	33
Gid:	0	0	34	0
NStgid:	13440	1
NSpid:	13440	1
NSpgid:	13440	1
NSsid:	13440	1
VmRSS:	   22764 kB
RssAnon:	    6904 kB
RssFile:	       4 kB
RssShmem:	   15856 kB
VmSwap:	       0 kB
`;

const MAPS = `00400000-00401000 r--p 00000000 00:65 10405                              /bin/naughty
2b372000-2b394000 rw-p 00000000 00:00 0                                  [heap]
7f991a261000-7f991a726000 rw-p 00000000 00:00 0 
7f991a726000-7f991aa03000 rw-s 00000000 00:01 1208                       /dev/zero (deleted)
7f991b603000-7f991b7ec000 r--s 00000000 00:65 15339                      /a b/ghostm (deleted)
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

const MOUNTS = `277 153 0:101 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/DM5,upperdir=/var/lib/docker/overlay2/10a/diff
293 279 0:109 / /dev/shm rw,nosuid,nodev,noexec,relatime shared:12 master:3 - tmpfs shm rw,size=65536k
294 277 259:1 /volumes/my\\040data /my\\040data rw,relatime - ext4 /dev/nvme0n1p1 rw
`;

const LOCKS = `13: FLOCK  ADVISORY  WRITE 13440 00:65:15333 0 EOF
14: OFDLCK ADVISORY  WRITE -1 00:65:15335 0 EOF
15: POSIX  ADVISORY  READ  84 00:32:82 0 EOF
15: -> POSIX  ADVISORY  WRITE 91 00:32:82 0 EOF
`;

const FDINFO = `pos:	0
flags:	00
mnt_id:	17
ino:	21
inotify wd:1 ino:289d sdev:65 mask:fff ignored_mask:0 fhandle-bytes:24 fhandle-type:f8 f_handle:00000000fb21000
inotify wd:2 ino:1 sdev:10300001 mask:fff ignored_mask:0 fhandle-bytes:c fhandle-type:1 f_handle:928fd7c30100000
`;

it('a stat line is read whatever its name holds', () => {
  const rest = 'S 1 20 30 34816 20 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1000';
  expect(parseStat(`42 (a) (b c) ${rest}`)).toEqual({
    ...{ pid: 42, name: 'a) (b c', state: 'S', parent: 1, group: 20, session: 30, terminal: 34816 },
    startedAt: '123456',
  });
});
