/**
 * A container's log, carried to another host while both engines run: `docker logs` of the copy shows what that of the
 * original did, in every way to ask, before and after it goes on by itself, and after a second move.
 */
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { poll } from '../../lab/poll.ts';
import { LogCopy } from '../../src/files/log-copy.ts';
import { type LogFormat, LogSync, settle } from '../../src/files/logs.ts';
import { connection } from '../../src/files/testing/rig.ts';
import { DOCKERS } from '../lab/setup.ts';

/** Waits like a copy that is being restored, if it finds /wait; then counts, from the number that it finds in /go. */
const SCRIPT =
  'while [ -e /wait ] && [ ! -s /go ]; do sleep 0.05; done; i=0; [ -s /go ] && read i < /go; ' +
  'while :; do i=$((i+1)); echo "line $i"; sleep 0.01; done';

const PATIENCE = { timeoutMs: 10_000 };

const KINDS: Record<string, { format: LogFormat; options: string[] }> = {
  'json-file': { format: 'json-file', options: [] },
  'json-file, rotated': { format: 'json-file', options: ['max-size=8k', 'max-file=9'] },
  'json-file, rotated and compressed': { format: 'json-file', options: ['max-size=8k', 'max-file=9', 'compress=true'] },
  'json-file with attributes': { format: 'json-file', options: ['labels=l', 'env=E'] },
  local: { format: 'local', options: [] },
  'local, rotated': { format: 'local', options: ['max-size=4k', 'max-file=9'] },
};

describe.each(DOCKERS)('Docker %i', (version) => {
  let lab: Lab | undefined;
  let hosts: [LabHost, LabHost];

  beforeAll(async () => {
    lab = await Lab.up({ name: `logs${version}-${process.pid}`, hosts: ['a', 'b'], docker: version, ephemeral: true });
    hosts = lab.hosts as [LabHost, LabHost];
    await lab.image('counter');
  });

  afterAll(() => lab?.down());

  test.concurrent.for(Object.entries(KINDS))('%s', async ([name, { format, options }], { expect }) => {
    const container = `log-${name.replaceAll(/\W/g, '')}`;
    const create = async (host: LabHost): Promise<string> => {
      const logging = ['--log-driver', format, ...options.flatMap((option) => ['--log-opt', option])];
      const args = ['--name', container, '--label', 'l=1', '--env', 'E=2', ...logging, 'counter', 'sh', '-c', SCRIPT];
      const id = await docker(host, 'create', ...args);
      return host.path(
        `/var/lib/docker/containers/${id}/${format === 'local' ? 'local-logs/container.log' : `${id}-json.log`}`,
      );
    };
    let path = await create(hosts[0]);
    await docker(hosts[0], 'start', container);
    await sleep(700);
    for (const [from, to] of [hosts, hosts.toReversed()] as [LabHost, LabHost][]) {
      const copyPath = await create(to);
      await put(to, container, 'wait', '');
      const copy = new LogCopy({ path: copyPath, format });
      const open = async () => {
        const [near, far] = await connection();
        void copy.receive(far);
        return near;
      };
      await using sync = new LogSync({ logPath: path, format, open });
      await sync.firstPass();
      await docker(to, 'start', container);
      await sync.prepareFinal();
      await sleep(300);
      await docker(from, 'pause', container);
      await settle(path);
      expect((await sync.finalPass()).lost).toBe(0);

      const original = await lines(from, container);
      const [, middle = ''] = /^(\S+) /.exec(original[Math.floor(original.length / 2)] ?? '') ?? [];
      for (const args of [[], ['--details'], ['--tail', '7'], ['--since', middle], ['--until', middle]]) {
        expect(await lines(to, container, ...args), args.join(' ')).toEqual(await lines(from, container, ...args));
      }
      const following = to.start('docker', ['logs', '--follow', '--tail', '2', container]);
      let followed = '';
      following.stdout.on('data', (chunk) => {
        followed += chunk;
      });
      const last = Number(original.at(-1)?.split(' ').at(-1));
      const printed = (count: number) => poll(() => (followed.split('\n').length > count ? true : undefined), PATIENCE);
      await printed(2);
      await put(to, container, 'go', `${last}\n`);
      await printed(6);
      following.kill();
      expect(followed.split('\n').slice(0, 6)).toEqual([-1, 0, 1, 2, 3, 4].map((n) => `line ${last + n}`));
      const numbers = (await lines(to, container)).map((line) => Number(line.split(' ').at(-1)));
      expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] as number) + index));
      await docker(from, 'rm', '--force', container);
      path = copyPath;
    }
    await docker(hosts[0], 'restart', '--time', '0', container);
    expect((await lines(hosts[0], container)).length).toBeGreaterThan(100);
    await docker(hosts[0], 'rm', '--force', container);
  });
});

async function docker(host: LabHost, ...args: string[]): Promise<string> {
  return (await host.run('docker', args)).stdout.trim();
}

async function lines(host: LabHost, container: string, ...args: string[]): Promise<string[]> {
  return (await docker(host, 'logs', '--timestamps', ...args, container)).split('\n');
}

async function put(host: LabHost, container: string, name: string, content: string): Promise<void> {
  const path = `/tmp/${container}-${name}`;
  await writeFile(host.path(path), content);
  await docker(host, 'cp', path, `${container}:/${name}`);
}
