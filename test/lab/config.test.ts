/** After a real move the two inspects are equal but for the list of differs.ts; and the image travels by its layers. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { differences } from '../../src/engines/docker/compare.ts';
import { DIFFERS } from '../../src/engines/docker/differs.ts';
import type { ContainerInspect } from '../../src/tools/docker-types.ts';
import { docker, inspect, Pair, runContainer, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

/** Options of `docker run`, as many as go together; what cannot move is in bad-input.test.ts. */
const CONTAINERS: Record<string, string[]> = {
  everything: [
    ...['--network', 'office', '--ip', '172.31.77.200', '--network-alias', 'one', '--network-alias', 'two'],
    ...['--mac-address', '02:42:0a:00:00:07', '--hostname', 'host.name', '--domainname', 'dom.example'],
    ...[
      '--env',
      'A=1',
      '--env',
      'B=with space',
      '--label',
      'com.example.a=b.c',
      '--label',
      'empty=',
      '--workdir',
      '/tmp',
    ],
    ...['--group-add', '12', '--expose', '99', '--expose', '7000-7002/udp', '--publish', '8080:80', '--publish', '82'],
    ...['--publish', '127.0.0.1:8081:81/udp', '--publish', '9000-9001:9000-9001', '--publish', '127.0.0.1::83'],
    ...[
      '--volume',
      'named:/named:ro',
      '--volume',
      '/anonymous',
      '--mount',
      'type=volume,src=other,dst=/other,volume-nocopy',
    ],
    ...[
      '--mount',
      'type=volume,dst=/anonymous2',
      '--mount',
      'type=tmpfs,dst=/tmpfs,tmpfs-size=1000000,tmpfs-mode=1700',
    ],
    ...[
      '--tmpfs',
      '/tmpfs2:size=1m,mode=700',
      '--tmpfs',
      '/www',
      '--tmpfs',
      '/data',
      '--shm-size',
      '32m',
      '--read-only',
    ],
    ...['--dns', '9.9.9.9', '--dns-search', 's.example', '--dns-option', 'ndots:2', '--add-host', 'h1:1.2.3.4'],
    ...['--memory', '200m', '--memory-swap', '300m', '--memory-reservation', '100m', '--memory-swappiness', '10'],
    ...[
      '--cpu-shares',
      '512',
      '--cpu-period',
      '50000',
      '--cpu-quota',
      '20000',
      '--cpuset-cpus',
      '0',
      '--cpuset-mems',
      '0',
    ],
    ...['--pids-limit', '50', '--oom-score-adj', '100', '--oom-kill-disable', '--device-cgroup-rule', 'c 1:3 rwm'],
    ...['--device', '/dev/null:/dev/xnull:rw', '--cap-add', 'NET_ADMIN', '--cap-drop', 'MKNOD'],
    ...[
      '--security-opt',
      'no-new-privileges',
      '--security-opt',
      'seccomp=unconfined',
      '--security-opt',
      'systempaths=unconfined',
    ],
    ...['--ulimit', 'nofile=1000:2000', '--ulimit', 'core=0', '--sysctl', 'net.core.somaxconn=777'],
    ...['--health-cmd', 'true', '--health-interval', '1h', '--health-retries', '4', '--health-start-period', '3s'],
    ...['--log-driver', 'json-file', '--log-opt', 'max-size=1m', '--log-opt', 'max-file=2', '--init', '--interactive'],
    ...[
      '--stop-signal',
      'SIGTERM',
      '--stop-timeout',
      '7',
      '--annotation',
      'org.example.a=1',
      '--restart',
      'on-failure:3',
    ],
    ...['--ipc', 'private', '--cgroupns', 'private'],
  ],
  bridge: [
    '--publish-all',
    '--tty',
    '--restart',
    'unless-stopped',
    '--memory',
    '64m',
    '--log-driver',
    'local',
    '--ipc',
    'shareable',
  ],
  privileged: [
    '--privileged',
    '--cpus',
    '0.5',
    '--log-driver',
    'none',
    '--cgroup-parent',
    '/drayage-test',
    '--cgroupns',
    'host',
  ],
  apart: ['--network', 'none', '--entrypoint', '', '--no-healthcheck', '--rm'],
};

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter', 'memory', 'nginx']);
    await pair.clear();
  });
  afterEach(() => pair.clear());

  test.each(Object.keys(CONTAINERS))('%s: inspect shows the same', async (name) => {
    const { a, b } = pair;
    if (name === 'everything') {
      const subnet = ['--subnet', '172.31.77.0/24', '--ip-range', '172.31.77.128/25', '--gateway', '172.31.77.1'];
      await docker(a, 'network', 'create', ...subnet, '--label', 'n=1', 'office');
    }
    await runContainer(a, name, 'counter', { flags: CONTAINERS[name] as string[], command: ['counter'] });
    if (name === 'everything') await docker(a, 'network', 'connect', 'bridge', name);
    const before = await inspect(a, name);
    await pair.move(a, name);
    const after = await released(b, name, before);
    expect(differences(before, after, DIFFERS)).toEqual([]);
    // And back, to a host that knows it: the copy of the copy is compared with the first one.
    if (name === 'everything') for (const volume of ['named', 'other']) await removeKept(a, name, volume);
    await pair.move(b, name);
    const back = await released(a, name, before);
    expect(differences(before, back, DIFFERS)).toEqual([]);
    expect(await pair.leftovers()).toEqual([]);
  });

  test('an image crosses once, and only the layers that are not there', async () => {
    const { a, b } = pair;
    const { Id: id } = JSON.parse(await docker(a, 'image', 'inspect', 'memory'))[0];
    await docker(b, 'image', 'rm', '-f', 'memory').catch(() => '');
    await runContainer(a, 'one', 'memory', { command: ['mem.py', '1'] });
    await runContainer(a, 'two', 'memory', { command: ['mem.py', '1'] });
    const first = await pair.move(a, 'one');
    // busybox's layer is there, with counter; of its own it has python, which is tens of megabytes.
    const [bottom = 0, own = 0] = (await docker(a, 'history', '--human=false', '--format', '{{.Size}}', 'memory'))
      .split('\n')
      .map(Number)
      .toSorted((x, y) => x - y);
    expect(first.bytes).toBeGreaterThan(own * 0.5);
    const image = JSON.parse(await docker(b, 'image', 'inspect', 'memory'))[0];
    expect(image.Id).toBe(id);
    expect(image.RepoTags).toContain('memory:latest');
    const second = await pair.move(a, 'two');
    expect(second.bytes).toBeLessThan(Math.max(own * 0.5, bottom));
    expect((await inspect(b, 'two')).Image).toBe(id);
    expect((await inspect(b, 'two')).Config.Image).toBe('memory');
  });
});

/** As it is once the copy is an ordinary container. */
function released(host: LabHost, name: string, { HostConfig }: ContainerInspect): Promise<ContainerInspect> {
  return until('the copy has its restart policy', async () => {
    const copy = await inspect(host, name);
    return copy.HostConfig.RestartPolicy?.Name === HostConfig.RestartPolicy?.Name && copy;
  });
}

async function removeKept(host: LabHost, name: string, volume: string): Promise<void> {
  const ids = (await docker(host, 'ps', '-aq', '--filter', `name=${name}-moved-`)).split('\n').filter(Boolean);
  if (ids.length > 0) await docker(host, 'rm', '-v', ...ids);
  await docker(host, 'volume', 'rm', '-f', volume);
}
