/**
 * Pure: rule sets as drayage makes them, of the loopback device, to be looked at by nft and not carried out: a kernel or
 * nft that lacks anything of what a move needs refuses these as well.
 */
import { replaceTable } from '../tools/nft.ts';
import type { Flow, Hop, WorkloadAddress } from './facts.ts';
import { type HoldSpec, holdTable, type Lane, takingRules } from './hold-rules.ts';
import type { SourceForward } from './source-address.ts';
import { localTables, sourceTable } from './source-rules.ts';
import { targetTable } from './target-rules.ts';

const ID = 'probe';
const LOOPBACK = 'lo';
const SAMPLE = {
  4: { workload: '192.0.2.1', subnet: '192.0.2.0/24', host: '198.51.100.1', client: '203.0.113.1' },
  6: { workload: '2001:db8::1', subnet: '2001:db8::/64', host: '2001:db8:1::1', client: '2001:db8:2::1' },
} as const;
const HOP: Hop = {
  device: LOOPBACK,
  via: { 4: SAMPLE[4].host, 6: SAMPLE[6].host },
  mac: '02:d7:00:00:00:01',
  mss: 1400,
};

/** Those of both sides of a forward, and of a hold of what comes from outside. */
export function sampleForwards(): string {
  const forward = sampleSource();
  const devices = { outer: [LOOPBACK], inner: [LOOPBACK] };
  const routes = ([4, 6] as const).map((family) => ({
    ...{ to: SAMPLE[family].subnet, via: SAMPLE[family].host },
    ...{ device: LOOPBACK, metric: 0 },
  }));
  const local = [SAMPLE[4].host, SAMPLE[6].host];
  const { addresses, flows } = forward;
  const tables = [
    sourceTable(forward, { routes, local, ...devices }),
    ...localTables(forward, local),
    targetTable({ id: ID, addresses, flows, hop: HOP, sealed: true }, devices),
  ];
  return [...tables.map(replaceTable), ...sampleHold('uplink')].join('\n');
}

/** A hold of what a bridge sends to the workload. */
export function sampleEgress(): string {
  return sampleHold('port').join('\n');
}

function sampleHold(kind: Lane['kind']): string[] {
  const { addresses, published, flows } = sampleSource();
  const spec: HoldSpec = { id: ID, published, addresses, flows, uplinks: [LOOPBACK] };
  const lanes: Lane[] = [{ kind, device: LOOPBACK, near: LOOPBACK, far: LOOPBACK }];
  return [replaceTable(holdTable(spec, lanes)), takingRules(spec, lanes, { how: 'queue', what: 'all' })];
}

function sampleSource(): SourceForward {
  const families = [4, 6] as const;
  const protocols = ['tcp', 'udp'] as const;
  return {
    id: ID,
    published: families.flatMap((family) =>
      protocols.map((protocol) => ({ protocol, hostPort: 80, address: SAMPLE[family].workload, port: 80 })),
    ),
    addresses: families.map(
      (family): WorkloadAddress => ({
        ...{ address: SAMPLE[family].workload, subnet: SAMPLE[family].subnet },
        ...{ mac: '', bridge: LOOPBACK, port: LOOPBACK, peers: [] },
      }),
    ),
    flows: families.flatMap((family) => [sampleFlow(family, 'peer'), sampleFlow(family, 'workload')]),
    hop: HOP,
    primary: { 4: SAMPLE[4].host, 6: SAMPLE[6].host },
  };
}

function sampleFlow(family: 4 | 6, by: Flow['by']): Flow {
  const { workload, host, client } = SAMPLE[family];
  const known = { address: host, port: 80 };
  return { ...{ protocol: 'tcp', address: workload, port: 80, peer: client, peerPort: 5000 }, known, by };
}
