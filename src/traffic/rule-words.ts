/** Pure: parts of nft's rules that those of several tables have in common. */
import { quote } from '../tools/nft.ts';
import { type Family, NFT_WORDS } from './address.ts';
import type { Hop } from './facts.ts';

/** Neighbours of a bridge find each other; what is forwarded would have lost a hop and not be believed. */
export const PASS_DISCOVERY = 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept';

/** Long-lived connections are as silent as conntrack lets them be (net.netfilter.nf_conntrack_tcp_timeout_established). */
export function idle(protocol: 'tcp' | 'udp'): string {
  return protocol === 'tcp' ? '5d' : '3m';
}

/** What goes over to the other host: counted, with segments that fit, and by its neighbour entry on that device. */
export function overHop(hop: Hop, family: Family): string[] {
  const { ip } = NFT_WORDS[family];
  const via = hop.via[family];
  const mss = hop.mss === undefined ? undefined : hop.mss - (family === 6 ? 20 : 0);
  return [
    ...(mss === undefined
      ? []
      : [`tcp flags & syn == syn tcp option maxseg size > ${mss} tcp option maxseg size set ${mss}`]),
    via === undefined ? 'drop' : `fwd ${ip} to ${via} device ${quote(hop.device)}`,
  ];
}

/** Of a set or map, for its declaration. */
export function elements(list: readonly string[]): string {
  return list.length === 0 ? '' : `elements = { ${[...new Set(list)].join(', ')} }`;
}

/** A packet for the host itself, at one of its addresses or at any. */
export function toHost(family: Family, hostAddress: string | undefined): string {
  const { ip } = NFT_WORDS[family];
  return hostAddress === undefined ? `meta protocol ${ip} fib daddr type local` : `${ip} daddr ${hostAddress}`;
}
