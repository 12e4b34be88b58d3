/** Pure: which device of another host is on the same LAN as one of this host. */
import type { Device, Network } from '../tools/ip-network.ts';
import { contains, familyOf } from './address.ts';
import { isOurDevice } from './names.ts';

export interface LanDevice {
  device: string;
  /** False where nothing but its name speaks for it. */
  sure: boolean;
}

/**
 * Both devices have addresses of one subnet, or the other one has an address of the network in question; devices
 * without any address are taken for equal where they have the same name. `eth0.7` is VLAN 7 of whatever is on the LAN of
 * eth0, and need not be there yet.
 * @param subnets of the network that is to be there
 */
export function sameLan(here: Network, there: Network, name: string, subnets: readonly string[]): LanDevice | null {
  const mine = here.devices.find((device) => device.name === name);
  const others = there.devices.filter(canCarry);
  // Of several the one of the same name.
  const ordered = others.sort((a, b) => Number(b.name === name) - Number(a.name === name));
  const found =
    ordered.find((other) => mine !== undefined && areNeighbours(mine, other)) ??
    ordered.find((other) => globals(other).some(({ address }) => subnets.some((one) => contains(one, address))));
  if (found !== undefined) return { device: found.name, sure: true };
  const [, base, vlan] = /^(.+)\.(\d+)$/.exec(name) ?? [];
  const lower = base === undefined ? null : sameLan(here, there, base, []);
  if (lower !== null) return { device: `${lower.device}.${vlan}`, sure: lower.sure };
  const namesake = ordered.find((other) => other.name === name);
  if (namesake === undefined || globals(namesake).length > 0) return null;
  return { device: name, sure: false };
}

/** Ports of a bridge or bond cannot: what they receive is taken by that. */
function canCarry({ name, up, kind, master }: Device): boolean {
  return up && name !== 'lo' && kind !== 'macvlan' && master === undefined && !isOurDevice(name);
}

function areNeighbours(a: Device, b: Device): boolean {
  return globals(a).some((one) =>
    globals(b).some(
      (other) =>
        one.address !== other.address &&
        familyOf(one.address) === familyOf(other.address) &&
        contains(`${one.address}/${one.prefix}`, other.address) &&
        contains(`${other.address}/${other.prefix}`, one.address),
    ),
  );
}

function globals({ addresses }: Device): Device['addresses'] {
  return addresses.filter(({ scope }) => scope === 'global');
}
