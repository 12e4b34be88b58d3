/** What is decided without looking at a kernel. */
import { expect, it } from 'vitest';
import type { TrackedFlow } from '../tools/conntrack.ts';
import type { ContainerInspect, NetworkInspect } from '../tools/docker-types.ts';
import type { Device, Network } from '../tools/ip-network.ts';
import { openFlows, withoutPassing } from './flows.ts';
import { routeRules } from './routes.ts';
import { tunnelBetween } from './tunnel.ts';
import { wayBetween } from './way.ts';
import { publishedPorts, workloadAddresses } from './workload.ts';

const device = (name: string, mac: string, ...addresses: string[]): Device => ({
  index: 2,
  name,
  mac,
  mtu: 1500,
  up: true,
  kind: '',
  addresses: addresses.map((each) => {
    const [address = '', prefix] = each.split('/');
    return { address, prefix: Number(prefix), scope: address.startsWith('fe80') ? 'link' : 'global' };
  }),
});
const host = (devices: Device[], gateway: string): Network => ({
  devices,
  routes: [{ to: '0.0.0.0/0', device: devices[0]?.name ?? '', via: gateway, metric: 0 }],
});
const BRIDGE = device('br-1', '02:00:00:00:00:99', '172.30.0.1/24');

it('hosts on one network send as it is; by a link-local address for IPv6, and by no bridge that both have', () => {
  const source = host([device('eth0', '02::1', '10.0.0.1/24', 'fe80::1/64'), BRIDGE], '10.0.0.254');
  const target = host([device('ens3', '02::2', '10.0.0.2/24', 'fe80::2/64'), BRIDGE], '10.0.0.254');
  expect(wayBetween(source, target, { bridges: ['br-1'] })).toEqual({
    hop: {
      source: { device: 'eth0', via: { 4: '10.0.0.2', 6: 'fe80::2' }, mac: '02::2' },
      target: { device: 'ens3', via: { 4: '10.0.0.1', 6: 'fe80::1' }, mac: '02::1' },
    },
  });
});

it('others go through a tunnel, of which both ends come to the same', () => {
  const source = host([device('eth0', '02::1', '10.0.0.1/24'), BRIDGE], '10.0.0.254');
  const target = host([device('eth0', '02::2', '10.1.0.2/24'), BRIDGE], '10.1.0.254');
  const way = wayBetween(source, target, { bridges: ['br-1'] });
  expect(way?.hop.source).toMatchObject({ via: { 4: '169.254.231.1' }, mss: 1410 });
  const [one, other] = [tunnelBetween('10.0.0.1', '10.1.0.2'), tunnelBetween('10.1.0.2', '10.0.0.1')];
  expect(way?.tunnel).toEqual({ source: one, target: other });
  expect([one.device, one.network, one.mac, one.theirMac]).toEqual([
    other.device,
    other.network,
    other.theirMac,
    other.mac,
  ]);
  expect(wayBetween(source, { ...target, routes: [] }, { bridges: ['br-1'] })).toBeNull();
});

it('routeRules: the longest prefix first, the better metric only', () => {
  const rules = routeRules(
    [
      { to: '0.0.0.0/0', device: 'eth0', via: '10.0.0.254', metric: 100 },
      { to: '10.0.0.0/24', device: 'eth0', metric: 0 },
      { to: '10.0.0.0/24', device: 'wlan0', metric: 600 },
      { to: 'fd00::/64', device: 'eth0', metric: 0 },
    ],
    4,
  );
  expect(rules).toEqual([
    'ip daddr 10.0.0.0/24 fwd ip to ip daddr device "eth0"',
    'fwd ip to 10.0.0.254 device "eth0"',
  ]);
});

const end = (source: string, sourcePort: number, destination: string, destinationPort: number) => ({
  source,
  sourcePort,
  destination,
  destinationPort,
});
const C = '172.30.0.10';
const tracked = (
  original: TrackedFlow['original'],
  reply: TrackedFlow['reply'],
  state = 'ESTABLISHED',
): TrackedFlow => ({
  protocol: 'tcp',
  state,
  original,
  reply,
});

