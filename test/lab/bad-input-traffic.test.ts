/** What stands in the way of clients, on real hosts: it is told before anything is touched, and `check` tells it as well. */
import { rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import type { Finding } from '../../src/migration/finding.ts';
import type { Plan } from '../../src/migration/plan.ts';
import { codes, counts, docker, forwards, Pair, runContainer, running, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

const SUBNET = '172.30.0.0/24';
const ADDRESS = '172.30.0.10';
/** A network that is reached by the client `c` only. */
const FAR = { subnet: '10.66.0.0/24', address: '10.66.0.9' };

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  /** Undone after each test, the newest first. */
  const mend: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter', 'python']);
    await pair.lab.image('counter', ['b']);
    await pair.clear();
  });
  afterEach(async () => {
    while (mend.length > 0) await mend.pop()?.();
    await pair.ready();
    expect(await pair.leftovers()).toEqual([]);
    await pair.clear();
  });

  async function serve(...flags: string[]): Promise<void> {
    await docker(pair.a, 'network', 'create', '--subnet', SUBNET, 'shop');
    const network = ['--network', 'shop', '--ip', ADDRESS];
    await runContainer(pair.a, 'web', 'counter', { flags: [...network, '-p', '8080:80', ...flags] });
    await until('it counts', async () => (await counts(pair.a, 'web')).length > 2);
  }

  /** What a client sees of it at the address of a. */
  async function get(host: LabHost = pair.lab.host('c'), url = `http://${pair.a.address}:8080/`): Promise<number> {
    return Number((await host.run('busybox', ['wget', '-q', '-T', '3', '-O', '-', url])).stdout);
  }

  /** Has a program do something else; the agent looks at what it can do again when it is started again. */
  async function instead(host: LabHost, program: string, script: string): Promise<void> {
    const path = host.path(`/usr/local/sbin/${program}`);
    const restart = async () => {
      await host.kill9('drayage-agent');
      await pair.ready();
    };
    await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    mend.push(restart, () => rm(path, { force: true }));
    await restart();
  }

  async function without(host: LabHost, path: string): Promise<void> {
    await host.run('mv', [path, `${path}.away`]);
    mend.push(() => host.run('mv', [`${path}.away`, path]));
  }

  async function look(...flags: string[]): Promise<{ told: Record<string, Finding>; plan: Plan }> {
    const args = ['check', 'docker:web', '--to', 'root@b', '--json', ...flags];
    const { stdout } = await pair.a.run('drayage', args, { okCodes: [0, 3] });
    const { findings, plan } = JSON.parse(stdout) as { findings: Finding[]; plan: Plan };
    const usual = ['LOOPBACK_NOT_FOLLOWED', 'NETWORK_SHARED', 'TCP_ESTABLISHED', 'PEERS_LOSE_NAME'];
    const told = findings.filter(({ code }) => !usual.includes(code));
    return { told: Object.fromEntries(told.map((finding) => [finding.code, finding])), plan };
  }

  /** A move that is refused, and has touched nothing. */
  async function refused(): Promise<string[]> {
    const before = await docker(pair.b, 'ps', '-aq');
    const move = await pair.migrate(pair.a, 'web');
    expect(move.status).toBe(3);
    expect(await docker(pair.b, 'ps', '-aq')).toBe(before);
    expect(await running(pair.a)).toContain('web');
    return codes(move);
  }

  test('nft is absent, or too old', async () => {
    const { b } = pair;
    await serve();
    await without(b, '/usr/sbin/nft');
    // As if the agent had just been started.
    await instead(b, 'unused', '');
    expect((await look()).told).toMatchObject({ NFT_MISSING: { severity: 'blocks', message: 'b has no nft.' } });
    expect((await look('--handover', 'none')).told).toEqual({});
    expect(await refused()).toEqual(['NFT_MISSING', 'MIGRATION_BLOCKED']);
    await mend.pop()?.();
    await mend.pop()?.();
    await mend.pop()?.();
    const old =
      'case $1 in --version) echo "nftables v0.9.0 (Fearless Fosdick)";; *) echo "Error: syntax error, unexpected fwd" >&2; exit 1;; esac';
    await instead(b, 'nft', old);
    expect((await look()).told).toMatchObject({
      FORWARD_RULES_REFUSED: {
        severity: 'blocks',
        message: expect.stringMatching(/^b \(nft 0\.9\.0\) .*unexpected fwd/),
      },
    });
    // What its administrator mends is seen, whether the agent was told or not.
    await rm(b.path('/usr/local/sbin/nft'));
    expect((await look()).told).toEqual({});
  });

  test('iptables is absent on the target, and rsync too old', async () => {
    const { b } = pair;
    await serve();
    await without(b, '/usr/sbin/iptables');
    await instead(b, 'rsync', 'echo "rsync  version 3.1.3  protocol version 31"');
    expect((await look()).told).toMatchObject({
      IPTABLES_MISSING: { severity: 'blocks' },
      RSYNC_TOO_OLD: { severity: 'blocks', message: 'b has rsync 3.1.3.' },
    });
  });

  test('a kernel that cannot queue packets: the plan and the events say that they are dropped', async () => {
    const { a } = pair;
    await serve();
    expect((await look()).plan.traffic).toEqual({ pause: 'queue', way: 'plain' });
    const script =
      'said=$(cat); case $said in *tbf*) echo "Error: Specified qdisc kind is unknown." >&2; exit 2;; esac';
    await instead(a, 'tc', `${script}\nprintf "%s\\n" "$said" | exec /usr/sbin/tc "$@"`);
    const { told, plan } = await look();
    expect(told).toMatchObject({ HOLD_DROPS: { severity: 'costs', message: expect.stringContaining('qdisc kind') } });
    expect(plan.traffic).toEqual({ pause: 'drop', way: 'plain' });
    const dry = await a.run('drayage', ['migrate', 'web', '--to', 'root@b', '--dry-run', '--yes']);
    expect(dry.stdout).toMatch(/costs\s+a cannot let packets wait[\s\S]*are\s+dropped/);
    const { events, result } = await pair.migrate(a, 'web', '--remove');
    expect(result).toMatchObject({ outcome: 'committed' });
    const findings = events.flatMap((event) => (event.type === 'findings' ? event.findings : []));
    expect(findings.map(({ code }) => code)).toContain('HOLD_DROPS');
    const notes = events.flatMap((event) => (event.type === 'note' ? [event.message] : []));
    expect(notes.join('\n')).toContain('packets that come during the pause are dropped');
    expect(await get()).toBeGreaterThan(0);
  });

  test('a switch or filter that lets no strange addresses pass is gone round by a tunnel; one that drops that, too, blocks', async () => {
    const { a, b } = pair;
    await serve();
    const filter = (...rules: string[]) => {
      const hook = 'type filter hook ingress device "eth0" priority -700';
      const table = ['table netdev theirs {', 'chain c {', hook, ...rules, '}', '}'];
      const input = ['add table netdev theirs', 'delete table netdev theirs', ...table, ''].join('\n');
      return b.run('nft', ['-f', '-'], { input });
    };
    mend.push(() => b.run('nft', ['destroy', 'table', 'netdev', 'theirs']));
    const strange = `ip daddr != { ${b.address}, 224.0.0.0/4 } drop`;
    await filter(strange);
    const { told, plan } = await look();
    expect(told).toMatchObject({ TUNNEL_USED: { severity: 'note' } });
    expect(plan.traffic).toEqual({ pause: 'queue', way: 'tunnel' });
    await filter(strange, 'udp dport 4788 drop');
    expect((await look()).told).toMatchObject({ PACKETS_DROPPED: { severity: 'blocks' } });
    expect(await refused()).toEqual(['PACKETS_DROPPED', 'MIGRATION_BLOCKED']);
    await filter(strange);
    await pair.move(a, 'web', '--remove');
    expect(await get()).toBeGreaterThan(0);
    expect((await a.run('nft', ['list', 'ruleset'])).stdout).toMatch(/fwd ip to 169\.254\.231\.1 device "?dyv/);
  });

  test('an address that is in use on the network there: by a container, or by whoever answers for it', async () => {
    const { b } = pair;
    await serve();
    await docker(b, 'network', 'create', '--subnet', SUBNET, '-o', 'com.docker.network.bridge.name=br-shop', 'shop');
    expect((await look()).told).toEqual({});
    await runContainer(b, 'other', 'counter', { flags: ['--network', 'shop', '--ip', ADDRESS] });
    expect((await look()).told).toMatchObject({
      ADDRESS_TAKEN: { severity: 'blocks', message: `${ADDRESS} of web is in use on b, by the container other.` },
    });
    await docker(b, 'rm', '-f', 'other');
    mend.push(() => b.run('ip', ['netns', 'delete', 'stranger']));
    await b.run('ip', ['netns', 'add', 'stranger']);
    await b.run('ip', ['-batch', '-'], {
      input: `link add stranger type veth peer name eth0 netns stranger\nlink set stranger master br-shop up\n`,
    });
    await b.run('ip', ['-netns', 'stranger', '-batch', '-'], {
      input: `link set eth0 up\naddress add ${ADDRESS}/24 dev eth0\n`,
    });
    await until('the bridge takes what it sends', async () => (await look()).told.ADDRESS_TAKEN !== undefined);
    expect((await look()).told).toMatchObject({
      ADDRESS_TAKEN: { message: expect.stringMatching(/somebody on the network shop answers for it\.$/) },
    });
    expect(await refused()).toEqual(['ADDRESS_TAKEN', 'MIGRATION_BLOCKED']);
  });

  test('an address of the host that a port is published at, and that the target does not have', async () => {
    const { a } = pair;
    await serve('-p', `${a.address}:8081:80`);
    expect((await look()).told).toMatchObject({
      HOST_ADDRESS_MISSING: {
        severity: 'blocks',
        message: `web publishes a port at ${a.address}, which b does not have.`,
      },
    });
  });

  test('a port that the target forwards for a workload that it had', async () => {
    const { b } = pair;
    await serve();
    await runContainer(b, 'elsewhere', 'counter', { flags: ['-p', '8080:80'] });
    await pair.lab.image('counter', ['c']);
    const c = pair.lab.host('c');
    mend.push(async () => {
      await docker(c, 'rm', '-f', 'elsewhere');
      for (const { id } of await forwards(c)) await c.run('drayage', ['forwards', 'rm', id]);
    });
    await b.run('drayage', ['migrate', 'elsewhere', '--to', 'root@c', '--yes', '--remove']);
    expect((await look()).told).toMatchObject({
      PORT_FORWARDED: { severity: 'blocks', message: 'Port 8080/tcp of b is forwarded for docker:elsewhere.' },
    });
    for (const { id } of await forwards(b)) await b.run('drayage', ['forwards', 'rm', id]);
    expect((await look()).told).toEqual({});
  });

  test('others that the workload is connected to, and who has no route to whom', async () => {
    const { a } = pair;
    const c = pair.lab.host('c');
    await c.run('ip', ['address', 'add', `${FAR.address}/32`, 'dev', 'lo']);
    mend.push(() => c.run('ip', ['address', 'delete', `${FAR.address}/32`, 'dev', 'lo']));
    await a.run('ip', ['route', 'add', FAR.subnet, 'via', c.address]);
    const unroute = () => a.run('ip', ['route', 'delete', FAR.subnet], { okCodes: [0, 2] });
    mend.push(unroute);
    await serve();
    const server = c.start('busybox', ['nc', '-ll', '-p', '5432', '-e', 'cat']);
    mend.push(async () => server.kill('SIGKILL'));
    await docker(a, 'exec', '-d', 'web', 'sh', '-c', `sleep 1000 | nc ${FAR.address} 5432`);
    await until('it is connected', async () => (await look()).told.NO_ROUTE_THERE !== undefined);
    expect((await look()).told.NO_ROUTE_THERE).toMatchObject({
      severity: 'costs',
      message: `b has no route to what web is connected to: ${FAR.address}.`,
    });
    // Known only by a route of policy, which forwards do not follow.
    await unroute();
    await a.run('ip', ['route', 'add', FAR.subnet, 'via', c.address, 'table', '100']);
    mend.push(() => a.run('ip', ['route', 'flush', 'table', '100']));
    await a.run('ip', ['rule', 'add', 'to', FAR.subnet, 'lookup', '100']);
    mend.push(() => a.run('ip', ['rule', 'delete', 'to', FAR.subnet]));
    await c.run('ip', ['route', 'add', `${a.address}/32`, 'dev', 'eth0', 'src', FAR.address]);
    mend.push(() => c.run('ip', ['route', 'delete', `${a.address}/32`]));
    const client = c.start('busybox', ['nc', a.address, '8080']);
    mend.push(async () => client.kill('SIGKILL'));
    await until('a client is connected', async () => (await look()).told.NO_ROUTE_BACK !== undefined);
    expect((await look()).told.NO_ROUTE_BACK).toMatchObject({
      severity: 'costs',
      message: `a has no route to clients of web: ${FAR.address}.`,
    });
  });

  test('reverse path filters that are strict are no finding, and hinder nobody', async () => {
    const { a, b } = pair;
    await serve();
    await runContainer(a, 'neighbour', 'counter', { flags: ['--network', 'shop'] });
    for (const host of [a, b]) {
      const set = async (value: string) => {
        await host.run('sh', ['-c', `for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo ${value} >$f; done`]);
      };
      mend.push(() => set('0'));
      await set('1');
    }
    expect((await look()).told).toEqual({});
    await pair.move(a, 'web', '--remove');
    expect(await get()).toBeGreaterThan(0);
    expect(await get(a)).toBeGreaterThan(0);
    expect(await get(a, `http://${ADDRESS}/`)).toBeGreaterThan(0);
    const near = await docker(a, 'exec', 'neighbour', 'wget', '-q', '-T', '3', '-O', '-', `http://${ADDRESS}/`);
    expect(Number(near)).toBeGreaterThan(0);
    const address = await docker(a, 'inspect', '-f', '{{.NetworkSettings.Networks.shop.IPAddress}}', 'neighbour');
    const back = await docker(b, 'exec', 'web', 'wget', '-q', '-T', '3', '-O', '-', `http://${address}/`);
    expect(Number(back)).toBeGreaterThan(0);
  });
});
