/** What the engine and the kernel say of a workload's network, as the rules need it. */
import type { Run } from '../exec/run.ts';
import type { ContainerInspect, Endpoint, NetworkInspect } from '../tools/docker-types.ts';
import { type Device, parseDevices } from '../tools/ip-network.ts';
import { contains, familyOf } from './address.ts';
import type { Protocol, PublishedPort, WorkloadAddress } from './facts.ts';

/** The bridge of a network, where it is of the bridge driver. */
export function bridgeOf(network: NetworkInspect): string | undefined {
  if (network.Driver !== 'bridge') return undefined;
  return network.Options?.['com.docker.network.bridge.name'] ?? `br-${network.Id.slice(0, 12)}`;
}

/** Ports of the host that lead to the workload, and to which of its addresses: that of the bridge with its gateway. */
export function publishedPorts(
  { NetworkSettings }: ContainerInspect,
  networks: readonly NetworkInspect[],
): PublishedPort[] {
  const bridged = Object.entries(NetworkSettings.Networks).filter(([, { NetworkID }]) =>
    networks.some((network) => network.Id === NetworkID && bridgeOf(network) !== undefined),
  );
  const endpoints = bridged.sort(
    ([a, one], [b, other]) => (other.GwPriority ?? 0) - (one.GwPriority ?? 0) || (a < b ? -1 : 1),
  );
  const address = (family: 4 | 6): string | undefined =>
    endpoints.map(([, endpoint]) => addressesOf(endpoint)[family]).find((one) => one !== undefined);
  const ports = Object.entries(NetworkSettings.Ports ?? {}).flatMap(([port, bindings]) => {
    const [number = '', protocol = ''] = port.split('/');
    if (protocol !== 'tcp' && protocol !== 'udp') return [];
    return (bindings ?? []).flatMap(({ HostIp, HostPort }) => {
      const wildcard = ['', '0.0.0.0', '::'].includes(HostIp);
      const families = HostIp === '' ? ([4, 6] as const) : ([familyOf(HostIp)] as const);
      return families.flatMap((family) => {
        const inner = address(family);
        if (inner === undefined) return [];
        return [
          {
            protocol: protocol as Protocol,
            ...(wildcard ? {} : { hostAddress: HostIp }),
            hostPort: Number(HostPort),
            address: inner,
            port: Number(number),
          },
        ];
      });
    });
  });
  // 127.0.0.1 is the host's own: nothing comes there from outside.
  return ports.filter(({ hostAddress = '' }) => !hostAddress.startsWith('127.') && hostAddress !== '::1');
}

/** A device of the workload's own namespace; `peer` is the index of its other end, on the host. */
export interface InnerDevice extends Device {
  peer?: number;
}

export async function innerDevices(run: Run, pid: number): Promise<InnerDevice[]> {
  const ip = ['ip', '-json', '-details', 'address', 'show'];
  const { stdout } = await run('nsenter', ['--target', String(pid), '--net', ...ip], { timeoutMs: 20_000 });
  return parseInnerDevices(stdout);
}

function parseInnerDevices(text: string): InnerDevice[] {
  const links = JSON.parse(text) as { ifname: string; link_index?: number }[];
  return parseDevices(text).map((device) => {
    const peer = links.find(({ ifname }) => ifname === device.name)?.link_index;
    return peer === undefined ? device : { ...device, peer };
  });
}

/** Its addresses on bridges, with who else is there. */
export function workloadAddresses(
  id: string,
  inspect: ContainerInspect,
  networks: readonly NetworkInspect[],
  inner: readonly InnerDevice[],
  host: readonly Device[],
): WorkloadAddress[] {
  return Object.values(inspect.NetworkSettings.Networks).flatMap((endpoint) => {
    const network = networks.find(({ Id }) => Id === endpoint.NetworkID);
    const bridge = network && bridgeOf(network);
    if (network === undefined || bridge === undefined) return [];
    const addresses = Object.values(addressesOf(endpoint));
    return addresses.flatMap((address) => {
      // A copy with a terminal got it on its loopback device, too, before its engine wired the network.
      const device = inner.find((one) => one.name !== 'lo' && one.addresses.some((mine) => mine.address === address));
      const port = host.find(({ index }) => index === device?.peer)?.name;
      const subnet = subnetsOf(network).find((one) => contains(one, address));
      if (subnet === undefined) return [];
      return [
        {
          address,
          subnet,
          mac: device?.mac ?? endpoint.MacAddress,
          network: network.Name,
          bridge,
          ...(port === undefined ? {} : { port }),
          peers: peersOf((one) => one === id, network).filter((peer) => familyOf(peer) === familyOf(address)),
        },
      ];
    });
  });
}

/**
 * By which of the copy's addresses it is found in the place of each that it did not get: one in the same subnet, or the
 * only one, where the network has another subnet there. null where there is none.
 */
export function movedAddresses(
  wanted: readonly Pick<WorkloadAddress, 'address' | 'subnet'>[],
  inner: readonly InnerDevice[],
): Record<string, string | null> {
  const own = inner
    .filter(({ name }) => name !== 'lo')
    .flatMap(({ addresses }) => addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address));
  const free = own.filter((address) => !wanted.some((one) => one.address === address));
  return Object.fromEntries(
    wanted.flatMap(({ address, subnet }) => {
      if (own.includes(address)) return [];
      const alike = own.filter((one) => familyOf(one) === familyOf(address));
      const within = (list: readonly string[]): string | undefined => list.find((one) => contains(subnet, one));
      return [[address, within(free) ?? within(own) ?? (alike.length === 1 ? (alike[0] ?? null) : null)]];
    }),
  );
}

function addressesOf({ IPAddress, GlobalIPv6Address }: Endpoint): { 4?: string; 6?: string } {
  return { ...(IPAddress ? { 4: IPAddress } : {}), ...(GlobalIPv6Address ? { 6: GlobalIPv6Address } : {}) };
}

function subnetsOf({ IPAM }: NetworkInspect): string[] {
  return (IPAM.Config ?? []).flatMap(({ Subnet }) => (Subnet === undefined ? [] : [Subnet]));
}

/** Addresses of the containers on a network, but for some. */
export function peersOf(isLeftOut: (id: string) => boolean, network: NetworkInspect): string[] {
  return neighboursOf(isLeftOut, network).map(({ address }) => address);
}

export interface Neighbour {
  address: string;
  mac: string;
}

/**
 * In the place of a container's id: an endpoint that has no container yet, or none any more (moby, daemon/network.go,
 * buildContainerAttachments). A copy that is being started has one for a moment, and is nobody's neighbour then.
 */
export const NOBODYS = 'ep-';

/** Those on a network, but for some: `{"Containers": {"<id>": {"IPv4Address": "172.30.0.11/24", "MacAddress": …}}}`. */
export function neighboursOf(isLeftOut: (id: string) => boolean, { Containers }: NetworkInspect): Neighbour[] {
  const others = Object.entries(Containers ?? {}).filter(([id]) => !id.startsWith(NOBODYS) && !isLeftOut(id));
  return others.flatMap(([, other]) => {
    const { IPv4Address, IPv6Address, MacAddress: mac = '' } = other as Record<string, string | undefined>;
    return [IPv4Address, IPv6Address].flatMap((one) => (one ? [{ address: one.split('/')[0] ?? '', mac }] : []));
  });
}