it('openFlows: who opened it, and how the other end knows the workload', () => {
  const flows = openFlows({
    tracked: [
      tracked(end('10.0.0.9', 5000, '10.0.0.1', 8080), end(C, 80, '10.0.0.9', 5000)),
      tracked(end(C, 4000, '10.0.0.8', 5432), end('10.0.0.8', 5432, '10.0.0.1', 61000)),
      tracked(end('172.30.0.20', 6000, C, 80), end(C, 80, '172.30.0.20', 6000)),
      tracked(end('10.0.0.9', 5001, '10.0.0.1', 8080), end(C, 80, '10.0.0.9', 5001), 'TIME_WAIT'),
      tracked(end('10.0.0.9', 5002, '10.0.0.1', 22), end('10.0.0.1', 22, '10.0.0.9', 5002)),
    ],
    sockets: [
      {
        local: { host: C, port: 80 },
        remote: { host: '10.0.0.9', port: 5000 },
        state: 'ESTABLISHED',
        received: 0,
        repeats: 0,
        inode: 1,
      },
      {
        local: { host: C, port: 80 },
        remote: { host: '10.0.0.7', port: 7 },
        state: 'SYN-RECV',
        received: 0,
        repeats: 0,
        inode: 1,
      },
      {
        local: { host: '0.0.0.0', port: 80 },
        remote: { host: '0.0.0.0', port: 0 },
        state: 'LISTEN',
        received: 0,
        repeats: 0,
        inode: 1,
      },
    ],
    addresses: [{ address: C }],
    listening: [80],
  });
  expect(flows).toEqual([
    {
      protocol: 'tcp',
      address: C,
      port: 80,
      peer: '10.0.0.9',
      peerPort: 5000,
      known: { address: '10.0.0.1', port: 8080 },
      by: 'peer',
    },
    {
      protocol: 'tcp',
      address: C,
      port: 4000,
      peer: '10.0.0.8',
      peerPort: 5432,
      known: { address: '10.0.0.1', port: 61000 },
      by: 'workload',
    },
    { protocol: 'tcp', address: C, port: 80, peer: '172.30.0.20', peerPort: 6000, by: 'peer' },
    { protocol: 'tcp', address: C, port: 80, peer: '10.0.0.7', peerPort: 7, by: 'peer' },
  ]);
  expect(withoutPassing(flows, flows.slice(1))).toEqual(flows.slice(0, 1));
});

const NETWORK = {
  Id: 'abcdef0123456789',
  Name: 'web',
  Driver: 'bridge',
  Options: {},
  IPAM: { Driver: 'default', Options: null, Config: [{ Subnet: '172.30.0.0/24' }] },
  Containers: { me: { IPv4Address: `${C}/24` }, other: { IPv4Address: '172.30.0.20/24', IPv6Address: '' } },
} as unknown as NetworkInspect;
const INSPECT = {
  Id: 'me',
  NetworkSettings: {
    Ports: {
      '80/tcp': [
        { HostIp: '0.0.0.0', HostPort: '8080' },
        { HostIp: '::', HostPort: '8080' },
        { HostIp: '127.0.0.1', HostPort: '9090' },
        { HostIp: '10.0.0.1', HostPort: '8081' },
      ],
      '53/udp': null,
    },
    Networks: { web: { NetworkID: NETWORK.Id, IPAddress: C, GlobalIPv6Address: '', MacAddress: '02:42:ac:1e:00:0a' } },
  },
} as unknown as ContainerInspect;

it('publishedPorts and workloadAddresses read the engine', () => {
  expect(publishedPorts(INSPECT, [NETWORK])).toEqual([
    { protocol: 'tcp', hostPort: 8080, address: C, port: 80 },
    { protocol: 'tcp', hostAddress: '10.0.0.1', hostPort: 8081, address: C, port: 80 },
  ]);
  const inner = [{ ...device('eth0', '02:42:ac:1e:00:0b', `${C}/24`), peer: 7 }];
  const outer = [{ ...device('veth12', '02::7'), index: 7 }];
  expect(workloadAddresses('me', INSPECT, [NETWORK], inner, outer)).toEqual([
    {
      address: C,
      subnet: '172.30.0.0/24',
      mac: '02:42:ac:1e:00:0b',
      network: 'web',
      bridge: 'br-abcdef012345',
      port: 'veth12',
      peers: ['172.30.0.20'],
    },
  ]);
});
