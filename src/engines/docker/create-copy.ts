/** Creates the copy of a container from its specification. */
import { DrayageError } from '../../errors.ts';
import type { Docker } from '../../tools/docker.ts';
import type { CallOptions } from '../../tools/docker-connection.ts';
import type { ContainerCreateBody } from '../../tools/docker-types.ts';
import type { CloneSpec } from './clone.ts';
import { withoutAddresses } from './clone-endpoint.ts';

export interface CreatedContainer {
  id: string;
  warnings: string[];
  /** Networks on which the copy will get another address than the original has. */
  readdressed: string[];
}

/**
 * A network whose subnet the engine chose by itself takes no fixed addresses, and no inspect shows that: such a one is
 * on the host where a container was before it moved away, when it comes back. The copy gets the next free address
 * there, as the container did when it was first started.
 */
export async function createCopy(
  docker: Docker,
  name: string,
  spec: CloneSpec,
  options: CallOptions = {},
): Promise<CreatedContainer> {
  const { created, readdressed } = await create(docker, name, spec.createBody, options);
  for (const { network, endpoint } of spec.moreEndpoints) await docker.connect(network, created.id, endpoint, options);
  return { ...created, readdressed };
}

async function create(docker: Docker, name: string, body: ContainerCreateBody, options: CallOptions) {
  try {
    return { created: await docker.create(name, body, options), readdressed: [] };
  } catch (error) {
    const readdressed = networksWithoutFixedAddresses(error);
    if (readdressed.length === 0) throw error;
    const endpoints = Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {}).map(
      ([network, endpoint]) =>
        [network, readdressed.includes(network) ? withoutAddresses(endpoint) : endpoint] as const,
    );
    const NetworkingConfig = { EndpointsConfig: Object.fromEntries(endpoints) };
    return { created: await docker.create(name, { ...body, NetworkingConfig }, options), readdressed };
  }
}

/** From the daemon's message, the only place where it tells (moby api/types/network/endpoint.go). */
export function networksWithoutFixedAddresses(error: unknown): string[] {
  if (!(error instanceof DrayageError) || error.code !== 'DOCKER_REFUSED') return [];
  return error.message
    .split('invalid config for network ')
    .slice(1)
    .filter((part) => part.includes('only when connecting to networks with user configured subnets'))
    .flatMap((part) => part.match(/^[^:\s]+/) ?? []);
}
