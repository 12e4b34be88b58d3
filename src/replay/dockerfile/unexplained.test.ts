import { expect, test } from 'vitest';
import type { Change } from '../../tools/docker-types.ts';
import type { Step } from './steps.ts';
import { unexplained } from './unexplained.ts';

const ROOT = { directory: '/', user: 'root' };
const run = (line: string, where = ROOT): Step => ({
  type: 'run',
  lines: [line],
  shell: 'bash',
  mayFail: false,
  ...where,
});
const added = (...paths: string[]): Change[] => paths.map((Path) => ({ Path, Kind: 1 }));
const changed = (...paths: string[]): Change[] => paths.map((Path) => ({ Path, Kind: 0 }));

test('what a command names is explained, and what is in it; the directories on the way are no change', () => {
  const steps = [run('touch x', { directory: '/srv', user: 'root' }), run('cp -r /etc/skel /opt/skel')];
  const changes = [
    ...changed('/srv', '/opt', '/root'),
    ...added('/srv/x', '/opt/skel', '/opt/skel/a', '/root/by-exec'),
  ];
  expect(unexplained(changes, steps, [])).toEqual(['/root/by-exec']);
});

test('words that the shell expands, redirections, and the home directory', () => {
  const steps = [run('touch /tmp/file$i'), run('echo a > ~/a.txt', { directory: '/', user: 'bob' })];
  expect(unexplained(added('/tmp/file1', '/tmp/other', '/home/bob/a.txt'), steps, [])).toEqual(['/tmp/other']);
});

test('packages change the system, and nothing of the people', () => {
  const steps = [run('apt-get install -y vim')];
  expect(unexplained(added('/usr/bin/vim', '/etc/vim', '/etc/vim/vimrc', '/root/mine'), steps, [])).toEqual([
    '/root/mine',
  ]);
});

test('homes of users that were added, and what a shell was told to do', () => {
  const steps = [run('useradd -m alice'), run('sh -c "sleep 4; touch /root/slow"')];
  expect(unexplained(added('/home/alice', '/home/alice/.profile', '/root/slow', '/root/x'), steps, [])).toEqual([
    '/root/x',
  ]);
});

test('a program of which nothing is known may have written where it ran', () => {
  const steps = [run('./configure', { directory: '/src', user: 'root' }), run('git clone x')];
  expect(unexplained(added('/src/config.h', '/x', '/x/README', '/opt/y'), steps, [])).toEqual(['/opt/y']);
});

test('only the topmost is told; files that are copied, caches and mounts are left out', () => {
  const steps: Step[] = [{ type: 'edited', path: '/etc/a', command: 'vi /etc/a', ...ROOT }];
  const changes = added('/etc/a', '/opt/d', '/opt/d/x', '/var/cache/y', '/root/.bash_history', '/mnt', '/mnt/v');
  expect(unexplained([...changes, { Path: '/etc/gone', Kind: 2 }], steps, ['/mnt/v'])).toEqual(['/etc/gone', '/opt/d']);
});
