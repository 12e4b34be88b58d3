/** Where a container's traffic comes in: its addresses on bridges of the host, and the host's ports that lead to it. */
import type { Run } from '../../exec/run.ts';
import type { Docker } from '../../tools/docker.ts';
import type { ContainerInspect, Endpoint, NetworkInspect, PortBinding } from '../../tools/docker-types.ts';
import { parseDevices } from '../../tools/ip-network.ts';
import { contains } from '../../traffic/address.ts';
import type { PublishedPort, WorkloadAddress } from '../../traffic/facts.ts';

export interface Attachments {
  published: PublishedPort[];
  addresses: WorkloadAddress[];
}

type Call = { signal?: AbortSignal | undefined };

/**
 * Of a running container on this host. Networks that are no bridges have no part in it.
 * @throws DrayageError those of Docker; ProgramError
 */
export async function attachmentsOf(
  docker: Docker,
  run: Run,
  inspect: ContainerInspect,
  { signal }: Call = {},
): Promise<Attachments> {
  const endpoints = Object.values(inspect.NetworkSettings.Networks).filter(({ NetworkID }) => NetworkID !== '');
  const [networks, ports] = await Promise.all([
    Promise.all(endpoints.map(({ NetworkID }) => docker.inspectNetwork(NetworkID, { signal }))),
    portsOf(run, inspect.State.Pid),
  ]);
  const addresses = endpoints.flatMap((endpoint, index) =>
    addressesOf(endpoint, networks[index] as NetworkInspect, inspect.Id, ports),
  );
  return { addresses, published: publishedPorts(inspect, addresses) };
}

/** Pure: the addresses of one endpoint; `ports` are the host's ports of bridges by the MAC address of their other end. */
export function addressesOf(
  endpoint: Endpoint,
  network: NetworkInspect,
  containerId: string,
  ports: ReadonlyMap<string, string>,
): WorkloadAddress[] {
  if (network.Driver !== 'bridge') return [];
  const others = Object.entries(network.Containers ?? {}).flatMap(([id, other]) => (id === containerId ? [] : [other]));
  const port = ports.get(endpoint.MacAddress);
  return [endpoint.IPAddress, endpoint.GlobalIPv6Address].filter(Boolean).map((address) => ({
    address,
    subnet: subnetOf(address, network),
    mac: endpoint.MacAddress,
    network: network.Name,
    bridge: bridgeName(network),
    ...(port === undefined ? {} : { port }),
    peers: others.flatMap((other) => peerAddress(other, address)),
  }));
}

/**
 * Pure. The engine leads all published ports to one endpoint, which has the default route. Ports of the loopback address
 * are for programs of the host alone, and stay there.
 */
export function publishedPorts(
  { HostConfig, NetworkSettings }: ContainerInspect,
  addresses: readonly WorkloadAddress[],
): PublishedPort[] {
  const main = NetworkSettings.Networks[mainNetwork(HostConfig.NetworkMode)];
  const inner = (family: 'IPAddress' | 'GlobalIPv6Address'): string | undefined =>
    main?.[family] || addresses.find(({ address }) => address.includes(':') === (family !== 'IPAddress'))?.address;
  return Object.entries(NetworkSettings.Ports ?? {}).flatMap(([name, bindings]) => {
    const [port = '', protocol = 'tcp'] = name.split('/');
    if (protocol !== 'tcp' && protocol !== 'udp') return [];
    return (bindings ?? []).flatMap((binding): PublishedPort[] => {
      const address = inner(binding.HostIp.includes(':') ? 'GlobalIPv6Address' : 'IPAddress');
      if (address === undefined || isLoopback(binding)) return [];
      const hostAddress = ['', '0.0.0.0', '::'].includes(binding.HostIp) ? {} : { hostAddress: binding.HostIp };
      return [{ protocol, ...hostAddress, hostPort: Number(binding.HostPort), address, port: Number(port) }];
    });
  });
}

/** Name of the device, as libnetwork makes it (drivers/bridge). */
export function bridgeName({ Id, Options }: NetworkInspect): string {
  return Options?.['com.docker.network.bridge.name'] ?? `br-${Id.slice(0, 12)}`;
}

function mainNetwork(mode = 'default'): string {
  return mode === 'default' ? 'bridge' : mode;
}

function isLoopback({ HostIp }: PortBinding): boolean {
  return HostIp.startsWith('127.') || HostIp === '::1';
}

function subnetOf(address: string, { IPAM }: NetworkInspect): string {
  const isV6 = address.includes(':');
  return (IPAM.Config ?? []).map(({ Subnet = '' }) => Subnet).find((subnet) => subnet.includes(':') === isV6) ?? '';
}

function peerAddress(other: unknown, address: string): string[] {
  const { IPv4Address = '', IPv6Address = '' } = other as { IPv4Address?: string; IPv6Address?: string };
  const [peer = ''] = (address.includes(':') ? IPv6Address : IPv4Address).split('/');
  return peer === '' ? [] : [peer];
}

/** The addresses of one network's device in the namespace of that process: by MAC address. */
export async function addressesWithin(run: Run, pid: number): Promise<{ address: string; mac: string }[]> {
  const { stdout } = await run('nsenter', [`--net=/proc/${pid}/ns/net`, 'ip', '-json', 'address', 'show']);
  return parseDevices(stdout).flatMap(({ name, mac, addresses }) =>
    name === 'lo' ? [] : addresses.filter(({ scope }) => scope === 'global').map(({ address }) => ({ address, mac })),
  );
}

/** Pure: which of the copy's addresses stands for which of the workload's, on networks where it got another one. */
export function movedAddresses(
  wanted: readonly Pick<WorkloadAddress, 'address' | 'subnet'>[],
  own: readonly { address: string }[],
): Record<string, string> {
  const free = own.filter(({ address }) => !wanted.some((one) => one.address === address));
  return Object.fromEntries(
    wanted
      .filter(({ address }) => !own.some((one) => one.address === address))
      .flatMap(({ address, subnet }) => {
        const other = free.find((one) => contains(subnet, one.address));
        return other === undefined ? [] : [[address, other.address]];
      }),
  );
}

interface Link {
  ifname: string;
  ifindex: number;
  link_index?: number;
  address?: string;
}

/** Devices of the host whose other ends are in the namespace of that process, by the other end's MAC address. */
async function portsOf(run: Run, pid: number): Promise<Map<string, string>> {
  const show = ['ip', '-json', 'link', 'show'] as const;
  const [inside, outside] = await Promise.all([
    run('nsenter', [`--net=/proc/${pid}/ns/net`, ...show]),
    run('ip', show.slice(1)),
  ]);
  const links = JSON.parse(outside.stdout) as Link[];
  return new Map(
    (JSON.parse(inside.stdout) as Link[]).flatMap(({ address, link_index }) => {
      const other = links.find(({ ifindex }) => ifindex === link_index);
      return address === undefined || other === undefined ? [] : [[address, other.ifname] as const];
    }),
  );
}
