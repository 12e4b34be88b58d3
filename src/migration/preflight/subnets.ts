/** Whether two subnets have addresses in common. */
import { BlockList, isIPv6 } from 'node:net';

/** `10.0.0.0/8` and the like; what is no subnet overlaps with nothing. */
export function overlaps(a: string, b: string): boolean {
  const [one, other] = [parse(a), parse(b)];
  if (one === undefined || other === undefined || one.family !== other.family) return false;
  // Subnets are nested or apart: the wider one holds the first address of the other, or they have none in common.
  const [wide, narrow] = one.length <= other.length ? [one, other] : [other, one];
  const list = new BlockList();
  list.addSubnet(wide.address, wide.length, wide.family);
  return list.check(narrow.address, narrow.family);
}

function parse(subnet: string): { address: string; length: number; family: 'ipv4' | 'ipv6' } | undefined {
  const match = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(subnet);
  if (match === null) return undefined;
  const [, address = '', length] = match;
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  return Number(length) <= (family === 'ipv6' ? 128 : 32) ? { address, length: Number(length), family } : undefined;
}
