import { expect, it } from 'vitest';
import type { TrafficFacts } from '../../traffic/capabilities.ts';
import { type TrafficCase, trafficFindings } from './traffic.ts';

const FACTS: TrafficFacts = {
  forwardRefused: null,
  egressRefused: null,
  queueRefused: null,
  tunnelRefused: null,
  reversePathFilter: { all: 0, eth0: 2 },
  network: { devices: [], routes: [] },
};
const HOP = { device: 'eth0', via: { 4: '10.0.0.2' }, mac: '02::2' };
const GOOD: TrafficCase = {
  name: 'web',
  source: { hostname: 'a', traffic: FACTS },
  target: { hostname: 'b', traffic: FACTS, addresses: [] },
  published: [{ protocol: 'tcp', hostAddress: '10.0.0.1', hostPort: 8080, address: '172.30.0.10', port: 80 }],
  addresses: [{ address: '172.30.0.10', subnet: '172.30.0.0/24', mac: '', bridge: 'br-1', peers: [] }],
  way: { hop: { source: HOP, target: HOP } },
};
const traffic = (facts: Partial<TrafficFacts>): TrafficFacts => ({ ...FACTS, ...facts });
const address = GOOD.addresses[0] as TrafficCase['addresses'][number];
const tunnelled = { ...GOOD.way, hop: { source: HOP, target: HOP }, tunnel: {} } as TrafficCase['way'];

const CASES: [string, Partial<TrafficCase>, string[]][] = [
  ['nothing in the way', {}, []],
  [
    'nft is absent',
    { target: { ...GOOD.target, traffic: traffic({ forwardRefused: 'nft cannot be started' }) } },
    ['FORWARD_RULES_REFUSED'],
  ],
  [
    'tbf and the egress hook are absent',
    { source: { ...GOOD.source, traffic: traffic({ queueRefused: 'x', egressRefused: 'y' }) } },
    ['HOLD_DROPS', 'HOLD_MISSES_NEIGHBOURS'],
  ],
  ['no route back', { way: null }, ['NO_WAY_BETWEEN']],
  ['a router between', { way: tunnelled }, ['TUNNEL_USED']],
  [
    'a router between, and no vxlan',
    { way: tunnelled, target: { ...GOOD.target, traffic: traffic({ tunnelRefused: 'x' }) } },
    ['TUNNEL_REFUSED'],
  ],
  ['the address in use', { target: { ...GOOD.target, addresses: ['172.30.0.10'] } }, ['ADDRESS_TAKEN']],
  ['IPv6 on one side only', { addresses: [address, { ...address, address: 'fd00::10' }] }, ['FAMILY_NOT_FORWARDED']],
  [
    'strict filters and neighbours',
    {
      source: { ...GOOD.source, traffic: traffic({ reversePathFilter: { all: 1, eth0: 0 } }) },
      addresses: [{ ...address, peers: ['172.30.0.11'] }],
    },
    ['STRICT_PATH_FILTER', 'STRICT_PATH_FILTER', 'PEERS_LOSE_NAME'],
  ],
  [
    'a loose filter of the device wins over a strict one of all',
    { source: { ...GOOD.source, traffic: traffic({ reversePathFilter: { all: 1, eth0: 2 } }) } },
    [],
  ],
  [
    'clients of 127.0.0.1',
    { published: [{ protocol: 'tcp', hostPort: 8080, address: '172.30.0.10', port: 80 }] },
    ['LOOPBACK_NOT_FOLLOWED'],
  ],
];

it.each(CASES)('%s', (_, change, codes) => {
  const findings = trafficFindings({ ...GOOD, ...change });
  expect(findings.map(({ code }) => code)).toEqual(codes);
  for (const { message } of findings) expect(message).toMatch(/^\S.*[.a-z]$/s);
});
