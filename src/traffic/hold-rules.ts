/**
 * Pure: what keeps packets away from a frozen workload. A lane is a pair of virtual devices of our own: packets are sent
 * into the near end, whose queue is shut, and come out at the far end when it is opened, as if they had been received
 * there. Until then what leaks (a queue's bucket is full to begin with) is sent round again, by a filter of tc.
 */
import { type NftTable, quote } from '../tools/nft.ts';
import { familyOf, NFT_WORDS } from './address.ts';
import type { Flow, PublishedPort, WorkloadAddress } from './facts.ts';
import { holdDevices, tableName } from './names.ts';

export interface HoldSpec {
  id: string;
  published: readonly PublishedPort[];
  addresses: readonly WorkloadAddress[];
  /** Those that the workload opened, and that the host's NAT changed, come back by other addresses than its own. */
  flows: readonly Flow[];
  /** By which clients' packets come in. */
  uplinks: readonly string[];
  /** False where the kernel has no hook behind a bridge: what comes from its other ports is not held. */
  egress?: boolean;
}

export interface Lane {
  near: string;
  far: string;
  /** Packets are taken where `device` receives them, or (`port`) where the bridge would give them to the workload. */
  kind: 'uplink' | 'port';
  device: string;
}

/** Not 0, which every packet has that is received, and nobody else's as far as is known. */
const RELEASED = '0xd7a9a6e';
const PRIORITY = -600;

export function lanesOf({ id, uplinks, addresses }: Pick<HoldSpec, 'id' | 'uplinks' | 'addresses'>): Lane[] {
  const ports = [...new Set(addresses.flatMap(({ port }) => (port === undefined ? [] : [port])))];
  const taken = [
    ...uplinks.map((device) => ({ kind: 'uplink' as const, device })),
    ...ports.map((device) => ({ kind: 'port' as const, device })),
  ];
  return taken.map((lane, index) => ({ ...lane, ...holdDevices(id, index) }));
}

/** The table as it is prepared: it takes nothing yet. To put it in place takes 10 to 20 ms, to add rules to it 4. */
export function holdTable(spec: HoldSpec, lanes: readonly Lane[]): NftTable {
  return {
    family: 'netdev',
    name: tableName('hold', spec.id),
    objects: ['counter held {}'],
    chains: takers(spec, lanes).map(({ lane, index }) => ({
      name: `take_${index}`,
      hook: {
        type: 'filter' as const,
        hook: lane.kind === 'uplink' ? ('ingress' as const) : ('egress' as const),
        priority: PRIORITY,
        devices: [lane.device],
      },
      rules: [
        // The far end took it for somebody else's: it bears the MAC address of the device that it was sent to.
        `meta mark ${RELEASED} meta mark set 0 ${lane.kind === 'uplink' ? 'meta pkttype set host ' : ''}accept`,
      ],
    })),
  };
}

/**
 * The commands by which a prepared table begins to take packets: all of them, or (`new`) only those that open a TCP
 * connection, so that handshakes which are under way come to their end meanwhile.
 */
export function takingRules(
  spec: HoldSpec,
  lanes: readonly Lane[],
  { how, what }: { how: 'queue' | 'drop'; what: 'new' | 'all' },
): string {
  const taken = what === 'all' ? { uplink: matches(spec), port: addressMatches(spec) } : openingMatches(spec);
  const into = ({ near }: Lane): string =>
    how === 'drop' ? 'drop' : `meta mark set ${RELEASED} fwd to ${quote(near)}`;
  const rules = takers(spec, lanes).flatMap(({ lane, index }) =>
    taken[lane.kind].map(
      (match) => `add rule netdev ${tableName('hold', spec.id)} take_${index} ${match} counter name held ${into(lane)}`,
    ),
  );
  return rules.join('\n');
}

/** Where what the workload's sockets send may be kept from leaving this host. It lets all through until `sealRule`. */
export function sealTable(id: string, devices: readonly string[]): NftTable {
  const hook = { type: 'filter', hook: 'ingress', priority: PRIORITY, devices } as const;
  return { family: 'netdev', name: sealName(id), objects: [], chains: [{ name: 'sealed', hook, rules: [] }] };
}

/**
 * Nothing that the frozen workload's sockets send leaves this host any more. What the kernel sends by itself,
 * retransmissions above all, bears times after those in the dump: a peer that has seen them would take the restored
 * copy's packets for old ones, until its clock is as far (RFC 7323, 5). And closing them would end connections.
 */
export function sealRule(id: string): string {
  return `add rule netdev ${sealName(id)} sealed drop`;
}

/** Lets all through again; no error where there is no such table. */
export function unsealRules(id: string): string {
  const chain = `chain netdev ${sealName(id)} sealed`;
  return `add table netdev ${sealName(id)}\nadd ${chain}\ninsert rule netdev ${sealName(id)} sealed accept`;
}

export function sealName(id: string): string {
  return `${tableName('hold', id)}_seal`;
}

function takers({ egress }: HoldSpec, lanes: readonly Lane[]): { lane: Lane; index: number }[] {
  const all = lanes.map((lane, index) => ({ lane, index }));
  return all.filter(({ lane }) => lane.kind === 'uplink' || egress !== false);
}

function openingMatches(spec: HoldSpec): Record<Lane['kind'], string[]> {
  const opening = 'tcp flags & (syn | ack) == syn';
  const published = publishedMatches(spec.published.filter(({ protocol }) => protocol === 'tcp'));
  const direct = spec.addresses.map(({ address }) => `${NFT_WORDS[familyOf(address)].ip} daddr ${address} ${opening}`);
  return { uplink: [...published.map((match) => `${match} ${opening}`), ...direct], port: direct };
}

function matches(spec: HoldSpec): string[] {
  const opened = spec.flows.flatMap(({ by, known, peer, peerPort, protocol }) => {
    if (by !== 'workload' || known === undefined) return [];
    const { ip } = NFT_WORDS[familyOf(peer)];
    return [
      `${ip} saddr ${peer} ${ip} daddr ${known.address} ${protocol} sport ${peerPort} ${protocol} dport ${known.port}`,
    ];
  });
  return [...publishedMatches(spec.published), ...opened, ...addressMatches(spec)];
}

function publishedMatches(published: HoldSpec['published']): string[] {
  return published.map(({ protocol, hostAddress, hostPort, address }) => {
    const family = familyOf(address);
    const host =
      hostAddress === undefined
        ? `meta protocol ${NFT_WORDS[family].ip} fib daddr type local`
        : `${NFT_WORDS[family].ip} daddr ${hostAddress}`;
    return `${host} ${protocol} dport ${hostPort}`;
  });
}

/** Of IPv6 not all: neighbour discovery goes on, and the frozen kernel answers it. */
function addressMatches({ addresses }: HoldSpec): string[] {
  return addresses.map(({ address }) =>
    familyOf(address) === 6 ? `ip6 daddr ${address} meta l4proto { tcp, udp }` : `ip daddr ${address}`,
  );
}
