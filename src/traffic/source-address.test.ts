import { expect, it } from 'vitest';
import { standInDevices } from './names.ts';
import { learnedSets, type SourceForward, sourceAddresses } from './source-address.ts';
import { answerChain, answerEntry } from './source-answers.ts';
import { entry } from './source-arriving.ts';
import { giveRules, localTables } from './source-rules.ts';

const HOP = { device: 'eth0', via: { 4: '10.0.0.9' } };
const FORWARD: SourceForward = {
  id: 'x',
  published: [
    { protocol: 'tcp', hostPort: 8080, address: '172.30.0.10', port: 80 },
    { protocol: 'tcp', hostAddress: '10.0.0.2', hostPort: 8081, address: '172.30.0.10', port: 80 },
    { protocol: 'udp', hostPort: 53, address: '172.30.0.10', port: 53 },
  ],
  addresses: ['br-1', 'br-2'].map((bridge, n) => ({
    ...{ address: `172.3${n}.0.10`, subnet: `172.3${n}.0.0/24`, mac: '', bridge, peers: [] },
  })),
  flows: [],
  hop: HOP,
  primary: { 4: '10.0.0.1' },
};
const local = ['10.0.0.1', '10.0.0.2', 'fd00::1'];
const ends = [0, 1].map((index) => standInDevices('x', index).end);

it('a client knows a port by any address of the host, or by the one it is published at; of each port one is for the rest', () => {
  const [first, second] = sourceAddresses(FORWARD, { local });
  expect(first?.doors.map(({ hostAddress, hostPort, port, rest }) => [hostAddress, hostPort, port, rest])).toEqual([
    ['10.0.0.1', 8080, 80, true],
    ['10.0.0.2', 8080, 80, false],
    ['10.0.0.2', 8081, 80, false],
    ['10.0.0.1', 53, 53, true],
    ['10.0.0.2', 53, 53, false],
  ]);
  expect(second?.doors).toEqual([]);
  const sets = learnedSets(FORWARD, local);
  expect(new Set(sets.map(({ name }) => name)).size).toBe(5);
  expect(sets[2]).toMatchObject({ address: '172.30.0.10', port: 80, known: { address: '10.0.0.2', port: 8081 } });
});

it('answers to programs of this host come in by the stand-in of their bridge, or as they are where that is missing', () => {
  const toThisHost = (inner: string[]) =>
    sourceAddresses(FORWARD, { local, inner }).map((one) => answerChain(one).rules[0]);
  expect(toThisHost(ends)).toEqual(
    [0, 1].map((index) => `fib daddr type local fwd to "${standInDevices('x', index).port}"`),
  );
  expect(toThisHost(ends.slice(0, 1))).toEqual(Array(2).fill('fib daddr type local accept'));
});

it('a family without published ports needs no chain for programs of this host', () => {
  expect(localTables(FORWARD, local).map(({ family }) => family)).toEqual(['ip']);
  expect(localTables({ ...FORWARD, published: [] }, local)).toEqual([]);
});

it('where another container has got the address only what was published is forwarded, and answers come by the hop', () => {
  const yielded = { ...FORWARD, yielded: FORWARD.addresses.map(({ bridge }) => bridge) };
  const [part] = sourceAddresses(yielded, { local, inner: [] });
  if (part === undefined) throw new Error('no address');
  expect(entry(part).join()).not.toContain('directly');
  expect(entry(part).join()).toContain('dport');
  expect(answerEntry(part)).toMatch(/^meta iifname "/);
  expect(localTables(yielded, local)).toEqual([]);
});

it('a port is given away and taken back at each of the addresses that it leads from, and for programs of this host', () => {
  const given = [
    { protocol: 'tcp', hostPort: 8080 },
    { protocol: 'udp', hostAddress: '10.0.0.2', hostPort: 53 },
  ] as const;
  const name = 'drayage_source_x';
  const all = giveRules({ ...FORWARD, given }, local)
    .replaceAll(/drayage_source_\w+/g, name)
    .split('\n');
  const elements = '{ 10.0.0.1 . tcp . 8080, 10.0.0.2 . tcp . 8080, 10.0.0.2 . udp . 53 }';
  expect(all).toEqual(
    ['netdev NAME given_0', 'netdev NAME given_1', 'ip NAME given'].flatMap((set) => [
      `flush set ${set.replace('NAME', name)}`,
      `add element ${set.replace('NAME', name)} ${elements}`,
    ]),
  );
  expect(giveRules(FORWARD, local)).not.toContain('add element');
});
