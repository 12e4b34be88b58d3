/** Pure: from routes to rules. Packets that were rewritten before the IP stack leave by a snapshot of its routes. */
import type { Device, Network, Route } from '../tools/ip-network.ts';
import { quote } from '../tools/nft.ts';
import { contains, type Family, familyOf, NFT_WORDS } from './address.ts';
import { isOurDevice } from './names.ts';

/** Rules that send a packet to the next hop of its destination, longest prefix first. */
export function routeRules(routes: readonly Route[], family: Family): string[] {
  const { ip, any } = NFT_WORDS[family];
  const ordered = routes
    .filter((route) => familyOf(route.to) === family && !isOurDevice(route.device))
    .sort((a, b) => prefix(b) - prefix(a) || a.metric - b.metric);
  const seen = new Set<string>();
  return ordered.flatMap(({ to, via, device }) => {
    if (
      seen.has(to) ||
      to.startsWith('fe80:') ||
      to.startsWith('ff') ||
      (via !== undefined && familyOf(via) !== family)
    )
      return [];
    seen.add(to);
    const match = to === any ? '' : `${ip} daddr ${to} `;
    return [`${match}fwd ${ip} to ${via ?? `${ip} daddr`} device ${quote(device)}`];
  });
}

/** The route that a packet to `address` takes. */
export function routeTo(routes: readonly Route[], address: string): Route | undefined {
  return routes
    .filter(({ to }) => contains(to, address))
    .sort((a, b) => prefix(b) - prefix(a) || a.metric - b.metric)[0];
}

/** Devices by which packets of others come in: those that have addresses, and are not ours. */
export function ingressDevices({ devices }: Network): Device[] {
  return devices.filter(
    ({ name, up, master, addresses }) =>
      up && name !== 'lo' && master === undefined && !isOurDevice(name) && addresses.length > 0,
  );
}

function prefix({ to }: Route): number {
  return Number(to.split('/')[1]);
}
