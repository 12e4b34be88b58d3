import { mkdirSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import { mountPoints, sharedWritableMappings, sharedWritablePaths } from './mappings.ts';
import { scratch } from './testing/rig.ts';

const MAPS = [
  '5581-5582 r-xp 00000000 08:01 11 /usr/bin/x',
  '7f00-7f01 rw-s 00000000 08:01 12 /data/mapped',
  '7f01-7f02 rw-s 00001000 08:01 12 /data/mapped',
  '7f02-7f03 -w-s 00000000 08:01 13 /data/with space (and more)',
  '7f03-7f04 rw-p 00000000 08:01 14 /data/private',
  '7f04-7f05 r--s 00000000 08:01 15 /data/read-only',
  '7f05-7f06 rw-s 00000000 00:01 16 /dev/shm/gone (deleted)',
  '7f06-7f07 rw-s 00000000 00:0e 17 anon_inode:[perf_event]',
  '7f07-7f08 rw-s 00000000 08:01 18 /data/new\\012line',
  '7f08-7f09 rw-p 00000000 00:00 0 [heap]',
].join('\n');

test('of all mappings those count that write to a file that is still there', () => {
  expect(sharedWritablePaths(MAPS)).toEqual(['/data/mapped', '/data/with space (and more)', '/data/new\nline']);
});

test('mount points are unescaped', () => {
  const mountinfo = '1 0 0:1 / / rw - overlay overlay rw\n2 1 8:1 /v /with\\040space rw shared:1 - ext4 /dev/sda rw\n';
  expect(mountPoints(mountinfo)).toEqual(['/', '/with space']);
});

test('the kernel is believed about a real process: this one, with databases in a volume and in the root', async () => {
  using directory = scratch();
  const run = runner();
  const volume = `${directory.path}/volume`;
  const elsewhere = `${directory.path}/elsewhere`;
  mkdirSync(volume);
  mkdirSync(elsewhere);
  await run('mount', ['--bind', volume, volume]);
  const databases = [volume, elsewhere].map((at) => new DatabaseSync(`${at}/db`));
  try {
    for (const database of databases) {
      // The index of a write-ahead log is mapped, shared.
      database.exec('PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)');
    }
    const trees = [
      { key: 'upper', kind: 'upper', path: '/' },
      { key: 'volume:v', kind: 'volume', path: volume },
      { key: 'volume:other', kind: 'volume', path: elsewhere },
    ] as const;
    const found = sharedWritableMappings([process.pid], trees);
    expect(found.get('volume:v')).toEqual(['db-shm']);
    expect(found.get('upper')).toContain(`${elsewhere.slice(1)}/db-shm`);
    expect(found.get('volume:other')).toBeUndefined();
    expect(sharedWritableMappings([4194304], trees)).toEqual(new Map());
  } finally {
    for (const database of databases) database.close();
    await run('umount', ['-l', volume]);
  }
});
