/** Hosts with a router between them: what is forwarded travels in a tunnel, which goes with the last forward. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Client, serve } from './clients.ts';
import { docker, forwards, Pair, running, trafficOf, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

/** Of b, whose network is behind c. */
const FAR = '10.78.0.2';
const GATEWAY = '10.78.0.254';
/** Both ways through it, a fraction of what one connection within this machine carries: a tunnel that loses packets does not. */
const MEGABYTES_PER_SECOND = 3;

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  const clients = new Map<string, Client>();
  beforeAll(async () => {
    pair = await Pair.of(version, ['python']);
    await pair.clear();
    await route(pair);
    const { lab, a, b } = pair;
    const c = lab.host('c');
    await docker(a, 'network', 'create', '--subnet', '172.30.0.0/24', 'shop');
    const ports = ['8007:7', '8008:8', '8009:9', '8007:7/udp'].flatMap((port) => ['-p', port]);
    await serve(a, ['--network', 'shop', '--ip', '172.30.0.10', ...ports]);
    for (const [kind, port] of [
      ['count', 8007],
      ['fill', 8008],
      ['drain', 8009],
      ['datagrams', 8007],
    ] as const) {
      clients.set(kind, await Client.open(c, kind, { host: a.address, port }));
    }
    await pair.move(a, 'web', '--remove');
    await docker(b, 'exec', 'web', 'touch', '/tmp/read');
  });
  afterAll(async () => {
    for (const client of clients.values()) client.kill();
    await pair.clear();
    await unroute(pair);
  });

  test('what is forwarded goes through a tunnel', async () => {
    const { a, b } = pair;
    expect(await running(b)).toEqual(['web']);
    for (const host of [a, b]) expect((await trafficOf(host)).devices).toContainEqual(expect.stringMatching(/^dyv/));
    expect((await forwards(a))[0]?.packets).toBeGreaterThan(0);
  });

  test('numbers there and back', async () => {
    const { longestGapMs: _, ...seen } = await (clients.get('count') as Client).end();
    expect(seen).toEqual({ sent: seen.sent, received: seen.sent });
  });

  test('megabytes on connections that are older than the tunnel', async () => {
    expect(await (clients.get('fill') as Client).said(2)).toEqual({ whole: true });
    expect(await (clients.get('drain') as Client).end()).toMatchObject({ whole: true });
  });

  test('datagrams', async () => {
    const { sent: _, reordered, ...seen } = await (clients.get('datagrams') as Client).end();
    expect(seen).toEqual({ foreign: 0, errors: 0, repeated: 0, missing: [] });
    // One that comes as a queue is emptied may be taken in by another processor, before those that are under way.
    expect(reordered).toBeLessThanOrEqual(1);
  });

  test.each([
    ['fill', 8008],
    ['drain', 8009],
  ] as const)('a new connection, which carries much: %s', async (kind, port) => {
    const began = performance.now();
    const client = await Client.open(pair.lab.host('c'), kind, { host: pair.a.address, port });
    expect(await client.end()).toMatchObject({ whole: true });
    const megabytes = kind === 'fill' ? 12 : 6;
    expect(megabytes / ((performance.now() - began) / 1000)).toBeGreaterThan(MEGABYTES_PER_SECOND);
  });

  test('when it comes home the tunnel goes', async () => {
    const { a, b } = pair;
    await pair.move(b, 'web', '--remove');
    const nothing = { tables: [], devices: [] };
    await until('there is no tunnel', async () => {
      const there = await Promise.all([a, b].map((host) => trafficOf(host)));
      return !there.some(({ devices }) => devices.some((name) => name.startsWith('dyv')));
    });
    // What came by UDP counts as open for minutes.
    await docker(a, 'rm', '-f', 'web');
    await until('nothing is left', async () => (await forwards(a)).length + (await forwards(b)).length === 0);
    expect([await trafficOf(a), await trafficOf(b)]).toEqual([nothing, nothing]);
  });
});

/** Puts b on a network of its own; c, which is on both, is the router. */
async function route({ lab, a, b }: Pair): Promise<void> {
  const c = lab.host('c');
  const lan = `${a.address.split('.').slice(0, 3).join('.')}.0/24`;
  await ip(c, `address add ${GATEWAY}/24 dev eth0`);
  await c.run('sysctl', [
    '-q',
    'net.ipv4.ip_forward=1',
    'net.ipv4.conf.all.send_redirects=0',
    'net.ipv4.conf.eth0.send_redirects=0',
  ]);
  // Docker drops what it does not know.
  await c.run('iptables', ['-I', 'DOCKER-USER', '-i', 'eth0', '-o', 'eth0', '-j', 'ACCEPT']);
  await ip(a, `route add 10.78.0.0/24 via ${c.address}`);
  await ip(b, `address add ${FAR}/24 dev eth0`);
  await ip(b, `address delete ${b.address}/24 dev eth0`);
  // Other tests gave them addresses by which they are on one network still.
  await ip(b, '-6 address flush dev eth0 scope global');
  await ip(b, `route add ${lan} via ${GATEWAY}`);
  await name([a, b, c], b, FAR);
}

async function unroute({ lab, a, b }: Pair): Promise<void> {
  const c = lab.host('c');
  const lan = `${a.address.split('.').slice(0, 3).join('.')}.0/24`;
  await name([a, b, c], b, b.address);
  await ip(b, `route delete ${lan} via ${GATEWAY}`);
  await ip(b, `address add ${b.address}/24 dev eth0`);
  await ip(b, `address delete ${FAR}/24 dev eth0`);
  await ip(a, `route delete 10.78.0.0/24 via ${c.address}`);
  await c.run('iptables', ['-D', 'DOCKER-USER', '-i', 'eth0', '-o', 'eth0', '-j', 'ACCEPT']);
  await ip(c, `address delete ${GATEWAY}/24 dev eth0`);
}

/** By which others know a host. */
async function name(hosts: readonly LabHost[], host: LabHost, address: string): Promise<void> {
  for (const each of hosts) await each.run('sed', ['-i', `s/^.* ${host.name}$/${address} ${host.name}/`, '/etc/hosts']);
}

async function ip(host: LabHost, words: string): Promise<void> {
  await host.run('ip', words.split(' '));
}
