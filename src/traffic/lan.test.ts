import { expect, it } from 'vitest';
import type { ContainerInspect, NetworkInspect } from '../tools/docker-types.ts';
import type { Device, Network } from '../tools/ip-network.ts';
import { sameLan } from './lan.ts';
import { ownDevices, parentOf } from './own-device.ts';

const device = (name: string, addresses: string[] = [], more: Partial<Device> = {}): Device => ({
  ...{ index: 2, name, mac: '02:00:00:00:00:01', mtu: 1500, up: true, kind: '' },
  addresses: addresses.map((each) => {
    const [address = '', prefix] = each.split('/');
    return { address, prefix: Number(prefix), scope: address.startsWith('fe80') ? 'link' : 'global' };
  }),
  ...more,
});
const host = (...devices: Device[]): Network => ({ devices, routes: [] });
const sure = (name: string) => ({ device: name, sure: true });

const HERE = host(device('eth0', ['10.5.0.1/24', 'fe80::1/64']), device('eth1'), device('docker0', ['172.17.0.1/16']));

const CASES: [
  string,
  { name?: string; here?: Network; there: Device[]; subnets?: string[] },
  ReturnType<typeof sameLan>,
][] = [
  ['the same subnet, whatever its name', { there: [device('ens3', ['10.5.0.2/24'])] }, sure('ens3')],
  ['of two the namesake', { there: [device('br0', ['10.5.0.2/24']), device('eth0', ['10.5.0.3/24'])] }, sure('eth0')],
  ['another subnet', { there: [device('eth0', ['10.6.0.2/24'])] }, null],
  ['link-local addresses tell nothing', { there: [device('eth0', ['fe80::2/64', '10.6.0.2/24'])] }, null],
  ['one that is down', { there: [device('ens3', ['10.5.0.2/24'], { up: false })] }, null],
  ['a port of a bridge', { there: [device('ens3', ['10.5.0.2/24'], { master: 'br0' })] }, null],
  [
    'an address of the network',
    { name: 'eth1', there: [device('x', ['10.7.0.9/24'])], subnets: ['10.7.0.0/24'] },
    sure('x'),
  ],
  ['namesakes without addresses', { name: 'eth1', there: [device('eth1')] }, { device: 'eth1', sure: false }],
  ['a VLAN that is not there yet', { name: 'eth0.7', there: [device('ens3', ['10.5.0.2/24'])] }, sure('ens3.7')],
  [
    'a VLAN of what may be another LAN',
    { name: 'eth1.7', there: [device('eth1'), device('eth0', ['10.5.0.2/24'])] },
    { device: 'eth1.7', sure: false },
  ],
];

it.each(CASES)('%s', (_, { name = 'eth0', here = HERE, there, subnets = [] }, expected) => {
  expect(sameLan(here, host(...there), name, subnets)).toEqual(expected);
});

const LAN = {
  ...{ Id: 'n1', Name: 'lan', Driver: 'macvlan', Internal: false, Options: { parent: 'eth0' } },
} as unknown as NetworkInspect;

it('parentOf knows networks whose containers are on the LAN', () => {
  const lan = (change: object) => parentOf({ ...LAN, ...change });
  expect(lan({})).toBe('eth0');
  expect([lan({ Driver: 'bridge' }), lan({ Options: null }), lan({ Internal: true })]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(lan({ Options: { parent: 'eth0', macvlan_mode: 'passthru' } })).toBeUndefined();
  expect(lan({ Options: { parent: 'eth0', macvlan_mode: 'private' } })).toBe('eth0');
});

it('ownDevices are found by their MAC address, and their parents by the kernel', () => {
  const inspect = {
    NetworkSettings: { Networks: { lan: { NetworkID: 'n1', MacAddress: '02:42:0a:05:00:32' } } },
  } as unknown as ContainerInspect;
  const inner = [{ ...device('eth1', ['10.5.0.50/24', 'fd05::50/64'], { mac: '02:42:0a:05:00:32' }), peer: 7 }];
  const outer = [device('ens3', [], { index: 7 })];
  expect(ownDevices(inspect, [LAN], inner, outer)).toEqual([
    {
      ...{ network: 'lan', device: 'eth1', mac: '02:42:0a:05:00:32', parent: 'ens3' },
      addresses: ['10.5.0.50', 'fd05::50'],
    },
  ]);
  expect(ownDevices(inspect, [{ ...LAN, Driver: 'bridge' }], inner, outer)).toEqual([]);
});
