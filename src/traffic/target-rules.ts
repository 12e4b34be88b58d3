/**
 * Pure: the rule set of the host that has the workload now, for what comes from one other host (`from`). Packets go
 * from there to the workload's bridge, and answers back, past the IP stack: no connection tracking, no rule of Docker's
 * and no reverse path filter is met. Which answers these are is learned from what came; all else that the workload
 * sends goes this host's ordinary way.
 */
import { type NftTable, quote } from '../tools/nft.ts';
import { familyOf, NFT_WORDS } from './address.ts';
import type { Flow, Hop, PublishedPort, WorkloadAddress } from './facts.ts';
import { tableName } from './names.ts';
import { elements, idle, overHop, PASS_DISCOVERY, toHost } from './rule-words.ts';

export interface TargetForward {
  id: string;
  addresses: readonly WorkloadAddress[];
  /** Open at the freeze, by way of the other host. */
  flows: readonly Flow[];
  /** To the other host. */
  hop: Hop;
  /** Ports of this host that lead to it. */
  published?: readonly PublishedPort[];
  /** Where the workload has moved on: its packets are passed to there until the other host knows. */
  onward?: Hop;
  /** The other host forwards for connections that were open at the move, and for no others. */
  only?: 'open';
  /** Nothing of what the workload's sockets send gets out: they are restored, and it has not been decided that it runs. */
  sealed?: boolean;
  /** 0 for the oldest forward of the workload: what an older one knows is answered by its way. At most 9. */
  rank?: number;
}

export interface TargetSurroundings {
  /** By which packets for the workload come from the other host: the hop's device, far ends of a hold. */
  outer: readonly string[];
  /** By which those of the workload come: its bridges, stand-ins. */
  inner: readonly string[];
  /** By which clients come that ask this host itself: its uplinks and bridges. */
  uplinks?: readonly string[];
}

/**
 * A client that asks this host itself may do so by a port that it has used by way of the other host: it is answered as it
 * asked.
 */
const OPENING = 'tcp flags & (syn | ack) == syn';

/** A chain that drops nothing once the workload runs. */
const SEALED = 'sealed';

/** Before those of a source: what only passes is not taken for what is asked of this host. */
const PRIORITY = -510;

export function targetTable(forward: TargetForward, { outer, inner, uplinks = [] }: TargetSurroundings): NftTable {
  const priority = PRIORITY + (forward.rank ?? 0);
  const parts = forward.addresses.map((address, index) => addressRules(forward, address, index));
  return {
    family: 'netdev',
    name: tableName('target', forward.id),
    objects: ['counter from_source {}', 'counter to_source {}', ...parts.flatMap((part) => part.sets)],
    chains: [
      ...([4, 6] as const).map((family) => ({
        name: `back_${family}`,
        rules: ['counter name to_source', ...overHop(forward.hop, family)],
      })),
      ...parts.map((part) => part.arrived),
      { name: SEALED, rules: forward.sealed === true ? forward.addresses.map(dropped) : [] },
      ...(uplinks.length === 0
        ? []
        : [
            {
              name: 'from_clients',
              // Before what comes from the other host, which is learned after it.
              hook: { type: 'filter', hook: 'ingress', priority: priority - 20, devices: uplinks } as const,
              rules: parts.flatMap((part) => part.fromClients),
            },
          ]),
      {
        name: 'from_other',
        hook: { type: 'filter', hook: 'ingress', priority, devices: outer },
        rules: parts.flatMap((part) => part.fromOther),
      },
      {
        name: 'from_workload',
        hook: { type: 'filter', hook: 'ingress', priority, devices: inner },
        rules: [PASS_DISCOVERY, `jump ${SEALED}`, ...parts.flatMap((part) => part.fromWorkload)],
      },
    ],
  };
}

/**
 * The command by which a sealed table lets out what the workload sends. It takes 4 ms; after one that deletes something
 * nft waits 10 to 20 ms for the kernel.
 */
export function unsealTarget(id: string): string {
  return `insert rule netdev ${tableName('target', id)} ${SEALED} return`;
}

/** Connections that came by way of the other host: address, protocol and port of the client, port of the workload. */
export function viaSet(index: number): string {
  return `via_${index}`;
}

