/** A copy that did not get the workload's address: how it is found, and who is told of whom. */
import { expect, it } from 'vitest';
import type { Device } from '../tools/ip-network.ts';
import type { WorkloadAddress } from '../traffic/facts.ts';
import { takingRules } from '../traffic/hold-rules.ts';
import { standInDevices } from '../traffic/names.ts';
import { entries } from '../traffic/neighbours.ts';
import { targetTable } from '../traffic/target-rules.ts';
import { type InnerDevice, movedAddresses } from '../traffic/workload.ts';
import { arrivalOf } from './arrival.ts';

const device = (index: number, name: string, mac: string, ...addresses: string[]): Device => ({
  ...{ index, name, mac, mtu: 1500, up: true, kind: '' },
  addresses: addresses.map((address) => ({
    ...{ address, prefix: 24, scope: address.startsWith('fe80') ? 'link' : 'global' },
  })),
});
const AT: WorkloadAddress = {
  ...{ address: '172.17.0.2', subnet: '172.17.0.0/16', mac: '02::2', network: 'bridge', bridge: 'docker0' },
  peers: ['172.17.0.3', '172.17.0.4', '172.17.0.5'],
};
const HOP = { device: 'eth0', via: { 4: '10.0.0.1' } };
const copy = (...addresses: string[]): InnerDevice[] => [
  device(1, 'lo', '', '127.0.0.1', '172.17.0.2'),
  { ...device(2, 'eth0', '02::5', ...addresses), peer: 7 },
];

it.each([
  ['the same', ['172.17.0.2'], {}],
  ['another of the subnet', ['172.17.0.5'], { '172.17.0.2': '172.17.0.5' }],
  ['one of another subnet, as the only one', ['172.18.0.9', 'fe80::5'], { '172.17.0.2': '172.18.0.9' }],
  ['which of two is not known', ['172.18.0.9', '172.19.0.9'], { '172.17.0.2': null }],
  ['none', ['fd00::5'], { '172.17.0.2': null }],
] as const)('the address that a copy got: %s', (_, addresses, moved) => {
  expect(movedAddresses([AT], copy(...addresses))).toEqual(moved);
});

it('an address that it had on the way is found by the one that it has now', () => {
  const wanted = [{ ...AT, address: '172.17.0.5' }, AT];
  expect(movedAddresses(wanted, copy('172.17.0.5'))).toEqual({ '172.17.0.2': '172.17.0.5' });
});

const arrival = arrivalOf({
  ...{ id: 'x', workload: 'docker:web', bridges: new Map([['bridge', 'docker0']]) },
  moved: { '172.17.0.2': '172.17.0.5' },
  taken: new Set(['172.17.0.4']),
  published: [{ protocol: 'tcp', hostPort: 8080, address: '172.17.0.2', port: 80 }],
  traffic: {
    ...{ addresses: [{ ...AT, port: 'veth1' }], flows: [], hop: HOP, only: 'all', older: [] },
    from: { name: 'a', machine: 'm' },
  },
});
const [side] = arrival.sides.map((one) => one.side);
if (side === undefined) throw new Error('no side');

it('neighbours that stayed behind have no stand-in where somebody has their address here, the copy itself perhaps', () => {
  expect(side.addresses).toEqual([{ ...AT, by: '172.17.0.5', peers: ['172.17.0.3'] }]);
});

it('packets for it go to the address that it got; what it says by that one to them bears the old one', () => {
  const { chains } = targetTable(side, { outer: ['eth0'], inner: ['docker0'] });
  const rules = (name: string): string => chains.find((chain) => chain.name === name)?.rules.join('\n') ?? '';
  expect(rules('arrived_0')).toContain('fwd ip to 172.17.0.5 device "docker0"');
  expect(rules('from_other')).toContain('ip daddr 172.17.0.2');
  expect(rules('from_workload')).toMatch(/ip saddr 172\.17\.0\.5 .*@own_0 ip saddr set 172\.17\.0\.2/);
});

it('a client that asks this host itself is answered from here, also where it has used that port by way of the other', () => {
  const { chains } = targetTable(side, { outer: ['eth0'], inner: ['docker0'], uplinks: ['eth0', 'eth1'] });
  const [asked, other] = ['from_clients', 'from_other'].map((name) => chains.find((chain) => chain.name === name));
  expect(asked?.hook).toMatchObject({ devices: ['eth0', 'eth1'] });
  expect(asked?.hook?.priority).toBeLessThan(other?.hook?.priority ?? Number.NaN);
  expect(asked?.rules.join('\n')).toMatch(
    /tcp dport 8080 tcp flags & \(syn \| ack\) == syn delete @via_0 \{ ip saddr \. meta l4proto \. th sport \. 80 \}/,
  );
});

it('the copy, its bridge, its neighbours and the stand-ins know each other, by what they speak', () => {
  const { end } = standInDevices('x', 0);
  const network = {
    devices: [device(3, 'docker0', '02::1', '172.17.0.1', 'fe80::1'), device(4, end, '02::9')],
    routes: [],
  };
  const neighbours = [
    { address: '172.17.0.4', mac: '02::4', bridge: 'docker0' },
    { address: '172.30.0.4', mac: '02::14', bridge: 'br-elsewhere' },
  ];
  const { outside, inside } = entries({ inner: copy('172.17.0.5'), sides: [side], neighbours, network });
  const told = (list: readonly string[][]) => list.map(([, , address, , mac, , on]) => `${address} ${mac} ${on}`);
  expect(told(outside)).toEqual(['172.17.0.5 02::5 docker0']);
  expect(told(inside)).toEqual(['172.17.0.1 02::1 eth0', '172.17.0.3 02::9 eth0', '172.17.0.4 02::4 eth0']);
});

it('of UDP and of neighbour discovery nothing opens a connection', () => {
  const spec = {
    ...{ id: 'x', flows: [], uplinks: ['eth0'] },
    addresses: [{ ...AT, address: 'fd00::2', port: 'veth1' }],
    published: (['tcp', 'udp'] as const).map((protocol) => ({
      ...{ protocol, hostPort: 53, address: 'fd00::2', port: 53 },
    })),
  };
  const lanes = (['uplink', 'port'] as const).map((kind) => ({ ...{ kind, near: 'n', far: 'f', device: 'd' } }));
  const rules = takingRules(spec, lanes, { how: 'queue', what: 'new' }).split('\n');
  expect(rules).toHaveLength(3);
  for (const rule of rules) expect(rule).toMatch(/tcp flags & \(syn \| ack\) == syn/);
  expect(rules.join()).not.toContain('udp');
  expect(takingRules(spec, lanes, { how: 'queue', what: 'all' })).toContain('meta l4proto { tcp, udp }');
});
