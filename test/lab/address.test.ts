/** A workload with addresses of its own on the LAN (macvlan) takes them along. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import {
  codes,
  docker,
  forwards,
  inspect,
  Pair,
  runContainer,
  running,
  startDrayage,
  trafficOf,
  until,
} from './harness.ts';
import { expectUnnoticed, interrupted, output, type Probed, SERVER, underProbe } from './probe.ts';
import { DOCKERS } from './setup.ts';

const IPV6 = { lan: 'fd77::/64', web: 'fd77::50', peer: 'fd77::51', c: 'fd77::3' };
const ANY = Array.from({ length: 256 }, (_, status) => status);

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['python']);
    await pair.clear();
    await pair.lab.host('c').run('ip', ['address', 'replace', `${IPV6.c}/64`, 'dev', 'eth0', 'nodad']);
  });
  afterEach(() => pair.clear());

  test('there and back: no client notices more than the outage', async () => {
    const { a, b } = pair;
    await serve(pair);
    const before = await endpoint(a);
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const { outageMs, summary } = await underProbe(pair, byAddress(pair), () => pair.move(from, 'web', '--remove'));
      expectUnnoticed(summary, outageMs);
      expect(await running(to)).toEqual(['web']);
      expect(await running(from)).toEqual([]);
      // The same to its engine, to the switch and to its neighbours.
      expect(await endpoint(to)).toEqual(before);
      expect(await neighbourOf(pair, addressIn(pair))).toBe(before.MacAddress);
      // A client that has never heard of it, and who asks by IPv6.
      await pair.lab.host('c').run('ip', ['neighbour', 'flush', 'all']);
      expect(await get(pair, addressIn(pair))).toBe('ok');
      expect(await get(pair, `[${IPV6.web}]`)).toBe('ok');
      expect(await get(pair, addressIn(pair), from)).toBe('ok');
      await expectNothingLeft(pair);
    }
  });

  test('clients by IPv6', async () => {
    const { a, b } = pair;
    await serve(pair);
    const probed = { url: `http://[${IPV6.web}]/`, tcp: `[${IPV6.web}]:7` };
    const { outageMs, summary } = await underProbe(pair, probed, () => pair.move(a, 'web', '--remove'));
    expectUnnoticed(summary, outageMs);
    expect(await running(b)).toEqual(['web']);
  });

  test('with a terminal, for which the engine makes devices when all is restored', async () => {
    const { a, b } = pair;
    await serve(pair, '-it');
    const { outageMs, summary } = await underProbe(pair, byAddress(pair), () => pair.move(a, 'web'));
    expectUnnoticed(summary, outageMs);
    expect(await running(b)).toEqual(['web']);
    expect(await running(a)).toEqual([]);
    expect(await get(pair, `[${IPV6.web}]`)).toBe('ok');
    await expectNothingLeft(pair);
  });

  test('neighbours on the device of either host', async () => {
    const { a, b } = pair;
    await serve(pair);
    await lanNetwork(b, pair);
    const counting = [];
    for (const [host, last] of [
      [a, 51],
      [b, 52],
    ] as const) {
      await pair.lab.image('python', [host.name]);
      const flags = ['--network', 'lan', '--ip', addressIn(pair, last), '--ip6', `fd77::${last}`];
      await runContainer(host, `peer-${host.name}`, 'python', { flags, command: ['sleep', 'infinity'] });
      for (const address of [addressIn(pair), IPV6.web]) counting.push(count(host, `peer-${host.name}`, address));
    }
    await Promise.all(counting.map((one) => one.open));
    const move = await pair.migrate(a, 'web', '--remove');
    expect(move.result).toMatchObject({ outcome: 'committed' });
    for (const one of counting) expect(await one.end()).toEqual('whole');
    expect(await running(b)).toEqual(expect.arrayContaining(['web']));
  });

  // In what follows engines have no part.
  if (version !== 26) return;

  test('on a bridge, too: neighbours there are forwarded, and the address moves', async () => {
    const { a, b } = pair;
    await docker(a, 'network', 'create', '--subnet', '172.30.0.0/24', 'shop');
    await serve(pair, '--network', 'name=shop,ip=172.30.0.10');
    await runContainer(a, 'peer', 'python', { flags: ['--network', 'shop'], command: ['sleep', 'infinity'] });
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const neighbour = count(a, 'peer', '172.30.0.10');
      await neighbour.open;
      const { outageMs, summary } = await underProbe(pair, byAddress(pair), () => pair.move(from, 'web', '--remove'));
      expectUnnoticed(summary, outageMs);
      expect(await neighbour.end()).toBe('whole');
      expect(await running(to)).toContain('web');
      if (to === b) expect(await forwards(a)).toMatchObject([{ workload: 'docker:web', role: 'source' }]);
    }
  });

  test('undone by Ctrl-C, and by a restore that fails: it is reached where it was', async () => {
    const { a, b } = pair;
    await serve(pair);
    const { outcome, summary } = await underProbe(pair, byAddress(pair), () => interrupted(a));
    expect(outcome).toBe('undone');
    expectUnnoticed(summary);
    await breakRestore(b);
    try {
      const failed = await underProbe(pair, byAddress(pair), () => pair.migrate(a, 'web'));
      expect(failed.result).toMatchObject({ outcome: 'undone', error: { code: 'RESTORE_FAILED' } });
      expectUnnoticed(failed.summary);
    } finally {
      await b.run('mv', ['/usr/sbin/criu.real', '/usr/sbin/criu']);
    }
    await pair.lab.host('c').run('ip', ['neighbour', 'flush', 'all']);
    expect(await get(pair, addressIn(pair))).toBe('ok');
    expect(await neighbourOf(pair, addressIn(pair))).toBe((await endpoint(a)).MacAddress);
    expect(await running(b)).toEqual([]);
    expect(await docker(b, 'network', 'ls', '--format', '{{.Name}}')).not.toContain('lan');
    await expectNothingLeft(pair);
  });

  test.each(['a', 'b'] as const)('the agent of %s is killed as it is committed', async (name) => {
    const { a, b } = pair;
    await serve(pair);
    const { summary } = await underProbe(pair, byAddress(pair), async () => {
      await killedAtCommit(pair, name);
      return {};
    });
    expectUnnoticed(summary);
    const copies = [...(await running(a)), ...(await running(b))];
    expect(copies).toEqual(['web']);
    expect(await get(pair, addressIn(pair))).toBe('ok');
    await until('nothing is left', async () => (await pair.leftovers()).length === 0, 30_000).catch(() => {});
    await expectNothingLeft(pair);
  });

  test('what cannot be: another LAN, no address, not forwarded', async () => {
    const { a, b } = pair;
    await runContainer(a, 'plain', 'python', { command: ['sleep', 'infinity'] });
    expect(codes(await pair.migrate(a, 'plain', '--handover', 'address'))).toContain('NO_OWN_ADDRESS');
    await a.run('ip', ['link', 'add', 'other0', 'type', 'dummy'], { okCodes: ANY });
    await a.run('ip', ['link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1'], { okCodes: ANY });
    try {
      await a.run('ip', ['link', 'set', 'other0', 'up']);
      await docker(a, 'network', 'create', '-d', 'macvlan', '--subnet', '10.99.0.0/24', '-o', 'parent=other0', 'far');
      await runContainer(a, 'far', 'python', { flags: ['--network', 'far'], command: ['sleep', 'infinity'] });
      expect(codes(await pair.migrate(a, 'far'))).toEqual(['NO_DEVICE_ON_LAN', 'MIGRATION_BLOCKED']);
      await docker(a, 'rm', '-f', 'far');
      await docker(a, 'network', 'rm', 'far');
    } finally {
      await a.run('ip', ['link', 'delete', 'other0'], { okCodes: ANY });
    }
    await serve(pair);
    expect(codes(await pair.migrate(a, 'web', '--handover', 'forward'))).toContain('OWN_ADDRESS_NOT_FORWARDED');
    // The subnet is taken on the target by another network.
    await docker(
      b,
      ...['network', 'create', '-d', 'macvlan', '--subnet', subnetOf(pair), '-o', 'parent=eth0', 'theirs'],
    );
    expect(codes(await pair.migrate(a, 'web'))).toContain('SUBNET_TAKEN');
    expect(await get(pair, addressIn(pair))).toBe('ok');
  });
});

/** An address on the LAN of the lab. */
function addressIn({ a }: Pair, last = 50): string {
  return a.address.replace(/\d+$/, String(last));
}

