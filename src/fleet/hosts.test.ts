import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { addedHosts, forgetHost, rememberHost } from './hosts.ts';

test('hosts are remembered once, in order, and forgotten', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'drayage-')), 'etc/hosts.json');
  expect(await addedHosts(file)).toEqual([]);
  expect(await rememberHost('root@b', 1, file)).toBe(true);
  expect(await rememberHost('root@a', 2, file)).toBe(true);
  expect(await rememberHost('root@b', 3, file)).toBe(false);
  expect(await addedHosts(file)).toEqual([
    { name: 'root@b', addedAt: 1 },
    { name: 'root@a', addedAt: 2 },
  ]);
  expect(await forgetHost('root@c', file)).toBe(false);
  expect(await forgetHost('root@b', file)).toBe(true);
  expect(await forgetHost('root@a', file)).toBe(true);
  expect(existsSync(file)).toBe(false);
});

test.each(['{', '[]', '{"hosts":[{}]}'])('a broken list is told: %s', async (text) => {
  const file = join(await mkdtemp(join(tmpdir(), 'drayage-')), 'hosts.json');
  await writeFile(file, text);
  await expect(addedHosts(file)).rejects.toMatchObject({ code: 'HOST_LIST_CORRUPT' });
});
