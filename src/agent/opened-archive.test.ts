import { randomBytes } from 'node:crypto';
import { createWriteStream, existsSync, globSync, readlinkSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { encrypted } from '../archive/encryption.ts';
import { ArchiveWriter } from '../archive/writer.ts';
import { scratch } from '../files/testing/rig.ts';
import { type ArchiveFile, readFileArchive } from './opened-archive.ts';

const CONTENT = randomBytes(9 << 20);
const KEY = { passphrase: 'correct horse' };

test.each([false, true])('a file is read to its end, encrypted %s, and closed', async (isEncrypted) => {
  using directory = scratch();
  const path = await written(directory.path, isEncrypted);
  const content: Buffer[] = [];
  for await (const entry of readFileArchive({ path, ...(isEncrypted && { key: KEY }) }, {}))
    if (entry.kind === 'chunk') content.push(entry.bytes as Buffer);
  expect(Buffer.concat(content).equals(CONTENT)).toBe(true);
  expect(isOpen(path)).toBe(false);
});

test('a file that is read no further is closed', async () => {
  using directory = scratch();
  const path = await written(directory.path, false);
  for await (const _ of readFileArchive({ path }, {})) break;
  expect(isOpen(path)).toBe(false);
});

test.each<[string, (path: string) => ArchiveFile, string]>([
  ['one that is locked', (path) => ({ path }), 'ARCHIVE_LOCKED'],
  ['one that is not there', (path) => ({ path: `${path}.no` }), 'ARCHIVE_READ'],
  ['a directory', () => ({ path: '/' }), 'ARCHIVE_READ'],
  ['something else', () => ({ path: '/proc/self/exe' }), 'ARCHIVE_FOREIGN'],
  ['a device', () => ({ path: '/dev/zero' }), 'ARCHIVE_READ'],
])('%s is refused, and closed', async (_, fileOf, code) => {
  using directory = scratch();
  const path = await written(directory.path, true);
  await expect(readFileArchive(fileOf(path), {}).next()).rejects.toMatchObject({ code });
  expect(isOpen(path)).toBe(false);
});

async function written(directory: string, isEncrypted: boolean): Promise<string> {
  const path = `${directory}/archive`;
  const file = createWriteStream(path);
  const through = isEncrypted ? await encrypted(file, KEY) : undefined;
  const writer = new ArchiveWriter(through?.stream ?? file);
  const stream = writer.stream('01-memory');
  stream.end(CONTENT);
  await finished(stream);
  await writer.finish();
  await (through?.done ?? finished(file));
  return path;
}

function isOpen(path: string): boolean {
  return globSync('/proc/self/fd/*').some((link) => existsSync(link) && readlinkSync(link) === path);
}