function addressRules(forward: TargetForward, at: WorkloadAddress, index: number) {
  const family = familyOf(at.address);
  const { ip, type } = NFT_WORDS[family];
  const key = `type ${type} . inet_proto . inet_service . inet_service; flags dynamic,timeout; size 262144;`;
  const [via, ended] = [viaSet(index), `ended_${index}`];
  const asking = `${ip} saddr . meta l4proto . th sport . th dport`;
  const answer = `${ip} saddr ${at.address} meta l4proto { tcp, udp } ${ip} daddr . meta l4proto . th dport . th sport @${via} goto back_${family}`;
  const from = forward.hop.mac === undefined ? '' : `ether saddr ${forward.hop.mac} `;
  const preset = forward.flows
    .filter((flow) => flow.address === at.address)
    .map(
      ({ peer, protocol, peerPort, port }) => `${peer} . ${protocol} . ${peerPort} . ${port} timeout ${idle(protocol)}`,
    );
  const elsewhere = at.by === undefined ? undefined : elsewhereRules(forward, { ...at, by: at.by }, index);
  return {
    sets: [
      `set ${via} { ${key} timeout 5d; ${elements(preset)} }`,
      `set ${ended} { ${key} timeout 2m; }`,
      ...(elsewhere?.sets ?? []),
    ],
    arrived: {
      name: `arrived_${index}`,
      rules: [
        'counter name from_source',
        // A connection that has ended is remembered for two minutes more, however many packets are still to come.
        `tcp flags & syn == syn delete @${ended} { ${asking} }`,
        `tcp flags & (fin | rst) != 0 update @${ended} { ${asking} timeout 2m }`,
        `meta l4proto tcp ${asking} != @${ended} update @${via} { ${asking} timeout ${idle('tcp')} }`,
        `meta l4proto tcp ${asking} @${ended} update @${via} { ${asking} timeout 2m }`,
        `meta l4proto udp update @${via} { ${asking} timeout ${idle('udp')} }`,
        ...(forward.onward === undefined
          ? [...(elsewhere?.arriving ?? []), `fwd ${ip} to ${at.by ?? at.address} device ${quote(at.bridge)}`]
          : overHop(forward.onward, family)),
      ],
    },
    fromClients: [
      `${ip} daddr ${at.address} ${OPENING} delete @${via} { ${asking} }`,
      ...(forward.published ?? [])
        .filter((one) => one.address === at.address)
        .map(({ protocol, hostAddress, hostPort, port }) => {
          const opening = protocol === 'tcp' ? ` ${OPENING}` : '';
          return `${toHost(family, hostAddress)} ${protocol} dport ${hostPort}${opening} delete @${via} { ${ip} saddr . meta l4proto . th sport . ${port} }`;
        }),
    ],
    fromOther: [
      `${from}${ip} daddr ${at.address} goto arrived_${index}`,
      ...(forward.onward === undefined ? [] : [answer]),
    ],
    fromWorkload: [
      answer,
      ...(elsewhere?.leaving ?? []),
      ...peersOf(at).map((peer) => `${ip} saddr ${at.address} ${ip} daddr ${peer} goto back_${family}`),
    ],
  };
}

/**
 * For a copy that did not get the address: it has it on its loopback device, so TCP connections find it there. But what
 * it opens itself, and answers of UDP servers, which are bound to no address, bear the one that it got: abroad they are
 * to bear the old one.
 */
function elsewhereRules(
  forward: TargetForward,
  { address, by, peers }: WorkloadAddress & { by: string },
  index: number,
) {
  const { ip, type } = NFT_WORDS[familyOf(address)];
  const [bound, own] = [`bound_${index}`, `own_${index}`];
  const key = `type ${type} . inet_proto . inet_service . inet_service`;
  const asking = `${ip} saddr . meta l4proto . th sport . th dport`;
  const asked = `${ip} daddr . meta l4proto . th dport . th sport`;
  const back = `${ip} saddr set ${address} goto back_${familyOf(address)}`;
  const connected = forward.flows.filter(
    (flow) => flow.address === address && flow.protocol === 'udp' && flow.by === 'workload',
  );
  const elementsBound = connected.map(({ peer, peerPort, port }) => `${peer} . udp . ${peerPort} . ${port}`);
  return {
    sets: [
      `set ${bound} { ${key}; ${elements(elementsBound)} }`,
      `set ${own} { ${key}; flags dynamic,timeout; size 262144; timeout 5d; }`,
    ],
    arriving: [
      `meta l4proto udp ${asking} != @${bound} update @${own} { ${asking} timeout ${idle('udp')} }`,
      `meta l4proto { tcp, udp } ${asking} @${own} ${ip} daddr set ${by}`,
    ],
    leaving: [
      ...peersOf({ address, peers }).flatMap((peer) => [
        `${ip} saddr ${by} ${ip} daddr ${peer} meta l4proto { tcp, udp } update @${own} { ${asked} }`,
        `${ip} saddr ${by} ${ip} daddr ${peer} ${back}`,
      ]),
      `${ip} saddr ${by} meta l4proto { tcp, udp } ${asked} @${own} ${back}`,
    ],
  };
}

function dropped({ address, by }: WorkloadAddress): string {
  const { ip } = NFT_WORDS[familyOf(address)];
  return `${ip} saddr ${by === undefined ? address : `{ ${address}, ${by} }`} drop`;
}

function peersOf({ address, peers }: Pick<WorkloadAddress, 'address' | 'peers'>): string[] {
  return peers.filter((peer) => familyOf(peer) === familyOf(address));
}
