import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import { placeTar } from './criu-tar.ts';

let dir: string;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'criu-tar-'));
  await placeTar(join(dir, 'bin'));
  for (const name of ['from', 'to']) mkdirSync(join(dir, name));
  writeFileSync(join(dir, 'from/a file'), 'content'.repeat(1000));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const run = runner();

/** As CRIU calls it: the archive is standard output. */
async function pack(tar: string): Promise<void> {
  const flags = ['--no-unquote', '--no-wildcards', '--one-file-system', '--check-links', '--preserve-permissions'];
  const more = ['--sparse', '--numeric-owner', '--directory', join(dir, 'from'), '.'];
  await run('sh', ['-c', 'exec "$@" >"$0"', join(dir, 'archive'), tar, '--create', '--gzip', ...flags, ...more]);
}

/** The archive is standard input, a file. */
async function unpack(): Promise<string> {
  const args = ['--extract', '--gzip', '--no-unquote', '--no-wildcards', '--directory', join(dir, 'to')];
  await run('sh', ['-c', 'exec "$@" <"$0"', join(dir, 'archive'), join(dir, 'bin/tar'), ...args]);
  return readFileSync(join(dir, 'to/a file'), 'utf8');
}

test('what it packs is not compressed, and it takes it back', async () => {
  await pack(join(dir, 'bin/tar'));
  expect(readFileSync(join(dir, 'archive')).includes('contentcontent')).toBe(true);
  expect(await unpack()).toBe('content'.repeat(1000));
});

test("it takes back what was compressed by the host's own", async () => {
  await pack('tar');
  expect(readFileSync(join(dir, 'archive')).readUInt16BE()).toBe(0x1f8b);
  expect(await unpack()).toBe('content'.repeat(1000));
});
