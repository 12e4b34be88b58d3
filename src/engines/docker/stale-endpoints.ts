/** What an engine that was killed may keep of a container that is no more. */
import type { Docker } from '../../tools/docker.ts';
import type { NetworkInspect } from '../../tools/docker-types.ts';
import { NOBODYS } from '../../traffic/workload.ts';

/**
 * The engine would start no container of that name on these networks: "endpoint with name web already exists". To be
 * called while none has the name, or it is that one which is disconnected.
 */
export async function forgetStaleEndpoints(
  docker: Pick<Docker, 'disconnect'>,
  networks: readonly NetworkInspect[],
  name: string,
): Promise<void> {
  for (const { Id, Containers } of networks) {
    const isStale = Object.entries(Containers ?? {}).some(([id, one]) => {
      return id.startsWith(NOBODYS) && (one as { Name?: string }).Name === name;
    });
    if (isStale) await docker.disconnect(Id, name, { force: true });
  }
}
