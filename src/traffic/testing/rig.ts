/**
 * Hosts made of network namespaces: a client K, hosts with a container bridge and rules like Docker's, containers. A
 * container "moves" by its cable: its end at the one bridge is put into the other host. So its sockets live on as
 * those of a perfect migration would.
 */
import { fileURLToPath } from 'node:url';
import { type Run, runner, type Started, start } from '../../exec/run.ts';
import { applyIp } from '../../tools/ip-network.ts';
import type { WorkloadAddress } from '../facts.ts';

export const CONTAINER = { 4: '172.31.9.10', 6: 'fd31::10' } as const;
export const PEER = { 4: '172.31.9.20', 6: 'fd31::20' } as const;
export const BRIDGE = 'br-test';
const SUBNET = { 4: '172.31.9.0/24', 6: 'fd31::/64' } as const;

export interface RigHost {
  name: string;
  run: Run;
  address: { 4: string; 6: string };
}

export interface LanPlace {
  mac: string;
  4: string;
  6: string;
}

export interface Answer {
  answer?: string;
  from?: string;
  error?: string;
}

interface Counted {
  sent?: number;
  received?: number;
  longestMs?: number;
  error?: string;
}

export interface Counting {
  /** No more is sent; what was sent is waited for. */
  end(): Promise<Counted>;
}

const END_POINTS = fileURLToPath(new URL('end-points.ts', import.meta.url));
let rigs = 0;

export class Rig {
  readonly #prefix = `trx${process.pid}-${rigs++}-`;
  readonly #run = runner();
  readonly #namespaces: string[] = [];
  readonly #programs: Started[] = [];
  readonly #routed: readonly string[];

  private constructor(routed: readonly string[]) {
    this.#routed = routed;
  }

