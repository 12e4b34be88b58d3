import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { duplexPair, type Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { expect, test, vi } from 'vitest';
import { scratch } from '../files/testing/rig.ts';
import { fileOutput, partialOf, READER, streamOutput } from './output.ts';

test('a file has its name when it is whole, and not before', async () => {
  using directory = scratch();
  const path = `${directory.path}/x.drayage`;
  const output = await fileOutput(path);
  for (let i = 0; i < 100; i++) output.stream.write(Buffer.alloc(1000, i));
  await ended(output.stream);
  expect(existsSync(path)).toBe(false);
  await output.commit();
  expect(readFileSync(path)).toHaveLength(100_000);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(existsSync(partialOf(path))).toBe(false);
  await output.discard();
  expect(existsSync(path)).toBe(true);
});

test('no file is written over, also one that came meanwhile', async () => {
  using directory = scratch();
  const path = `${directory.path}/x.drayage`;
  const output = await fileOutput(path);
  await expect(fileOutput(path)).rejects.toMatchObject({ code: 'ARCHIVE_EXISTS' });
  writeFileSync(path, 'precious');
  await expect(fileOutput(path)).rejects.toMatchObject({ code: 'ARCHIVE_EXISTS' });
  await ended(output.stream);
  await expect(output.commit()).rejects.toMatchObject({ code: 'ARCHIVE_EXISTS' });
  expect(readFileSync(path, 'utf8')).toBe('precious');
  expect(existsSync(partialOf(path))).toBe(false);
});

test('what is discarded while it is written is let go of: no handle stays open, and no file', async () => {
  using directory = scratch('/var/tmp');
  const handles = () => readdirSync('/proc/self/fd').length;
  const before = handles();
  for (let parts = 0; parts < 6; parts++) {
    const output = await fileOutput(`${directory.path}/x.drayage`);
    for (let i = 0; i < parts; i++) output.stream.write(Buffer.alloc(3 << 20));
    await new Promise((resolve) => setTimeout(resolve, parts));
    await output.discard();
    expect(readdirSync(directory.path)).toEqual([]);
    expect(handles()).toBe(before);
  }
});

test('a link that leads nowhere is there, too', async () => {
  using directory = scratch();
  const path = `${directory.path}/x.drayage`;
  const output = await fileOutput(path);
  symlinkSync('nowhere', path);
  await ended(output.stream);
  await expect(output.commit()).rejects.toMatchObject({ code: 'ARCHIVE_EXISTS' });
  expect(output.isPublic).toBe(false);
});

test('an archive that has its name stays, though the disk then fails: somebody may have it', async () => {
  using directory = scratch();
  const path = `${directory.path}/x.drayage`;
  const output = await fileOutput(path);
  await ended(output.stream);
  expect(output.isPublic).toBe(false);
  await using handle = await open(directory.path);
  const FileHandles = Object.getPrototypeOf(handle) as FileHandle;
  const sync = FileHandles.sync;
  const spy = vi.spyOn(FileHandles, 'sync').mockImplementation(async function (this: FileHandle) {
    if ((await this.stat()).isDirectory()) throw new Error('EIO: i/o error');
    return sync.call(this);
  });
  await expect(output.commit()).rejects.toMatchObject({ code: 'ARCHIVE_WRITE' });
  spy.mockRestore();
  expect(output.isPublic).toBe(true);
  await output.discard();
  expect(existsSync(path)).toBe(true);
});

test('a directory that is not there is told', async () => {
  await expect(fileOutput('/nowhere/x.drayage')).rejects.toMatchObject({ code: 'ARCHIVE_WRITE' });
});

test('a reader says that it has everything, or that it has not; else nobody knows', async () => {
  for (const [says, isPublic] of [
    [READER.hasIt, true],
    [READER.lacksIt, false],
    [undefined, true],
  ] as const) {
    const [near, far] = duplexPair();
    const output = streamOutput(near);
    output.stream.write('some');
    const [, read] = await Promise.all([ended(output.stream), buffer(far.iterator({ destroyOnReturn: false }))]);
    expect(read.toString()).toBe('some');
    far.end(says === undefined ? undefined : Buffer.of(says));
    if (says === READER.hasIt) await output.commit();
    else await expect(output.commit()).rejects.toMatchObject({ code: 'ARCHIVE_WRITE' });
    expect(output.isPublic).toBe(isPublic);
    if (says !== READER.hasIt) await output.lost;
  }
});

async function ended(stream: Writable): Promise<void> {
  stream.end();
  await finished(stream);
}
