/**
 * Connections of every kind that are open when a workload moves away, and when it comes home: of clients of its published
 * ports and own addresses, by IPv4 and IPv6, with queues that are full; of its neighbours; of the host that it left; and
 * those that it opened itself. One server, one move to and fro, and each test looks at what one client saw.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Client, type ClientKind, routeIPv6, serve } from './clients.ts';
import { docker, forwards, inspect, logs, Pair, runContainer, trafficOf, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

const OWN = { 4: '172.30.0.10', 6: 'fd30::10' };
const PEER = { 4: '172.30.0.11', 6: 'fd30::11' };
const IN_PEER = ['docker', 'exec', '-i', 'peer'];
/** Messages of these are answered every 10 ms; beyond the pause itself they are to be late by no more than this. */
const NOISE_MS = 250;

/** There, and back. */
const MOVES = 2;

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  const clients = new Map<string, Client>();
  const outagesMs: number[] = [];
  /** What has happened since the clients are open. */
  const timeline: string[] = [];
  /** Where the workload connects to itself. */
  let places: string[] = [];

  async function thereAndBack(): Promise<void> {
    await pair.clear();
    for (const client of clients.values()) client.kill();
    for (const past of [outagesMs, timeline]) past.length = 0;
    const { lab, a, b } = pair;
    const c = lab.host('c');
    const six = await routeIPv6(lab);
    if (version === 26) await c.run('ip', ['route', 'replace', 'fd30::/64', 'via', six.a]);
    await docker(a, ...'network create --ipv6 --subnet 172.30.0.0/24 --subnet fd30::/64 shop'.split(' '));
    const flags = ['--network', 'shop', '--ip', PEER[4], '--ip6', PEER[6]];
    await runContainer(a, 'peer', 'python', { flags, command: ['sleep', 'infinity'] });

    const open = async (name: string, at: LabHost, kind: ClientKind, host: string, port: number, wrap?: string[]) => {
      clients.set(name, await Client.open(at, kind, { host, port, ...(wrap && { wrap }) }));
    };
    await open('server on c', c, 'serve', '0.0.0.0', 9007);
    await open('server on c, IPv6', c, 'serve', '::', 9007);
    await open('server on a', a, 'serve', '0.0.0.0', 9007);
    await open('server in the neighbour', a, 'serve', '0.0.0.0', 9007, IN_PEER);
    places = [`${c.address}:9007`, `[${six.c}]:9007`, `${PEER[4]}:9007`, `${a.address}:9007`];
    const ports = ['8007:7', '8008:8', '8009:9', '8007:7/udp'].flatMap((port) => ['-p', port]);
    await serve(a, ['--network', 'shop', '--ip', OWN[4], '--ip6', OWN[6], ...ports], { places });

    // Docker 26 publishes by a proxy for IPv6; 28 lets nobody in but by published ports.
    const [host, port] = version === 26 ? [OWN[6], 7] : [six.a, 8007];
    await Promise.all([
      open('published port', c, 'count', a.address, 8007),
      open('IPv6', c, 'count', host, port),
      open('neighbour', a, 'count', OWN[4], 7, IN_PEER),
      open('neighbour, IPv6', a, 'count', OWN[6], 7, IN_PEER),
      open('source, by the own address', a, 'count', OWN[4], 7),
      open('source, by its published port', a, 'count', a.address, 8007),
      open('full receive queue', c, 'fill', a.address, 8008),
      open('full send queue', c, 'drain', a.address, 8009),
      open('datagrams', c, 'datagrams', a.address, 8007),
      open('datagrams from a connected socket', c, 'connected', a.address, 8007),
      open('datagrams, IPv6', c, 'datagrams', host, port),
    ]);
    const openedAt = performance.now();
    for (const from of [a, b]) {
      const { outageMs } = await pair.move(from, 'web', '--remove');
      outagesMs.push(outageMs ?? Number.NaN);
      const endMs = Math.round(performance.now() - openedAt);
      timeline.push(`${endMs} ms: ${from === a ? 'there' : 'back'}, ${outageMs} ms of outage`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  beforeAll(async () => {
    pair = await Pair.of(version, ['python']);
    await thereAndBack();
  });

  // What a second try would look at is of the first one's moves.
  beforeEach(async ({ task }) => {
    if ((task.result?.retryCount ?? 0) > 0) await thereAndBack();
  });

  afterAll(async () => {
    for (const client of clients.values()) client.kill();
    if (version === 26) await pair.lab.host('c').run('ip', ['route', 'delete', 'fd30::/64']);
    await pair.clear();
  });

  test.each([
    'published port',
    'IPv6',
    'neighbour',
    'neighbour, IPv6',
    'source, by the own address',
    'source, by its published port',
  ])('numbers there and back: %s', async (name) => {
    const { longestGapMs, ...seen } = await end(name);
    await told(() => expect(seen).toEqual({ sent: seen.sent, received: seen.sent }));
    expect(seen.sent).toBeGreaterThan(200);
    expect(longestGapMs).toBeLessThan(Math.max(...outagesMs) + NOISE_MS);
  });

  test('what a client wrote before anything was read', async () => {
    const client = clients.get('full receive queue') as Client;
    await docker(pair.a, 'exec', 'web', 'touch', '/tmp/read');
    expect((await client.said(1)).full).toBeGreaterThan(100_000);
    expect(await client.said(2)).toEqual({ whole: true });
  });

  test('what the server wrote before a client read', async () => {
    expect(await end('full send queue')).toMatchObject({ whole: true });
  });

  test('it has all of its addresses, and none is somebody else’s', async () => {
    const { State } = await inspect(pair.a, 'web');
    const addresses = (state: string) => {
      const within = ['-t', String(State.Pid), '-n', 'ip', '-o', '-6', 'address', 'show', 'dev', 'eth0', state];
      return pair.a.run('nsenter', within).then(({ stdout }) => stdout.split('\n').filter(Boolean));
    };
    await until('none is tentative', async () => (await addresses('tentative')).length === 0);
    expect(await addresses('-tentative')).toHaveLength(2);
  });

  test('those that the workload opened', async () => {
    const all = await logs(pair.a, 'web');
    expect(all).not.toContain('broken');
    // Each counts on since it is back.
    const now = new Date().toISOString();
    const silent = async (): Promise<string[]> => {
      const counted = (await logs(pair.a, 'web', '--since', now)).split('\n').map((line) => line.split(' ')[0]);
      return places.filter((place) => !counted.includes(place));
    };
    await until('', async () => (await silent()).length === 0).catch(() => {});
    const unheard = await silent();
    await told(() => expect(unheard).toEqual([]));
  });

  test('datagrams keep what is for them when the last connection is over', async () => {
    await Promise.all([...clients.keys()].filter((name) => name.startsWith('server')).map(end));
    await until('', async () => (await logs(pair.a, 'web')).split('broken').length > places.length);
    expect(await forwards(pair.a)).toMatchObject([{ role: 'source', onlyOpen: true }]);
  });

  test.each(['datagrams', 'datagrams from a connected socket', 'datagrams, IPv6'])('%s', async (name) => {
    const { sent, reordered, missing, ...seen } = await end(name);
    expect(sent).toBeGreaterThan(200);
    expect(seen).toEqual({ foreign: 0, errors: 0, repeated: 0 });
    // One that comes as a queue is emptied may be taken in by another processor, before those that are under way.
    expect(reordered).toBeLessThanOrEqual(MOVES);
    // A dozen and more wait in each move. One may be lost on a host that is busy with other things: docs/decisions/0009.
    await told(() => expect(missing && ranges(missing.slice(MOVES))).toEqual([]));
  });

  test('what is for these connections goes with them', async () => {
    for (const client of clients.values()) client.kill();
    await docker(pair.a, 'rm', '-f', 'web', 'peer');
    expect([await forwards(pair.a), await forwards(pair.b)]).toEqual([[], []]);
    const nothing = { tables: [], devices: [] };
    expect([await trafficOf(pair.a), await trafficOf(pair.b)]).toEqual([nothing, nothing]);
  });

  function end(name: string) {
    return (clients.get(name) as Client).end();
  }

  /** Where it fails it says more: what became of packets. */
  async function told(check: () => void): Promise<void> {
    try {
      check();
    } catch (error) {
      (error as Error).message += `\n${await story()}`;
      throw error;
    }
  }

  async function story(): Promise<string> {
    const hosts = ['a', 'b', 'c'].map((name) => pair.lab.host(name));
    const script = [
      `hostname; ip neighbour; ip -6 neighbour; ip -6 route; ip -6 route show cache; ip -6 route get ${OWN[6]}`,
      `bridge fdb | grep 02:42:ac:1e; nft list tables; nft list counters; grep 'dport=7 ' /proc/net/nf_conntrack`,
      `table=$(nft list tables | sed -n 's/^table \\(netdev drayage_source.*\\)/\\1/p')`,
      '[ -n "$table" ] && { nft list set $table direct_1; for chain in away_6 answer_1 arriving arrived; do nft list chain $table $chain; done; }',
      'pid=$(docker inspect -f {{.State.Pid}} web) && nsenter -t $pid -n sh -c "ip -6 address; ip -6 route; ip -6 neighbour"',
    ].join(';');
    const said = await Promise.all(hosts.map((host) => host.run('sh', ['-c', `(${script}) 2>&1; true`])));
    return [...timeline, ...said.map(({ stdout }) => stdout)].join('\n');
  }
});

/** Of numbers in order: `1-3` for those that follow each other. */
function ranges(numbers: readonly number[]): string[] {
  const starts = numbers.filter((number, i) => numbers[i - 1] !== number - 1);
  const ends = numbers.filter((number, i) => numbers[i + 1] !== number + 1);
  return starts.map((start, i) => `${start}-${ends[i]}`);
}
