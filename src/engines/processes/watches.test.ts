import { lstat, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dumpOptions } from './criu-options.ts';
import { findPaths, needsPath, watchObstacle } from './watches.ts';

const mount = (device: string, type: string, options: string[] = []) => ({
  device,
  type,
  options,
  root: '/',
  path: '/',
});

describe('needsPath', () => {
  const watch = { device: '0:101', inode: 5 };
  it.each([
    ['overlayfs, which cannot open by handle', mount('0:101', 'overlay'), true],
    ['overlayfs for NFS export, which can', mount('0:101', 'overlay', ['nfs_export=on']), false],
    ['a tmpfs', mount('0:101', 'tmpfs'), false],
    ['a mount that is gone', mount('0:102', 'ext4'), true],
  ])('%s', (_, one, expected) => {
    expect(needsPath(watch, [one])).toBe(expected);
  });
});

describe('findPaths', () => {
  let root: string;
  const signal = new AbortController().signal;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'drayage-watches-'));
    await mkdir(join(root, 'app/config'), { recursive: true });
    await writeFile(join(root, 'app/config/settings.json'), '{}');
  });
  afterEach(() => rm(root, { recursive: true }));
  const inode = async (path: string): Promise<number> => (await lstat(join(root, path))).ino;

  it('finds directories, files and the root itself', async () => {
    const wanted = ['/', '/app/config', '/app/config/settings.json'];
    const inodes = await Promise.all(wanted.map(inode));
    const paths = await findPaths(root, new Set(inodes), signal);
    expect(inodes.map((one) => paths.get(one))).toEqual(wanted);
  });

  it('leaves out what is not there, and stops when told to', async () => {
    expect(await findPaths(root, new Set([1]), signal)).toEqual(new Map());
    expect(await findPaths(join(root, 'none'), new Set([1]), signal)).toEqual(new Map());
    await expect(findPaths(root, new Set([1]), AbortSignal.abort())).rejects.toThrow();
  });
});

describe('watchObstacle', () => {
  const paths = new Map([
    [5, '/app/config'],
    [6, '/app/my config'],
  ]);
  it.each([
    [
      { device: '0:1', inode: 5 },
      { kind: 'inotify-path', detail: '/app/config' },
    ],
    [
      { device: '0:1', inode: 6 },
      { kind: 'inotify-unresolvable', detail: 'inode 6 of device 0:1' },
    ],
    [
      { device: '0:1', inode: 7 },
      { kind: 'inotify-unresolvable', detail: 'inode 7 of device 0:1' },
    ],
    [
      { device: '0:2', inode: 5 },
      { kind: 'inotify-unresolvable', detail: 'inode 5 of device 0:2' },
    ],
  ])('%o', (watch, expected) => {
    expect(watchObstacle(watch, '0:1', paths)).toEqual(expected);
  });
});

it('dumpOptions tells CRIU of watched paths once, and drops connections only where that is wanted', () => {
  const process = (...details: string[]) => ({
    pid: 1,
    innerPid: 1,
    name: 'x',
    obstacles: details.map((detail) => ({ kind: 'inotify-path', detail }) as const),
  });
  const processes = [process('/etc'), process('/etc', '/app')];
  expect(dumpOptions(processes, { dropConnections: false })).toEqual([
    'ghost-limit 1048576',
    'irmap-scan-path /etc',
    'irmap-scan-path /app',
  ]);
  expect(dumpOptions([], { dropConnections: true })).toEqual(['ghost-limit 1048576', 'tcp-close', 'skip-in-flight']);
});
