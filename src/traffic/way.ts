/** Pure: how two hosts reach each other. On one layer-2 network packets go as they are, else through a tunnel. */
import type { Network } from '../tools/ip-network.ts';
import { contains, familyOf } from './address.ts';
import type { Hop } from './facts.ts';
import { ingressDevices, routeTo } from './routes.ts';
import { INNER_ADDRESSES, type Tunnel, tunnelBetween, tunnelSegment } from './tunnel.ts';

export interface Way {
  /** From the source to the target, and back. */
  hop: { source: Hop; target: Hop };
  /** Where they are not on one network: each side's. */
  tunnel?: { source: Tunnel; target: Tunnel };
}

export interface WayOptions {
  /** Addresses by which the hosts know each other, where they are known. */
  targetAddress?: string;
  sourceAddress?: string;
  /** Bridges of container networks: hosts do not reach each other by these, though both have the same subnets. */
  bridges: readonly string[];
  force?: 'plain' | 'tunnel';
}

/** null where neither host has an address that the other has a route to. */
export function wayBetween(source: Network, target: Network, options: WayOptions): Way | null {
  const plain = options.force === 'tunnel' ? null : plainWay(source, target, options);
  return plain ?? (options.force === 'plain' ? null : tunnelWay(source, target, options));
}

/** Pure: an address of the other host that this one reaches; undefined where there is none. */
export function addressTowards(here: Network, there: Network, bridges: readonly string[]): string | undefined {
  const { hop, tunnel } = wayBetween(here, there, { bridges }) ?? {};
  return tunnel === undefined ? (hop?.source.via[4] ?? hop?.source.via[6]) : mainAddress(there, bridges);
}

interface Standing {
  device: string;
  mac: string;
  mtu: number;
  address: string;
  prefix: number;
  scope: string;
}

function standings(network: Network, bridges: readonly string[]): Standing[] {
  return ingressDevices(network)
    .filter(({ name }) => !bridges.includes(name))
    .flatMap(({ name, mac, mtu, addresses }) => addresses.map((one) => ({ device: name, mac, mtu, ...one })));
}

function plainWay(source: Network, target: Network, { bridges, targetAddress, sourceAddress }: WayOptions): Way | null {
  const [here, there] = [standings(source, bridges), standings(target, bridges)];
  const near = (a: Standing, b: Standing): boolean =>
    a.scope === 'global' &&
    b.scope === 'global' &&
    familyOf(a.address) === familyOf(b.address) &&
    contains(`${a.address}/${a.prefix}`, b.address) &&
    contains(`${b.address}/${b.prefix}`, a.address) &&
    a.address !== b.address &&
    a.mac !== '' &&
    b.mac !== '';
  const wanted = (a: Standing, b: Standing): boolean =>
    (targetAddress === undefined || b.address === targetAddress) &&
    (sourceAddress === undefined || a.address === sourceAddress);
  const pairs = here.flatMap((a) => there.filter((b) => near(a, b)).map((b) => [a, b] as const));
  const [a, b] =
    pairs.find(([one, other]) => wanted(one, other)) ?? (targetAddress === undefined ? pairs[0] : undefined) ?? [];
  if (a === undefined || b === undefined) return null;
  const hop = (from: Standing, to: Standing, theirs: Standing[]): Hop => ({
    device: from.device,
    via: {
      ...pick(
        4,
        theirs.filter(({ device }) => device === to.device),
        from,
      ),
      ...pick(
        6,
        theirs.filter(({ device }) => device === to.device),
        from,
      ),
    },
    mac: to.mac,
  });
  return { hop: { source: hop(a, b, there), target: hop(b, a, here) } };
}

/** Any address of the other host on that device will do, a link-local one of IPv6 too: it is only asked for its MAC. */
function pick(family: 4 | 6, theirs: readonly Standing[], from: Standing): Hop['via'] {
  const mine = theirs.filter(({ address }) => familyOf(address) === family);
  const best =
    mine.find(({ address, scope }) => family === 6 && scope === 'link' && address.startsWith('fe80:')) ??
    mine.find(({ address }) => contains(`${from.address}/${from.prefix}`, address)) ??
    mine[0];
  return best === undefined ? {} : { [family]: best.address };
}

function tunnelWay(source: Network, target: Network, options: WayOptions): Way | null {
  const there = options.targetAddress ?? mainAddress(target, options.bridges);
  if (there === undefined) return null;
  const here = options.sourceAddress ?? mainAddress(source, options.bridges, familyOf(there));
  if (here === undefined || familyOf(here) !== familyOf(there)) return null;
  if (routeTo(source.routes, there) === undefined || routeTo(target.routes, here) === undefined) return null;
  const mtu = Math.min(mtuTowards(source, there), mtuTowards(target, here));
  const tunnel = { source: tunnelBetween(here, there), target: tunnelBetween(there, here) };
  const hop = { device: tunnel.source.device, via: INNER_ADDRESSES, mss: tunnelSegment(mtu, familyOf(there)) };
  return { hop: { source: hop, target: hop }, tunnel };
}

/** The host's address on the device of its default route, or any. */
function mainAddress(network: Network, bridges: readonly string[], family: 4 | 6 = 4): string | undefined {
  const all = standings(network, bridges).filter((one) => familyOf(one.address) === family && one.scope === 'global');
  const main = routeTo(network.routes, family === 4 ? '192.0.2.1' : '2001:db8::1')?.device;
  return (all.find(({ device }) => device === main) ?? all[0])?.address;
}

function mtuTowards({ devices, routes }: Network, address: string): number {
  const name = routeTo(routes, address)?.device;
  return devices.find((device) => device.name === name)?.mtu ?? 1500;
}
