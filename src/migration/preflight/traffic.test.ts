import { expect, it } from 'vitest';
import { goodTraffic } from '../../../test/fixtures/facts.ts';
import type { TrafficFacts } from '../../traffic/capabilities.ts';
import { TRAFFIC_FINDINGS, type TrafficCase, trafficFindings } from './traffic.ts';

const HOP = { device: 'eth0', via: { 4: '10.0.0.2' }, mac: '02::2' };
const OPEN = { small: true, large: true };
const SHUT = { small: false, large: false };
const network = (gateway?: string): TrafficFacts['network'] => ({
  devices: [],
  routes: [
    { to: '10.0.0.0/24', device: 'eth0', metric: 0 },
    ...(gateway === undefined ? [] : [{ to: '0.0.0.0/0', device: 'eth0', via: gateway, metric: 0 }]),
  ],
});
const FACTS: TrafficFacts = { ...goodTraffic(), network: network() };
const GOOD: TrafficCase = {
  name: 'web',
  workload: 'docker:web',
  source: { hostname: 'a', traffic: FACTS },
  target: { hostname: 'b', traffic: FACTS },
  published: [{ protocol: 'tcp', hostAddress: '10.0.0.1', hostPort: 8080, address: '172.30.0.10', port: 80 }],
  addresses: [{ address: '172.30.0.10', subnet: '172.30.0.0/24', mac: '', bridge: 'br-1', peers: [] }],
  clients: ['10.0.0.9', '172.30.0.11'],
  servers: ['10.0.0.8', '172.30.0.12'],
  way: { hop: { source: HOP, target: HOP } },
  path: { there: OPEN, back: OPEN },
};
const source = (facts: Partial<TrafficFacts>) => ({ source: { hostname: 'a', traffic: { ...FACTS, ...facts } } });
const target = (facts: Partial<TrafficFacts>) => ({ target: { hostname: 'b', traffic: { ...FACTS, ...facts } } });
const address = GOOD.addresses[0] as TrafficCase['addresses'][number];
const tunnelled = { ...GOOD.way, hop: { source: HOP, target: HOP }, tunnel: {} } as TrafficCase['way'];
const forward = (workload: string, hostPort: number, ...addresses: string[]): TrafficFacts['forwards'][number] => ({
  workload,
  addresses,
  published: [{ protocol: 'tcp', hostPort, address: '172.31.0.3', port: 80 }],
});

const CASES: [string, Partial<TrafficCase>, string[]][] = [
  ['nothing in the way', {}, []],
  ['clients by IPv6, whom the proxy takes in', { proxied: true }, ['PROXY_ENDS']],
  ['nft is absent', target({ nft: null, forwardRefused: 'x' }), ['NFT_MISSING']],
  [
    'nft is absent here, and with it the hook behind bridges',
    source({ nft: null, forwardRefused: 'x', egressRefused: 'x' }),
    ['NFT_MISSING'],
  ],
  ['nft or the kernel is too old', target({ nft: '0.9.0', forwardRefused: 'syntax error' }), ['FORWARD_RULES_REFUSED']],
  [
    'tbf and the egress hook are absent',
    source({ queueRefused: 'x', egressRefused: 'y' }),
    ['HOLD_DROPS', 'HOLD_MISSES_NEIGHBOURS'],
  ],
  ['they are not needed on the target', target({ queueRefused: 'x', egressRefused: 'y' }), []],
  ['no way between the hosts', { way: null }, ['NO_WAY_BETWEEN']],
  ['a router between', { way: tunnelled }, ['TUNNEL_USED']],
  ['a router between, and no vxlan', { way: tunnelled, ...target({ tunnelRefused: 'x' }) }, ['TUNNEL_REFUSED']],
  ['packets are dropped on their way', { path: { there: SHUT, back: OPEN } }, ['PACKETS_DROPPED']],
  ['answers are dropped', { path: { there: OPEN, back: SHUT } }, ['PACKETS_DROPPED']],
  [
    'the tunnel is dropped, both ways',
    { way: tunnelled, path: { there: SHUT, back: SHUT } },
    ['TUNNEL_USED', 'TUNNEL_DROPPED', 'TUNNEL_DROPPED'],
  ],
  [
    'fragments are dropped',
    { way: tunnelled, path: { there: { small: true, large: false }, back: OPEN } },
    ['TUNNEL_USED', 'LARGE_PACKETS_DROPPED'],
  ],
  ['nothing could be sent', { path: { there: undefined, back: OPEN }, untried: 'x' }, ['WAY_NOT_TRIED']],
  ['nothing was sent, for what is told anyway', { path: { there: undefined, back: undefined } }, []],
  [
    'the address is forwarded there for another one',
    target({ forwards: [forward('docker:db', 5432, '172.30.0.10')] }),
    ['ADDRESS_FORWARDED'],
  ],
  ['a port is forwarded there for another one', target({ forwards: [forward('docker:db', 8080)] }), ['PORT_FORWARDED']],
  ['it comes home', target({ forwards: [forward('docker:web', 8080, '172.30.0.10')] }), []],
  ['IPv6 on one side only', { addresses: [address, { ...address, address: 'fd00::10' }] }, ['FAMILY_NOT_FORWARDED']],
  ['a client that the main routes do not reach', { clients: ['10.7.0.9', 'fe80::1'] }, ['NO_ROUTE_BACK']],
  [
    'the source has a route to it; the target needs none',
    { clients: ['10.7.0.9'], ...source({ network: network('10.0.0.254') }) },
    [],
  ],
  [
    'a server that the target does not reach',
    { servers: ['10.7.0.8'], ...source({ network: network('10.0.0.254') }) },
    ['NO_ROUTE_THERE'],
  ],
  ['a neighbour that stays', { addresses: [{ ...address, peers: ['172.30.0.11'] }] }, ['PEERS_LOSE_NAME']],
  [
    'clients of 127.0.0.1',
    { published: [{ protocol: 'tcp', hostPort: 8080, address: '172.30.0.10', port: 80 }] },
    ['LOOPBACK_NOT_FOLLOWED'],
  ],
];

it.each(CASES)('%s', (_, change, codes) => {
  const findings = trafficFindings({ ...GOOD, ...change });
  expect(findings.map(({ code }) => code)).toEqual(codes);
  for (const { message, meaning, remedy } of findings) {
    for (const text of [message, meaning, remedy]) expect(text).toMatch(/^\S.*\.$/s);
  }
});

it('every finding of traffic is raised by a case', () => {
  const raised = new Set(CASES.flatMap(([, , codes]) => codes));
  expect(Object.keys(TRAFFIC_FINDINGS).filter((code) => !raised.has(code))).toEqual([]);
});