function subnetOf(pair: Pair): string {
  return `${addressIn(pair, 0)}/24`;
}

function byAddress(pair: Pair): Probed {
  return { url: `http://${addressIn(pair)}/`, tcp: `${addressIn(pair)}:7` };
}

async function lanNetwork(host: LabHost, pair: Pair): Promise<void> {
  const subnets = ['--subnet', subnetOf(pair), '--gateway', addressIn(pair, 254), '--ipv6', '--subnet', IPV6.lan];
  await docker(host, 'network', 'create', '-d', 'macvlan', ...subnets, '-o', 'parent=eth0', 'lan');
}

/** Runs the server on a, as `web`, on the LAN. */
async function serve(pair: Pair, ...flags: string[]): Promise<void> {
  await lanNetwork(pair.a, pair);
  const own = ['--network', `name=lan,ip=${addressIn(pair)},ip6=${IPV6.web}`];
  await runContainer(pair.a, 'web', 'python', {
    flags: [...own, ...flags],
    command: ['python3', '-u', '-c', SERVER],
  });
  await until('it serves', async () => (await get(pair, addressIn(pair))) === 'ok');
}

/** What a client on another machine gets. */
async function get({ lab }: Pair, place: string, at: LabHost = lab.host('c')): Promise<string> {
  return (await at.run('busybox', ['wget', '-q', '-T', '3', '-O', '-', `http://${place}/`])).stdout.trim();
}

