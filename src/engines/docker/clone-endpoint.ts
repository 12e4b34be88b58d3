/** Pure: how the copy is connected to one network. */
import { BlockList, isIPv6 } from 'node:net';
import { compareApi } from '../../tools/docker-connection.ts';
import type { ContainerInspect, Endpoint, EndpointAddresses, EndpointConfig } from '../../tools/docker-types.ts';
import { PREDEFINED_NETWORKS } from './predefined-networks.ts';

/** Docker 28: MAC addresses of bridge endpoints are random; before, they are made from the IPv4 address. */
const RANDOM_MAC_API = '1.48';

/** The target, as far as one endpoint cares. */
export interface EndpointTarget {
  api: string;
  /** Of the network, where the target has one of that name; else it is made with the source's. */
  subnets?: readonly string[] | undefined;
}

/**
 * On a user-defined network the addresses that the container has now are pinned, so that its listening sockets and its
 * peers find them again; the engine takes none on the default bridge, and none outside the network's subnets. Where it is
 * on the LAN itself (`isOwn`) it is known there by its MAC address, too.
 */
export function cloneEndpoint(
  inspect: ContainerInspect,
  network: string,
  { isMain, isOwn, target }: { isMain: boolean; isOwn: boolean; target: EndpointTarget },
): EndpointConfig {
  const endpoint = inspect.NetworkSettings.Networks[network];
  if (endpoint === undefined) return {};
  const userDefined = !PREDEFINED_NETWORKS.includes(network);
  const IPAMConfig = userDefined ? pinnedAddresses(endpoint, target.subnets) : (endpoint.IPAMConfig ?? null);
  const wanted = isMain && inspect.Config.MacAddress === endpoint.MacAddress;
  const pinMac = wanted || isOwn || !comesByItself(endpoint, IPAMConfig?.IPv4Address, target.api);
  return {
    IPAMConfig,
    Links: endpoint.Links ?? null,
    Aliases: ownAliases(endpoint, inspect.Id),
    DriverOpts: endpoint.DriverOpts ?? null,
    ...(endpoint.GwPriority === undefined ? {} : { GwPriority: endpoint.GwPriority }),
    ...(pinMac && endpoint.MacAddress !== '' ? { MacAddress: endpoint.MacAddress } : {}),
  };
}

/** The endpoint where the engine takes no fixed addresses after all; a MAC address made from one goes with it. */
export function withoutAddresses(endpoint: EndpointConfig): EndpointConfig {
  const { IPAMConfig, MacAddress, ...others } = endpoint;
  const { IPv4Address = '', IPv6Address: _, ...addresses } = IPAMConfig ?? {};
  const keepMac = MacAddress !== undefined && MacAddress !== macOfAddress(IPv4Address);
  return {
    ...others,
    IPAMConfig: Object.keys(addresses).length === 0 ? null : addresses,
    ...(keepMac ? { MacAddress } : {}),
  };
}

function pinnedAddresses(endpoint: Endpoint, subnets: readonly string[] | undefined): EndpointAddresses | null {
  const { IPv4Address, IPv6Address, ...others } = endpoint.IPAMConfig ?? {};
  const v4 = endpoint.IPAddress || IPv4Address;
  const v6 = endpoint.GlobalIPv6Address || IPv6Address;
  const addresses = {
    ...others,
    ...(v4 && (subnets === undefined || isWithin(v4, 'ipv4', subnets)) ? { IPv4Address: v4 } : {}),
    ...(v6 && (subnets === undefined || isWithin(v6, 'ipv6', subnets)) ? { IPv6Address: v6 } : {}),
  };
  return Object.keys(addresses).length === 0 ? (endpoint.IPAMConfig ?? null) : addresses;
}

function isWithin(address: string, family: 'ipv4' | 'ipv6', subnets: readonly string[]): boolean {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network = '', length] = subnet.split('/');
    if (isIPv6(network) === (family === 'ipv6')) list.addSubnet(network, Number(length), family);
  }
  return list.check(address, family);
}

/** API 1.43 and 1.44 show the short id among the aliases, which the engine adds by itself. */
function ownAliases({ Aliases }: Endpoint, id: string): string[] | null {
  return Aliases?.filter((alias) => alias !== id.slice(0, 12)) ?? null;
}

/**
 * Whether the MAC address is made from the IPv4 address and best left to the engine: where the copy gets another IPv4
 * address, since the old one's MAC address may be a neighbour's then; and where the target makes the same one again.
 */
function comesByItself(endpoint: Endpoint, pinnedAddress: string | undefined, targetApi: string): boolean {
  if (endpoint.MacAddress !== macOfAddress(endpoint.IPAddress)) return false;
  return pinnedAddress !== endpoint.IPAddress || compareApi(targetApi, RANDOM_MAC_API) < 0;
}

/** `172.17.0.2` gives `02:42:ac:11:00:02` (moby libnetwork/netutils, GenerateMACFromIP). */
function macOfAddress(ipv4: string): string {
  const bytes = ipv4.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return ['02', '42', ...bytes].join(':');
}
