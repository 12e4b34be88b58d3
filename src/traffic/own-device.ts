/**
 * Devices by which a workload stands on the LAN by itself, with MAC and IP addresses of its own: macvlan, below a device
 * of the host (the parent). The host's bridges and its NAT have no part in them.
 */
import type { ContainerInspect, NetworkInspect } from '../tools/docker-types.ts';
import type { Device } from '../tools/ip-network.ts';
import type { InnerDevice } from './workload.ts';

export interface OwnDevice {
  /** The engine's name of the network. */
  network: string;
  /** Its name in the workload's namespace, `eth0`. */
  device: string;
  mac: string;
  /** Of IPv4 and IPv6, link-local ones too. */
  addresses: readonly string[];
  /** Of the host: the device that it hangs on. */
  parent: string;
}

/**
 * The parent of a network whose containers stand on the LAN by themselves; undefined for other networks. Without a
 * parent, and where it is internal, the engine hangs such a network on a dummy device of its own (moby
 * libnetwork/drivers/macvlan, macvlan_network.go); in passthru mode the parent's own address is the container's.
 */
export function parentOf(network: NetworkInspect | undefined): string | undefined {
  const { Driver, Options, Internal } = network ?? {};
  if (Driver !== 'macvlan' || Internal || Options?.macvlan_mode === 'passthru') return undefined;
  return Options?.parent || undefined;
}

/** What a running workload has of them. */
export function ownDevices(
  inspect: ContainerInspect,
  networks: readonly NetworkInspect[],
  inner: readonly InnerDevice[],
  host: readonly Device[],
): OwnDevice[] {
  return Object.values(inspect.NetworkSettings.Networks).flatMap((endpoint) => {
    const network = networks.find(({ Id }) => Id === endpoint.NetworkID);
    const device = inner.find(({ mac }) => mac !== '' && mac === endpoint.MacAddress);
    if (network === undefined || parentOf(network) === undefined || device === undefined) return [];
    const parent = host.find(({ index }) => index === device.peer)?.name;
    if (parent === undefined) return [];
    return [
      {
        network: network.Name,
        device: device.name,
        mac: device.mac,
        addresses: device.addresses.map(({ address }) => address),
        parent,
      },
    ];
  });
}
