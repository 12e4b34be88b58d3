/**
 * Connections of every kind that are open when a workload moves, and when it moves home: clients of its published ports
 * and of its own addresses, by IPv4 and IPv6, with queues that are full; those that it opened itself; its neighbours; the
 * host that it leaves. One server, one move to and fro, and each test looks at what one client saw.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client, type ClientKind, serve } from './clients.ts';
import { docker, logs, Pair, runContainer } from './harness.ts';
import { DOCKERS } from './setup.ts';

const OWN = { 4: '172.30.0.10', 6: 'fd30::10' };
const HOSTS = { a: 'fd77::1', b: 'fd77::2', c: 'fd77::3' };
const PORTS = ['8007:7', '8008:8', '8009:9', '8007:7/udp'].flatMap((port) => ['-p', port]);

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  const clients = new Map<string, Client>();

  beforeAll(async () => {
    pair = await Pair.of(version, ['python']);
    await pair.clear();
    const { lab, a, b } = pair;
    const c = lab.host('c');
    for (const host of [a, b, c]) {
      await host.run('ip', ['address', 'replace', `${HOSTS[host.name as 'a']}/64`, 'dev', 'eth0', 'nodad']);
    }
    await c.run('ip', ['route', 'replace', 'fd30::/64', 'via', HOSTS.a]);
    await c.run('ip', ['route', 'replace', '172.30.0.0/24', 'via', a.address]);
    await docker(a, ...'network create --ipv6 --subnet 172.30.0.0/24 --subnet fd30::/64 shop'.split(' '));
    const peer = ['--network', 'shop', '--ip', '172.30.0.11', '--ip6', 'fd30::11'];
    await runContainer(a, 'peer', 'python', { flags: peer, command: ['sleep', 'infinity'] });
    const inPeer = ['docker', 'exec', '-i', 'peer'];

    const open = (name: string, at: typeof a, kind: ClientKind, host: string, port: number, wrap?: string[]) =>
      void clients.set(name, new Client(at, kind, host, port, wrap));
    open('server on c', c, 'serve', '0.0.0.0', 9007);
    open('server on c, IPv6', c, 'serve', '::', 9007);
    open('server on a', a, 'serve', '0.0.0.0', 9007);
    open('server in the neighbour', a, 'serve', '0.0.0.0', 9007, inPeer);
    await said(clients);
    const places = [`${c.address}:9007`, `[${HOSTS.c}]:9007`, '172.30.0.11:9007', `${a.address}:9007`];
    await serve(a, ['--network', 'shop', '--ip', OWN[4], '--ip6', OWN[6], ...PORTS], places);

    open('published port', c, 'count', a.address, 8007);
    open('published port, IPv6', c, 'count', HOSTS.a, 8007);
    open('own address, IPv6', c, 'count', OWN[6], 7);
    open('full receive queue', c, 'fill', a.address, 8008);
    open('full send queue', c, 'drain', a.address, 8009);
    open('datagrams', c, 'datagrams', a.address, 8007);
    open('datagrams, connected', c, 'connected', a.address, 8007);
    open('datagrams, IPv6', c, 'datagrams', OWN[6], 7);
    open('neighbour', a, 'count', OWN[4], 7, inPeer);
    open('neighbour, IPv6', a, 'count', OWN[6], 7, inPeer);
    open('source, by the workload’s address', a, 'count', OWN[4], 7);
    open('source, by its own address', a, 'count', a.address, 8007);
    await said(clients);
    await pair.move(a, 'web', '--remove');
  });

  afterAll(async () => {
    for (const client of clients.values()) client.kill();
    await pair.clear();
  });

  test.each([
    'published port',
    'published port, IPv6',
    'own address, IPv6',
    'neighbour',
    'neighbour, IPv6',
    'source, by the workload’s address',
    'source, by its own address',
  ])('%s', async (name) => {
    const seen = await client(name).end();
    expect(seen).toMatchObject({ sent: expect.any(Number) });
    console.log(version, name, seen);
    expect(seen).toEqual({ sent: seen.sent, received: seen.sent, longestGapMs: expect.any(Number) });
  });

  test('full receive queue', async () => {
    await docker(pair.b, 'exec', 'web', 'touch', '/tmp/read');
    console.log(version, await client('full receive queue').said());
    expect(await client('full receive queue').said(2, 20000)).toEqual({ whole: true });
  });

  test('full send queue', async () => {
    const seen = await client('full send queue').end();
    console.log(version, seen);
    expect(seen).toMatchObject({ whole: true });
  });

  test.each(['datagrams', 'datagrams, connected', 'datagrams, IPv6'])('%s', async (name) => {
    const seen = await client(name).end();
    console.log(version, name, seen);
    expect(seen).toMatchObject({ foreign: 0, errors: 0, repeated: 0, reordered: 0, missing: [] });
  });

  test('those that the workload opened', async () => {
    console.log((await logs(pair.b, 'web')).split('\n').slice(-30).join('\n'));
    expect(await logs(pair.b, 'web')).not.toContain('broken');
  });

  function client(name: string): Client {
    return clients.get(name) as Client;
  }
});

async function said(clients: ReadonlyMap<string, Client>): Promise<void> {
  for (const [name, client] of clients) {
    const { error } = await client.said();
    if (error !== undefined) throw new Error(`${name}: ${error}`);
  }
}