async function endpoint(host: LabHost) {
  const { lan } = (await inspect(host, 'web')).NetworkSettings.Networks;
  if (lan === undefined) throw new Error('web is not on the LAN');
  const { IPAddress, GlobalIPv6Address, MacAddress } = lan;
  return { IPAddress, GlobalIPv6Address, MacAddress };
}

/** The MAC address at which the client c knows another one. */
async function neighbourOf({ lab }: Pair, address: string): Promise<string | undefined> {
  const { stdout } = await lab.host('c').run('ip', ['-json', 'neighbour', 'show', 'to', address]);
  return (JSON.parse(stdout) as { lladdr?: string }[])[0]?.lladdr;
}

/** Numbers go there and back until its input ends. */
const COUNT = `
import select, socket, sys
s = socket.create_connection((sys.argv[1], 7)); s.settimeout(10); f = s.makefile('rb'); n = 0
while True:
    s.sendall(b'%d\\n' % n)
    got = f.readline()
    if got != b'%d\\n' % n: print('broken at', n, got); break
    if n == 0: print('open', flush=True)
    n += 1
    if select.select([sys.stdin], [], [], 0.01)[0]: print('whole'); break
`;

/** A connection from within a container, on which numbers go there and back until it is ended. */
function count(host: LabHost, container: string, address: string) {
  const program = host.start('docker', ['exec', '-i', container, 'python3', '-u', '-c', COUNT, address]);
  const said = output(program);
  const open = until('it is connected', async () => said.out().includes('open'));
  return {
    open,
    end: async (): Promise<string | undefined> => {
      program.stdin.end();
      await program.exited;
      return said.out().trim().split('\n').at(-1);
    },
  };
}

/** CRIU restores nothing on this host any more, and answers all else. */
async function breakRestore(host: LabHost): Promise<void> {
  const broken = '#!/bin/sh\n[ "$1" != swrk ] || [ "$2" != 3 ] || exit 1\nexec /usr/sbin/criu.real "$@"\n';
  const replace = 'mv /usr/sbin/criu /usr/sbin/criu.real; cat >/usr/sbin/criu; chmod 755 /usr/sbin/criu';
  await host.run('sh', ['-c', replace], { input: broken });
}

/** Resolves when both agents have come to an end with it. */
async function killedAtCommit(pair: Pair, name: 'a' | 'b'): Promise<void> {
  const cli = startDrayage(pair.a, 'migrate', 'docker:web', '--to', 'root@b', '--json', '--yes', '--remove');
  const said = output(cli);
  await until('it commits', async () => said.out().includes('"phase":"commit"'), 30_000);
  await pair.lab.host(name).kill9('drayage-agent');
  await pair.ready();
  await until('one copy runs, and is not frozen', async () => {
    const copies = [...(await running(pair.a)), ...(await running(pair.b))];
    return copies.length === 1 && (await get(pair, addressIn(pair))) === 'ok';
  });
  cli.kill('SIGKILL');
}

async function expectNothingLeft(pair: Pair): Promise<void> {
  expect(await pair.leftovers()).toEqual([]);
  for (const host of [pair.a, pair.b]) {
    expect(await forwards(host)).toEqual([]);
    expect(await trafficOf(host)).toEqual({ tables: [], devices: [] });
  }
}
