/** What clients see of a move: connections and requests go on at the address that they know, and nobody is refused. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Client } from './clients.ts';
import { brokenAt, docker, forwards, logs, Pair, runContainer, running, trafficOf, until } from './harness.ts';
import { expectUnnoticed, interrupted, SERVER, underProbe } from './probe.ts';
import { DOCKERS } from './setup.ts';

/** A forward for connections only ends some time after the last of them. */
const EXPIRY_MS = 90_000;
const ADDRESS = '{{.NetworkSettings.Networks.bridge.IPAddress}}';

/** Connections from one port, each ended by a reset, so that the next one may have it at once. */
const BY_TURNS = `
import socket, struct, sys
for host in sys.argv[1:]:
    connection = socket.socket()
    connection.settimeout(5)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.bind(('', 40123))
    connection.connect((host, 7007))
    connection.sendall(b'hi\\n')
    print(connection.recv(9).decode(), end='')
    connection.close()
`;

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['python', 'redis']);
    await pair.clear();
  });
  afterEach(() => pair.clear());

  test('on a network of its own, there and back: no client notices more than the outage', async () => {
    const { a, b } = pair;
    await docker(a, 'network', 'create', '--subnet', '172.30.0.0/24', 'shop');
    await serve(pair, '--network', 'shop', '--ip', '172.30.0.10');
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const { outageMs, summary } = await underProbe(pair, probed(pair), () => pair.move(from, 'web', '--remove'));
      expectUnnoticed(summary, outageMs);
      expect(await running(to)).toEqual(['web']);
      const [before] = await forwards(a);
      // A client that comes only now, at the old address.
      expect(await get(pair)).toBe('ok');
      if (to !== b) continue;
      const [forward, ...more] = await forwards(a);
      expect([forward, ...more]).toMatchObject([{ workload: 'docker:web', role: 'source' }]);
      expect(before?.packets).toBeGreaterThan(0);
      expect(forward?.packets).toBeGreaterThan(before?.packets ?? 0);
      expect((await trafficOf(a)).tables).not.toEqual([]);
      expect(await forwards(b)).toMatchObject([{ workload: 'docker:web', role: 'target' }]);
      expect(await pair.leftovers()).toEqual([]);
    }
    await expectNothingLeft(pair, EXPIRY_MS);
  });

  test('on the default bridge, where the copy has the same address', async () => {
    const { a, b } = pair;
    await serve(pair);
    const address = await docker(a, 'inspect', '-f', ADDRESS, 'web');
    const { outageMs, summary } = await underProbe(pair, probed(pair), () => pair.move(a, 'web', '--remove'));
    expectUnnoticed(summary, outageMs);
    expect(await running(b)).toEqual(['web']);
    expect(await docker(b, 'inspect', '-f', ADDRESS, 'web')).toBe(address);
    expect(await get(pair)).toBe('ok');
    expect(await pair.leftovers()).toEqual([]);
  });

  test('another container that gets its address is reached by it; what was published is forwarded still', async () => {
    const { a } = pair;
    await serve(pair);
    const address = await docker(a, 'inspect', '-f', ADDRESS, 'web');
    await pair.move(a, 'web', '--remove');
    expect(await get(pair)).toBe('ok');
    await runContainer(a, 'next', 'python', {
      flags: ['-p', '8081:80'],
      command: ['python3', '-u', '-c', SERVER.replace('ok\\n', 'me\\n')],
    });
    expect(await docker(a, 'inspect', '-f', ADDRESS, 'next')).toBe(address);
    await until('it serves', async () => (await get(pair, 8081)) === 'me');
    expect(await get(pair)).toBe('ok');
    expect(await pair.leftovers()).toEqual([]);
  });

  test('a client that asks one host and the other by turns, by the same port of its own, is answered by each', async () => {
    const { a, b, lab } = pair;
    await serve(pair);
    await pair.move(a, 'web', '--remove');
    const hosts = [a, b, a, b].map(({ address }) => address);
    const { stdout } = await lab.host('c').run('python3', ['-c', BY_TURNS, ...hosts], { timeoutMs: 30_000 });
    expect(stdout).toBe('hi\n'.repeat(hosts.length));
  });

  test('another container that publishes its port gets what is opened from then on, for as long as it runs', async () => {
    const { a, lab } = pair;
    await serve(pair);
    const early = await Client.open(lab.host('c'), 'count', { host: a.address, port: 7007 });
    await pair.move(a, 'web', '--remove');
    const late = await Client.open(lab.host('c'), 'count', { host: a.address, port: 7007 });
    await runContainer(a, 'next', 'python', {
      flags: ['-p', '8080:80', '-p', '7007:7'],
      command: ['python3', '-u', '-c', SERVER.replace('ok\\n', 'me\\n')],
    });
    await until('it serves', async () => (await get(pair)) === 'me');
    const theirs = await Client.open(lab.host('c'), 'count', { host: a.address, port: 7007 });
    // Programs of the host itself, too.
    expect(
      (await a.run('busybox', ['wget', '-q', '-T', '3', '-O', '-', `http://${a.address}:8080/`])).stdout.trim(),
    ).toBe('me');
    for (const client of [early, late, theirs]) {
      const { longestGapMs: _, ...seen } = await client.end();
      expect(seen).toEqual({ sent: seen.sent, received: seen.sent });
      expect(seen.sent).toBeGreaterThan(2);
    }
    await docker(a, 'rm', '-f', 'next');
    await until('it is forwarded again', async () => (await get(pair)) === 'ok');
    expect(await pair.leftovers()).toEqual([]);
  });

  test('a move that is undone as the copy is restored', async () => {
    const { a, b } = pair;
    await serve(pair);
    const { outcome, summary } = await underProbe(pair, probed(pair), () => interrupted(a));
    expect(outcome).toBe('undone');
    expectUnnoticed(summary);
    expect(await running(a)).toEqual(['web']);
    expect(await running(b)).toEqual([]);
    await until('nothing is left', async () => (await pair.leftovers()).length === 0);
    await expectNothingLeft(pair, 5000);
    expect(await get(pair)).toBe('ok');
  });

  test('connections within the container: Unix sockets and loopback', async () => {
    const { a, b } = pair;
    await runContainer(a, 'pairs', 'python', { command: ['python3', '-u', '-c', PAIRS] });
    await until('they talk', async () => (await numbers(a, 'pairs')).length > 5);
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      await pair.move(from, 'pairs', '--remove');
      const before = (await numbers(to, 'pairs')).length;
      await until('they talk on', async () => (await numbers(to, 'pairs')).length > before + 5);
    }
    expect(await logs(a, 'pairs')).not.toMatch(/broken|Error/);
    expect(brokenAt(await numbers(a, 'pairs'))).toBeUndefined();
  });

  test('redis and its client on a Unix socket in the same container', async () => {
    const { a, b } = pair;
    const server = 'redis-server --save "" --port 0 --unixsocket /data/redis.sock >/dev/null &';
    const client = 'redis-cli -s /data/redis.sock -r -1 -i 0.1 incr n';
    const wait = 'until redis-cli -s /data/redis.sock ping >/dev/null 2>&1; do sleep 0.1; done';
    await runContainer(a, 'cache', 'redis', { command: ['sh', '-c', `${server} ${wait}; ${client}`] });
    await until('it counts', async () => (await numbers(a, 'cache')).length > 5);
    const connected = await incrementing(a);
    await pair.move(a, 'cache', '--remove');
    const before = (await numbers(b, 'cache')).length;
    await until('it counts on', async () => (await numbers(b, 'cache')).length > before + 5);
    expect(brokenAt(await numbers(b, 'cache'))).toBeUndefined();
    // The same connection, not one that the client made anew.
    expect(await incrementing(b)).toBe(connected);
  });
});

