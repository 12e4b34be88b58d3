import { expect, it } from 'vitest';
import { goodHost, goodInspect, goodTraffic, goodWorkload, network, OPTIONS } from '../../../test/fixtures/facts.ts';
import type { HostFacts, WorkloadFacts } from '../../engines/facts.ts';
import type { Device } from '../../tools/ip-network.ts';
import type { TrafficFacts } from '../../traffic/capabilities.ts';
import type { OwnDevice } from '../../traffic/own-device.ts';
import type { MigrateOptions } from '../events.ts';
import { makePlan, parentsThere } from '../plan.ts';
import { preflight } from '../preflight.ts';

const LAN = { ...network('lan', '10.5.0.0/24', 'macvlan'), Options: { parent: 'eth0' } };
const OWN: OwnDevice = {
  ...{ network: 'lan', device: 'eth0', mac: '02:42:0a:05:00:32', parent: 'eth0' },
  addresses: ['10.5.0.50', 'fe80::42:aff:fe05:32'],
};

const device = (name: string, ...addresses: string[]): Device => ({
  ...{ index: 2, name, mac: '02:00:00:00:00:01', mtu: 1500, up: true, kind: '' },
  addresses: addresses.map((address) => ({ address, prefix: 24, scope: 'global' })),
});
const traffic = (...devices: Device[]): TrafficFacts => ({
  ...goodTraffic(),
  network: { devices, routes: [] },
});

interface Facts {
  workload: WorkloadFacts & { traffic: NonNullable<WorkloadFacts['traffic']> };
  source: HostFacts & { traffic: TrafficFacts };
  target: HostFacts & { traffic: TrafficFacts };
  docker: NonNullable<HostFacts['docker']>;
  options: MigrateOptions;
}

function good(): Facts {
  const source = { ...goodHost('hosta'), traffic: traffic(device('eth0', '10.5.0.1')) };
  const target = { ...goodHost('hostb'), traffic: traffic(device('eno1', '10.5.0.2')) };
  const workload = {
    ...goodWorkload(),
    inspect: goodInspect(),
    networks: { lan: structuredClone(LAN) },
    traffic: { published: [], addresses: [], own: [OWN], clients: [], servers: [] },
  };
  if (target.docker === null) throw new Error('it has Docker');
  return { workload, source, target, docker: target.docker, options: { ...OPTIONS, handover: 'auto', remove: true } };
}

const CASES: [string, (facts: Facts) => unknown, string[]][] = [
  ['nothing in the way', () => {}, []],
  ['the copy that is kept', ({ options }) => (options.remove = false), ['KEPT_COPY_HAS_ADDRESS']],
  ['asked for, and none there', ask('address', []), ['NO_OWN_ADDRESS']],
  ['asked for', ask('address', [OWN]), []],
  ['asked to be forwarded', ask('forward', [OWN]), ['OWN_ADDRESS_NOT_FORWARDED']],
  ['a forward without one', ask('forward', []), []],
  [
    'a target on another LAN',
    ({ target }) => (target.traffic = traffic(device('eth0', '10.6.0.2'))),
    ['NO_DEVICE_ON_LAN'],
  ],
  [
    'no addresses by which to tell',
    ({ source, target }) => {
      source.traffic = traffic(device('eth0'));
      target.traffic = traffic(device('eth0'));
    },
    ['LAN_NOT_SURE'],
  ],
  [
    'a network of that name on another device',
    ({ docker }) =>
      docker.networks.push({
        ...{
          name: 'lan',
          id: '1',
          driver: 'macvlan',
          subnets: ['10.5.0.0/24'],
          containers: 0,
          addresses: {},
          parent: 'eno2',
        },
      }),
    ['PARENT_DIFFERS'],
  ],
  [
    'neighbours on both hosts',
    ({ docker, workload }) => {
      docker.networks.push({
        ...{
          name: 'lan',
          id: '1',
          driver: 'macvlan',
          subnets: ['10.5.0.0/24'],
          containers: 1,
          addresses: {},
          parent: 'eno1',
        },
      });
      workload.networks.lan = { ...LAN, Containers: { [workload.id]: {}, other: {} } };
    },
    ['NETWORK_SHARED', 'NEIGHBOURS_DROPPED', 'NEIGHBOURS_DROPPED'],
  ],
  [
    'no egress hook on the target, and no queue on the source',
    ({ source, target }) => {
      source.traffic = { ...source.traffic, queueRefused: 'x' };
      target.traffic = { ...target.traffic, egressRefused: 'y' };
    },
    ['ADDRESS_RULES_REFUSED', 'ADDRESS_HOLD_DROPS'],
  ],
];

function ask(handover: MigrateOptions['handover'], own: OwnDevice[]) {
  return ({ options, workload }: Facts) => {
    options.handover = handover;
    workload.traffic.own = own;
    if (own.length === 0) workload.networks = {} as typeof workload.networks;
  };
}

it.each(CASES)('%s', (_, spoil, codes) => {
  const facts = good();
  spoil(facts);
  const findings = preflight(facts, facts.options);
  expect(findings.map(({ code }) => code)).toEqual(codes);
  for (const { message } of findings) expect(message).toMatch(/^\S.*[.a-z]$/s);
});

it('a bridge beside it is not followed where only the address is asked for', () => {
  const { workload, source, target, options } = good();
  workload.traffic.addresses = [{ address: '172.30.0.2', subnet: '172.30.0.0/24', mac: '', bridge: 'br-1', peers: [] }];
  const findings = preflight({ workload, source, target }, { ...options, handover: 'address' });
  expect(findings.map(({ code }) => code)).toEqual(['BRIDGES_NOT_FOLLOWED']);
});

it('the plan names the device of the target', () => {
  const { workload, source, target, options } = good();
  expect(parentsThere({ workload, source, target })).toEqual({ lan: 'eno1' });
  expect(makePlan({ workload, source, target }, options).addressesToMove).toEqual([
    { address: '10.5.0.50', parent: 'eno1' },
  ]);
});
