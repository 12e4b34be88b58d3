/** Pure: how the copy is connected to one network. */
import { compareApi } from '../../tools/docker.ts';
import type { ContainerInspect, Endpoint, EndpointAddresses, EndpointConfig } from '../../tools/docker-types.ts';
import { PREDEFINED_NETWORKS } from './predefined-networks.ts';

/** Docker 28: MAC addresses of bridge endpoints are random; before, they are made from the IPv4 address. */
const RANDOM_MAC_API = '1.48';

/**
 * On a user-defined network the addresses that the container has now are pinned, so that its listening sockets and its
 * peers find them again; the engine takes none on the default bridge.
 */
export function cloneEndpoint(
  inspect: ContainerInspect,
  network: string,
  { isMain, targetApi }: { isMain: boolean; targetApi: string },
): EndpointConfig {
  const endpoint = inspect.NetworkSettings.Networks[network];
  if (endpoint === undefined) return {};
  const userDefined = !PREDEFINED_NETWORKS.includes(network);
  const wanted = isMain && inspect.Config.MacAddress === endpoint.MacAddress;
  const pinMac = wanted || !comesByItself(endpoint, userDefined, targetApi);
  return {
    IPAMConfig: userDefined ? pinnedAddresses(endpoint) : (endpoint.IPAMConfig ?? null),
    Links: endpoint.Links ?? null,
    Aliases: ownAliases(endpoint, inspect.Id),
    DriverOpts: endpoint.DriverOpts ?? null,
    ...(endpoint.GwPriority === undefined ? {} : { GwPriority: endpoint.GwPriority }),
    ...(pinMac && endpoint.MacAddress !== '' ? { MacAddress: endpoint.MacAddress } : {}),
  };
}

function pinnedAddresses({ IPAMConfig, IPAddress, GlobalIPv6Address }: Endpoint): EndpointAddresses | null {
  const addresses = {
    ...IPAMConfig,
    ...(IPAddress === '' ? {} : { IPv4Address: IPAddress }),
    ...(GlobalIPv6Address === '' ? {} : { IPv6Address: GlobalIPv6Address }),
  };
  return Object.keys(addresses).length === 0 ? (IPAMConfig ?? null) : addresses;
}

/** API 1.43 and 1.44 show the short id among the aliases, which the engine adds by itself. */
function ownAliases({ Aliases }: Endpoint, id: string): string[] | null {
  return Aliases?.filter((alias) => alias !== id.slice(0, 12)) ?? null;
}

/**
 * Whether a MAC address made from the IPv4 address is best left to the engine: on the default bridge, where the copy
 * gets another IPv4 address and the old one's MAC address may be a neighbour's; and where the target makes the same
 * one again.
 */
function comesByItself(endpoint: Endpoint, userDefined: boolean, targetApi: string): boolean {
  if (endpoint.MacAddress !== macOfAddress(endpoint.IPAddress)) return false;
  return !userDefined || compareApi(targetApi, RANDOM_MAC_API) < 0;
}

/** `172.17.0.2` gives `02:42:ac:11:00:02` (moby libnetwork/netutils, GenerateMACFromIP). */
function macOfAddress(ipv4: string): string {
  const bytes = ipv4.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return ['02', '42', ...bytes].join(':');
}