/** Two processes; each number crosses connections of four kinds, there and back, before it is told. */
const PAIRS = `
import os, socket, time
def over(family, address):
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind(address); server.listen()
    client = socket.socket(family, socket.SOCK_STREAM)
    client.connect(server.getsockname())
    return client, server.accept()[0]
pairs = [over(socket.AF_INET, ('127.0.0.1', 0)), over(socket.AF_UNIX, '/tmp/named'),
         over(socket.AF_UNIX, '\\0abstract'), socket.socketpair()]
if os.fork() == 0:
    for client, _ in pairs: client.close()
    while True:
        for _, server in pairs: server.sendall(server.recv(100))
for _, server in pairs: server.close()
n = 0
while True:
    for client, _ in pairs:
        client.sendall(b'%d' % n)
        got = client.recv(100)
        if got != b'%d' % n: print('broken', n, got)
    print(n)
    n += 1
    time.sleep(0.05)
`;

/** Runs the server on a, as `web`. */
async function serve(pair: Pair, ...flags: string[]): Promise<void> {
  const ports = ['-p', '8080:80', '-p', '7007:7'];
  const command = ['python3', '-u', '-c', SERVER];
  await runContainer(pair.a, 'web', 'python', { flags: [...flags, ...ports], command });
  await until('it serves', async () => (await get(pair)) === 'ok');
}

function probed({ a }: Pair) {
  return { url: `http://${a.address}:8080/`, tcp: `${a.address}:7007` };
}

/** What a client on another machine gets at the address of a. */
async function get({ lab, a }: Pair, port = 8080): Promise<string> {
  const url = `http://${a.address}:${port}/`;
  return (await lab.host('c').run('busybox', ['wget', '-q', '-T', '3', '-O', '-', url])).stdout.trim();
}

async function expectNothingLeft({ a, b }: Pair, timeoutMs: number): Promise<void> {
  const state = async () => [await forwards(a), await forwards(b), await trafficOf(a), await trafficOf(b)];
  const clean = [[], [], { tables: [], devices: [] }, { tables: [], devices: [] }];
  await until(
    'forwards are gone',
    async () => (await state()).flatMap(Object.values).flat().length === 0,
    timeoutMs,
  ).catch(() => {});
  expect(await state()).toEqual(clean);
}

/** What was printed, one number on a line. */
async function numbers(host: LabHost, name: string): Promise<number[]> {
  return [...(await logs(host, name)).matchAll(/^(?:\(integer\) )?(\d+)$/gm)].map(([, number]) => Number(number));
}

/** The id that redis gave to the connection that counts. */
async function incrementing(host: LabHost): Promise<string> {
  const list = await docker(host, 'exec', 'cache', 'redis-cli', '-s', '/data/redis.sock', 'client', 'list');
  return /^id=(\d+) .*cmd=incr /m.exec(list)?.[1] ?? `nobody counts: ${list}`;
}
