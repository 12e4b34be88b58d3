/** Addresses and subnets, as text. */
import { BlockList, isIPv6 } from 'node:net';

export type Family = 4 | 6;

export function familyOf(address: string): Family {
  return isIPv6(address.split('/')[0] ?? '') ? 6 : 4;
}

/** @param subnet `10.0.0.0/8` */
export function contains(subnet: string, address: string): boolean {
  const [network = '', length = ''] = subnet.split('/');
  const family = familyOf(network);
  if (family !== familyOf(address)) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(length), `ipv${family}`);
  return list.check(address, `ipv${family}`);
}

/** How nft calls what differs between IPv4 and IPv6. */
export const NFT_WORDS = {
  4: { ip: 'ip', type: 'ipv4_addr', any: '0.0.0.0/0' },
  6: { ip: 'ip6', type: 'ipv6_addr', any: '::/0' },
} as const satisfies Record<Family, { ip: string; type: string; any: string }>;
