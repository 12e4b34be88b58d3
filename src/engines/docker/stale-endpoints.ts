/** What an engine that was killed may keep of a container that is no more. */
import type { Docker } from '../../tools/docker.ts';
import type { NetworkInspect } from '../../tools/docker-types.ts';
import { NOBODYS } from '../../traffic/workload.ts';

/** Names that the engine would start no container by on this network: "endpoint with name web already exists". */
export function staleNames({ Containers }: NetworkInspect): string[] {
  return Object.entries(Containers ?? {}).flatMap(([id, one]) => {
    const { Name } = one as { Name?: string };
    return id.startsWith(NOBODYS) && Name !== undefined ? [Name] : [];
  });
}

/** To be called while no container has the name, or it is that one which is disconnected. */
export async function forgetStaleEndpoints(
  docker: Pick<Docker, 'disconnect'>,
  networks: readonly NetworkInspect[],
  name: string,
): Promise<void> {
  for (const network of networks) {
    if (staleNames(network).includes(name)) await docker.disconnect(network.Id, name, { force: true });
  }
}
