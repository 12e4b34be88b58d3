/** What Docker on a host knows and has, as far as a move cares. */
import { DrayageError } from '../../errors.ts';
import { type Docker, isNotFound } from '../../tools/docker.ts';
import type { ContainerSummary, SystemInfo } from '../../tools/docker-types.ts';
import { parentOf } from '../../traffic/own-device.ts';
import type { HostFacts } from '../facts.ts';
import { nameOf } from './find.ts';
import { keptVolumes } from './kept-copy.ts';
import { chainIds } from './layers.ts';

type DockerHostFacts = NonNullable<HostFacts['docker']>;

/** null where no Docker answers. */
export async function dockerHostFacts(
  docker: Docker,
  options: { signal?: AbortSignal } = {},
): Promise<DockerHostFacts | null> {
  try {
    return await gather(docker, options);
  } catch (error) {
    if (error instanceof DrayageError && error.code === 'DOCKER_UNREACHABLE') return null;
    throw error;
  }
}

async function gather(docker: Docker, options: { signal?: AbortSignal }): Promise<DockerHostFacts> {
  const [api, info, containers, images, networks, volumes] = await Promise.all([
    docker.api(),
    docker.info(options),
    docker.containers(options),
    docker.images({ ...options, all: true }),
    docker.networks(options),
    docker.volumes(options),
  ]);
  return {
    version: info.ServerVersion,
    api,
    dataRoot: info.DockerRootDir,
    cgroupDriver: info.CgroupDriver,
    storageDriver: info.Driver,
    liveRestore: info.LiveRestoreEnabled,
    runtimes: Object.keys(info.Runtimes),
    security: info.SecurityOptions ?? [],
    firewall: info.FirewallBackend?.Driver ?? 'iptables',
    metacopy: (info.DriverStatus ?? []).some(([key, value]) => key === 'Using metacopy' && value === 'true'),
    names: containers.map(nameOf),
    layers: usesContainerd(info)
      ? []
      : await layersOf(
          docker,
          images.map(({ Id }) => Id),
          options,
        ),
    images: images.map(({ Id, RepoTags }) => ({ id: Id, tags: RepoTags ?? [] })),
    networks: networks.map((network) => {
      const parent = parentOf(network);
      return {
        name: network.Name,
        id: network.Id,
        driver: network.Driver,
        subnets: (network.IPAM.Config ?? []).flatMap(({ Subnet }) => (Subnet === undefined ? [] : [Subnet])),
        containers: containers.filter((container) => isOn(container, network.Id)).length,
        addresses: addressesOn(containers, network.Id),
        ...(parent === undefined ? {} : { parent }),
      };
    }),
    volumes: volumes.map(({ Name }) => Name),
    keptVolumes: keptVolumes(containers),
    published: [...new Set(containers.flatMap(publishedBy))],
  };
}

/**
 * With the containerd image store a load needs every blob, not only those of unknown layers, and whether a blob is
 * still there is not to be seen through the API: so no layer counts as being there.
 */
function usesContainerd(info: SystemInfo): boolean {
  return (info.DriverStatus ?? []).some(([key, value]) => key === 'driver-type' && value.includes('containerd'));
}

async function layersOf(docker: Docker, ids: string[], options: { signal?: AbortSignal }): Promise<string[]> {
  const layers = new Set<string>();
  for (const id of new Set(ids)) {
    const image = await docker.inspectImage(id, options).catch((error: unknown) => {
      if (isNotFound(error)) return undefined; // Removed meanwhile.
      throw error;
    });
    for (const chainId of chainIds(image?.RootFS.Layers ?? [])) layers.add(chainId);
  }
  return [...layers];
}

/** A stopped container has none, though it may get the same again when it is started. */
function addressesOn(containers: readonly ContainerSummary[], networkId: string): Record<string, string> {
  const endpoints = containers.flatMap((container) =>
    Object.values(container.NetworkSettings?.Networks ?? {}).map((endpoint) => ({ endpoint, name: nameOf(container) })),
  );
  const there = endpoints.filter(({ endpoint }) => endpoint.NetworkID === networkId);
  return Object.fromEntries(
    there.flatMap(({ endpoint: { IPAddress, GlobalIPv6Address }, name }) =>
      [IPAddress, GlobalIPv6Address].filter(Boolean).map((address) => [address, name] as const),
    ),
  );
}

/** The engine tells ports of running containers only. */
function publishedBy({ Ports = [] }: ContainerSummary): string[] {
  return Ports.flatMap(({ IP = '0.0.0.0', PublicPort, Type }) =>
    PublicPort === undefined ? [] : [`${Type}/${IP.includes(':') ? `[${IP}]` : IP}:${PublicPort}`],
  );
}

function isOn(container: ContainerSummary, networkId: string): boolean {
  return Object.values(container.NetworkSettings?.Networks ?? {}).some(({ NetworkID }) => NetworkID === networkId);
}
