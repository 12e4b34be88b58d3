/**
 * Pure: how it is tried whether forwarded packets get from one host to the other. They have addresses that are neither
 * host's, which a switch, a cloud's network or a firewall may not let pass; ordinary packets between the hosts tell
 * nothing of that. A few datagrams are rewritten and sent on as a forward would do it, and taken out again where they
 * arrive, before anything else of that host sees them.
 */
import { type NftTable, quote } from '../tools/nft.ts';
import type { Hop } from './facts.ts';
import { holdDevices } from './names.ts';
import type { Tunnel } from './tunnel.ts';

/** One host's part of it. */
export interface PathEnd {
  role: 'source' | 'target';
  /** To the other host. */
  hop: Hop;
  tunnel?: Tunnel;
  /** An address of the workload, and one of a client's: IPv4. */
  workload: string;
  client: string;
}

/** Packets of both sizes that came from the other host. */
export interface Heard {
  small: boolean;
  /** As large as packets of Ethernet are; through a tunnel they go in fragments. */
  large: boolean;
}

/** What one end knows afterwards; `sent` is false where this host's own packet filter let nothing out. */
export interface PathReport {
  sent: boolean;
  heard: Heard;
}

/** By which datagrams of this host come before the rules, as if they had been received. */
export interface PathLane {
  near: string;
  far: string;
  /** Addresses of the near end, and of a neighbour that nobody is. */
  here: string;
  there: string;
}

/** Both at once: a host may be the source of one move and the target of another one. */
const LANES = { source: 8, target: 12 } as const;
/** Discard: nobody answers there. */
export const PATH_PORT = 9;
/** Of the payload, in bytes. */
export const PATH_SIZES = { small: 16, large: 1472 } as const;
const LARGE = 1000;
/** Where the forwards of that role take packets. */
const PRIORITY = { source: -500, target: -510 } as const;

export function pathLane(role: PathEnd['role']): PathLane {
  const net = LANES[role];
  return { ...holdDevices(`path ${role}`, 0), here: `169.254.231.${net + 1}`, there: `169.254.231.${net + 2}` };
}

export function pathTableName(role: PathEnd['role']): string {
  return `drayage_path_${role}`;
}

export function pathTable({ role, hop, workload, client }: PathEnd): NftTable {
  const { far } = pathLane(role);
  const [mine, theirs] =
    role === 'source'
      ? [`ip saddr set ${client} ip daddr set ${workload}`, `ip saddr ${workload} ip daddr ${client}`]
      : [`ip saddr set ${workload} ip daddr set ${client}`, `ip saddr ${client} ip daddr ${workload}`];
  const probes = `udp dport ${PATH_PORT}`;
  const from = hop.mac === undefined ? '' : `ether saddr ${hop.mac} `;
  const chain = (name: string, device: string, rules: string[]) => ({
    name,
    hook: { type: 'filter', hook: 'ingress', priority: PRIORITY[role], devices: [device] } as const,
    rules,
  });
  return {
    family: 'netdev',
    name: pathTableName(role),
    objects: ['counter sent {}', 'counter small {}', 'counter large {}'],
    chains: [
      chain('leaving', far, [
        `${probes} counter name sent ${mine} fwd ip to ${hop.via[4] ?? ''} device ${quote(hop.device)}`,
      ]),
      chain('arriving', hop.device, [
        `${from}${theirs} ${probes} meta length > ${LARGE} counter name large drop`,
        `${from}${theirs} ${probes} counter name small drop`,
      ]),
    ],
  };
}