  /** @param routed hosts that are on a network of their own, behind a router */
  static async make(hosts: readonly string[], { routed = [] as readonly string[] } = {}): Promise<Rig> {
    const rig = new Rig(routed);
    try {
      await rig.#build(hosts);
      return rig;
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  }

  run(name: string): Run {
    return (program, args, options) =>
      this.#run('ip', ['netns', 'exec', this.#prefix + name, program, ...args], options);
  }

  host(name: string): RigHost {
    return { name, run: this.run(name), address: this.#addressOf(name) };
  }

  #addressOf(name: string): { 4: string; 6: string } {
    const number = { K: 9, S: 1, T: 2, U: 3 }[name] ?? 7;
    const net = this.#routed.includes(name) ? number + 10 : 9;
    return { 4: `10.${net}.0.${number}`, 6: `fd${String(net).padStart(2, '0')}::${number}` };
  }

  /** A container on a host's bridge. */
  async container(name: string, on: string, address: { 4: string; 6: string }): Promise<void> {
    await this.#namespace(name);
    const [host, inner] = [this.#prefix + on, this.#prefix + name];
    await applyIp(this.#run, [
      ['link', 'add', `v-${name}`, 'netns', host, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', inner],
    ]);
    await applyIp(this.run(on), [
      ['link', 'set', `v-${name}`, 'master', BRIDGE],
      ['link', 'set', `v-${name}`, 'up'],
    ]);
    await applyIp(this.run(name), [
      ['link', 'set', 'eth0', 'up'],
      ['address', 'add', `${address[4]}/24`, 'dev', 'eth0'],
      ['address', 'add', `${address[6]}/64`, 'dev', 'eth0', 'nodad'],
      ['route', 'add', 'default', 'via', '172.31.9.1'],
      ['route', 'add', '::/0', 'via', 'fd31::1'],
    ]);
  }

  /** A container on the LAN itself, below a host's eth0. */
  async lanContainer(name: string, on: string, { mac, ...address }: LanPlace): Promise<void> {
    await this.#namespace(name);
    await this.hang(name, on, { mac, ...address });
  }

  /** Gives a container's namespace a device below a host's eth0; its sockets live on where it had another one before. */
  async hang(name: string, on: string, { mac, ...address }: LanPlace): Promise<void> {
    const above = ['link', 'add', 'hung', 'link', 'eth0', 'address', mac, 'netns', this.#prefix + name];
    await applyIp(this.run(on), [[...above, 'type', 'macvlan', 'mode', 'bridge']]);
    await applyIp(this.run(name), [
      ['link', 'set', 'hung', 'name', 'eth0'],
      ['address', 'add', `${address[4]}/24`, 'dev', 'eth0'],
      ['address', 'add', `${address[6]}/64`, 'dev', 'eth0', 'nodad'],
      ['link', 'set', 'eth0', 'up'],
    ]);
  }

  async publish(on: string): Promise<void> {
    await this.run(on)('nft', ['-f', '-'], { input: publishing('ip', CONTAINER[4]) + publishing('ip6', CONTAINER[6]) });
  }

  /** What a migration does, as the network sees it. */
  async move(name: string, from: string, to: string): Promise<void> {
    await applyIp(this.run(from), [['link', 'set', `v-${name}`, 'netns', this.#prefix + to]]);
    await applyIp(this.run(to), [
      ['link', 'set', `v-${name}`, 'master', BRIDGE],
      ['link', 'set', `v-${name}`, 'up'],
    ]);
    const flushed = ['ip', 'ip6'].flatMap((family) => [
      `flush chain ${family} nat PREROUTING`,
      `flush chain ${family} nat OUTPUT`,
    ]);
    // As Docker does when a container ends.
    await this.run(from)('nft', ['-f', '-'], { input: `${flushed.join('\n')}\n` });
    await this.publish(to);
    // A restored namespace is new, and knows no neighbours. It was there before the first packet, unlike this one:
    // who was asked for too early would be asked for again a second later.
    await this.run(name)('ip', ['neighbour', 'flush', 'all'], {});
    await this.run(to)('ip', ['neighbour', 'flush', 'dev', BRIDGE], {});
  }

  async addresses(container: string, peers = false): Promise<WorkloadAddress[]> {
    const { stdout } = await this.run(container)('ip', ['-json', 'link', 'show', 'dev', 'eth0']);
    const [link] = JSON.parse(stdout) as { address: string }[];
    return ([4, 6] as const).map((family) => ({
      address: CONTAINER[family],
      subnet: SUBNET[family],
      mac: link?.address ?? '',
      bridge: BRIDGE,
      port: `v-${container}`,
      peers: peers ? [PEER[family]] : [],
    }));
  }

  /** Starts a server in a container, and waits until it listens. */
  async serve(name: string): Promise<Started> {
    const program = this.#start(name, ['serve', name]);
    await new Promise<void>((resolve) => program.stdout.once('data', () => resolve()));
    return program;
  }

  /** One question from `at`; the answer begins with the name of who gave it. */
  async ask(at: string, protocol: 'tcp' | 'udp', host: string, port: number, fromPort = 0): Promise<Answer> {
    return lastLine(this.#start(at, ['ask', protocol, host, String(port), String(fromPort)]));
  }

  /** A connection that counts until it is told to end; resolves when it has its first answer, or has failed. */
  async count(at: string, host: string, port: number): Promise<Counting> {
    const program = this.#start(at, ['count', host, String(port)]);
    const result: Promise<Counted> = lastLine(program);
    await new Promise<void>((resolve) => program.stdout.once('data', () => resolve()));
    return {
      end: () => {
        program.stdin.end();
        return result;
      },
    };
  }

  /** Datagrams of the host's own. */
  async send(at: string, from: string, to: string, port: number, sizes: readonly number[]): Promise<void> {
    await this.#start(at, ['send', from, to, String(port), ...sizes.map(String)]).exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) program.kill('SIGKILL');
    await Promise.all(this.#programs.map(({ ended }) => ended));
    for (const name of this.#namespaces.reverse()) {
      await this.#run('ip', ['netns', 'delete', name], { okCodes: [0, 1] });
    }
  }

  #start(at: string, args: readonly string[]): Started {
    const program = start('ip', ['netns', 'exec', this.#prefix + at, process.execPath, END_POINTS, ...args]);
    program.stderr.resume();
    this.#programs.push(program);
    return program;
  }

  async #namespace(name: string): Promise<void> {
    await this.#run('ip', ['netns', 'add', this.#prefix + name]);
    this.#namespaces.push(this.#prefix + name);
    // Addresses are used at once: a test would wait a second for each of IPv6.
    await this.run(name)('sysctl', [
      '-qw',
      'net.ipv6.conf.default.accept_dad=0',
      'net.ipv6.conf.default.dad_transmits=0',
    ]);
    await applyIp(this.run(name), [['link', 'set', 'lo', 'up']]);
  }

  async #build(hosts: readonly string[]): Promise<void> {
    await this.#namespace('N');
    await applyIp(this.run('N'), [
      ['link', 'add', 'sw', 'type', 'bridge', 'mcast_snooping', '0'],
      ['link', 'set', 'sw', 'up'],
    ]);
    await this.run('N')('sysctl', ['-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    await applyIp(this.run('N'), [
      ['address', 'add', '10.9.0.254/24', 'dev', 'sw'],
      ['address', 'add', 'fd09::254/64', 'dev', 'sw', 'nodad'],
    ]);
    for (const name of hosts) await this.#host(name);
  }

  async #host(name: string): Promise<void> {
    await this.#namespace(name);
    const address = this.#addressOf(name);
    const gateway = { 4: address[4].replace(/\d+$/, '254'), 6: address[6].replace(/\d+$/, '254') };
    const link = ['link', 'add', 'eth0', 'netns', this.#prefix + name, 'type', 'veth', 'peer', 'name', `p-${name}`];
    await applyIp(this.#run, [[...link, 'netns', `${this.#prefix}N`]]);
    await applyIp(this.run('N'), [
      ['link', 'set', `p-${name}`, 'up'],
      ...(this.#routed.includes(name)
        ? [
            ['address', 'add', `${gateway[4]}/24`, 'dev', `p-${name}`],
            ['address', 'add', `${gateway[6]}/64`, 'dev', `p-${name}`, 'nodad'],
          ]
        : [['link', 'set', `p-${name}`, 'master', 'sw']]),
    ]);
    await applyIp(this.run(name), [
      ['link', 'set', 'eth0', 'up'],
      ['address', 'add', `${address[4]}/24`, 'dev', 'eth0'],
      ['address', 'add', `${address[6]}/64`, 'dev', 'eth0', 'nodad'],
      ['route', 'add', 'default', 'via', gateway[4]],
      ['route', 'add', '::/0', 'via', gateway[6]],
      ...(name === 'K'
        ? []
        : [
            ['link', 'add', BRIDGE, 'type', 'bridge', 'mcast_snooping', '0'],
            ['link', 'set', BRIDGE, 'up'],
            ['address', 'add', '172.31.9.1/24', 'dev', BRIDGE],
            ['address', 'add', 'fd31::1/64', 'dev', BRIDGE, 'nodad'],
          ]),
    ]);
    if (name === 'K') return;
    await this.run(name)('sysctl', ['-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    await this.run(name)('nft', ['-f', '-'], {
      input: likeDocker('ip', CONTAINER[4]) + likeDocker('ip6', CONTAINER[6]),
    });
  }
}

async function lastLine<T>(program: Started): Promise<T> {
  let text = '';
  program.stdout.on('data', (data: Buffer) => {
    text += data.toString();
  });
  await program.exited;
  return JSON.parse(text.trim().split('\n').at(-1) || '{"error":"nothing said"}');
}

/** What Docker 28 has for a container that publishes 8080/tcp and 5353/udp: nothing else may pass. */
function likeDocker(family: 'ip' | 'ip6', address: string): string {
  return `
table ${family} filter {
  chain FORWARD {
    type filter hook forward priority 0; policy drop;
    ct state related,established oifname ${BRIDGE} accept
    iifname != ${BRIDGE} oifname ${BRIDGE} ${family} daddr ${address} tcp dport 80 accept
    iifname != ${BRIDGE} oifname ${BRIDGE} ${family} daddr ${address} udp dport 53 accept
    iifname ${BRIDGE} accept
  }
}
table ${family} raw {
  chain PREROUTING {
    type filter hook prerouting priority -300;
    ${family} daddr ${address} iifname != ${BRIDGE} drop
  }
}
table ${family} nat {
  chain PREROUTING {
    type nat hook prerouting priority -100;
  }
  chain OUTPUT {
    type nat hook output priority -100;
  }
  chain POSTROUTING {
    type nat hook postrouting priority 100;
    ${family} saddr ${SUBNET[family === 'ip' ? 4 : 6]} oifname != ${BRIDGE} masquerade
  }
}
`;
}

/** What is there while the container runs. */
function publishing(family: 'ip' | 'ip6', address: string): string {
  const target = family === 'ip' ? address : `[${address}]`;
  const own = `${family} daddr != ${family === 'ip' ? '127.0.0.0/8' : '::1'} fib daddr type local`;
  return `
flush chain ${family} nat PREROUTING
flush chain ${family} nat OUTPUT
add rule ${family} nat PREROUTING fib daddr type local tcp dport 8080 dnat to ${target}:80
add rule ${family} nat PREROUTING fib daddr type local udp dport 5353 dnat to ${target}:53
add rule ${family} nat OUTPUT ${own} tcp dport 8080 dnat to ${target}:80
`;
}
