import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configFileOf, findDockerd } from './dockerd.ts';

test.each([
  [['dockerd'], '/etc/docker/daemon.json'],
  [['/usr/sbin/dockerd', '-H', 'fd://', '--config-file=/etc/d.json'], '/etc/d.json'],
  [['dockerd', '--config-file', '/etc/e.json', '--debug'], '/etc/e.json'],
])('%j reads %s', (argv, file) => expect(configFileOf(argv)).toBe(file));

test('a daemon with runtimes on its command line is left alone', () => {
  expect(() => configFileOf(['dockerd', '--add-runtime', 'x=/y'])).toThrow('--add-runtime');
});

test('a pid file that names no process, or another one, is not believed', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'drayage-')), 'docker.pid');
  await expect(findDockerd(file)).rejects.toThrow('cannot be read');
  for (const pid of ['', '-1', '1', String(process.pid), '99999999']) {
    await writeFile(file, pid);
    await expect(findDockerd(file)).rejects.toMatchObject({ code: 'SETUP_DOCKERD' });
  }
});
